"""What a lab run needs, built by the same pipeline that builds images for users."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from srbuild import pipeline
from srbuild.config.load import load_config
from srbuild.errors import MissingInputError
from srbuild.frozen import frozen
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.tree import find_boot_file
from srbuild.lab.lab import Inputs
from srbuild.lab.scenario import Scenario
from srbuild.outputs import sidecar_path
from srbuild.paths import HostPath
from srbuild.sidecar import from_json

SERVER_RECIPE = "lab-server"
_CACHE_VARIABLES = ("SRBUILD_CACHE", "XDG_CACHE_HOME", "HOME")


@frozen
class LabRequest:
    """What to test and how.

    Without `sysroot`, a folder of that name beside the image is meant, else the running
    system; without `kernel`, the sysroot's one of the version that the image was built for.
    `folder` receives the logs; `seconds` bound the run, `accel` is QEMU's accelerator.
    """

    image: HostPath
    sysroot: HostPath | None
    kernel: HostPath | None
    folder: HostPath
    seconds: float
    accel: str = "tcg"


def make_inputs(request: LabRequest, scenario: Scenario, environ: Mapping[str, str]) -> Inputs:
    """Build the storage server's image of `scenario`, and find the kernel to boot.

    `environ` is the environment, for the cache's folder. Raises MissingInputError for a kernel
    that is not there, and whatever a build raises.
    """
    version = image_kernel(request.image)
    sysroot = request.sysroot or _sysroot_of(request.image, version)
    catalog = pipeline.find_modules()
    server = {"image": SERVER_RECIPE, "modules": scenario.server}
    kept = cache_variables(environ)
    config = load_config({**server, "sysroot": sysroot, "kernel": version}, kept, catalog)
    cache = (config.cache or Path(tempfile.gettempdir()) / "srbuild") / "lab"
    cache.mkdir(parents=True, exist_ok=True)
    image = cache / f"{SERVER_RECIPE}-{'-'.join(scenario.server)}.img"
    pipeline.build(replace(config, output=image), catalog, "base")
    return Inputs(
        image=request.image,
        kernel=request.kernel or find_kernel(sysroot, version),
        server_image=image,
        node_tail=lambda text: site_part(scenario.options, text),
        server_tail=lambda text: site_part(server, text),
        folder=request.folder,
        cache=cache / "disks",
        seconds=request.seconds,
        accel=request.accel,
    )


def cache_variables(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What of the environment counts in the lab: SRBUILD_FS and the like are about an own image."""
    return {name: environ[name] for name in _CACHE_VARIABLES if name in environ}


def image_kernel(image: HostPath) -> str:
    """The version of the kernel that `image` was built for, as its sidecar says."""
    path = sidecar_path(image)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MissingInputError(
            f"cannot read {path}: {error.strerror}",
            hint="srbuild writes it beside every image; build the image again",
        ) from error
    return from_json(data).kernel


def find_kernel(sysroot: HostPath, version: str) -> HostPath:
    """The bootable kernel of `version` in `sysroot`; MissingInputError when there is none."""
    hint = "name one with --kernel FILE, or the image's sysroot with --sysroot DIR"
    return find_boot_file(Sysroot(sysroot), version, hint)


def site_part(options: Mapping[str, object], cluster: str) -> bytes:
    """The site part that a cluster file with the text `cluster` adds to such an image."""
    with tempfile.TemporaryDirectory(prefix="srbuild-lab-") as folder:
        file, part = Path(folder, "cluster.toml"), Path(folder, "site.part")
        file.write_text(cluster)
        catalog = pipeline.find_modules()
        wanted = {**options, "cluster": file, "output": part, "cache": "none"}
        pipeline.build(load_config(wanted, {}, catalog), catalog, "site")
        return part.read_bytes()


def _sysroot_of(image: HostPath, version: str) -> HostPath:
    """The folder `sysroot` beside the image or the running system, whichever has the kernel."""
    beside = image.absolute().parent / "sysroot"
    for root in (beside, Path("/")):
        if (root / "lib/modules" / version).is_dir() or (
            root / "usr/lib/modules" / version
        ).is_dir():
            return root
    raise MissingInputError(
        f"{image} is for the kernel {version}, which neither {beside} nor the running system has",
        hint="name the sysroot that the image was built from: --sysroot DIR",
    )
