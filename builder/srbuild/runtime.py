"""What runs the shared root where nobody has said: a container, if the sysroot has what that takes.

An OpenVZ kernel with vzctl is there for containers of OpenVZ; on every other kernel LXC runs one.
Without either the root's own init takes the machine over, as in the days before containers.
"""

from __future__ import annotations

import re
from dataclasses import replace

from srbuild.bootmodule import Module
from srbuild.catalog import Catalog
from srbuild.closure.closer import PROGRAM_DIRS
from srbuild.config.load import Config
from srbuild.host.sysroot import Sysroot
from srbuild.kernels.tree import kernel_versions
from srbuild.paths import SysrootPath
from srbuild.plan import NONE

MAINLINE = "lxc"
OPENVZ = "openvz"
# 2.6.32-042stab145.3, 3.10.0-1160.90.1.vz7.200.7, 5.14.0-427.22.1.vz9.80.6, 6.8.0-ovz
_OPENVZ_KERNEL = re.compile(r"(?P<legacy>\dstab\d)|\bvz(?P<number>[789])|\bovz")
_GENERATION = "generation"


def with_runtime(config: Config, catalog: Catalog, sysroot: Sysroot | None) -> tuple[Config, str]:
    """The configuration with what runs its root chosen, and a sentence on it; empty if it was.

    For OpenVZ the generation comes with it that the image's kernels are of, where none is given:
    each needs something else in the image.

    `sysroot` is None for a site part: it is made for an image that there is already, and says
    nothing but what is said of a runtime's modules; LXC's go with most tables.
    """
    config, said = _with_container(config, catalog, sysroot)
    if sysroot is None or config.container != OPENVZ or OPENVZ not in catalog.modules:
        return config, said
    return _with_generation(config, _kernels(config, sysroot)), said


def _with_container(
    config: Config, catalog: Catalog, sysroot: Sysroot | None
) -> tuple[Config, str]:
    if config.fs is None or config.container is not None:
        return config, ""
    if named := _configured(config, catalog):
        return replace(config, container=named), ""
    if sysroot is None:
        return replace(config, container=MAINLINE if MAINLINE in catalog.modules else NONE), ""
    name, reason = _best(config, catalog, sysroot)
    return replace(config, container=name), f"container: {name}, {reason} (--container NAME)"


def _configured(config: Config, catalog: Catalog) -> str | None:
    """The one runtime that there are settings for."""
    tables = {*config.values, *(config.cluster.modules if config.cluster else ())}
    found = [name for name in tables if name in catalog.modules and _runs(catalog.modules[name])]
    return found[0] if len(found) == 1 else None


def _runs(module: Module) -> bool:
    return module.kind == "container" and module.selectable


def _best(config: Config, catalog: Catalog, sysroot: Sysroot) -> tuple[str, str]:
    if not _lacking(OPENVZ, catalog, sysroot) and (kernel := _openvz_kernel(config, sysroot)):
        return OPENVZ, f"for the kernel {kernel} is OpenVZ's and the sysroot has vzctl"
    if lacking := _lacking(MAINLINE, catalog, sysroot):
        return NONE, f"for the sysroot has no {lacking}: the root's own init takes over"
    return MAINLINE, "which the sysroot has"


def _lacking(name: str, catalog: Catalog, sysroot: Sysroot) -> str:
    """The first program that the runtime `name` needs and the sysroot has not."""
    module = catalog.modules.get(name)
    for program in module.install.binaries if module else (name,):
        paths = [program] if "/" in program else [f"{d}/{program}" for d in PROGRAM_DIRS]
        if not any(sysroot.is_file(SysrootPath(path)) for path in paths):
            return program
    return ""


def _openvz_kernel(config: Config, sysroot: Sysroot) -> str | None:
    """The version of a kernel of OpenVZ's that the image is for: of several, all must be."""
    wanted = _kernels(config, sysroot)
    if wanted and all(_OPENVZ_KERNEL.search(version) for version in wanted):
        return wanted[-1]
    return None


def _kernels(config: Config, sysroot: Sysroot) -> tuple[str, ...]:
    """The versions of the kernels that the image is for: without a word, the newest."""
    known = kernel_versions(sysroot)
    return tuple(known) if "all" in config.kernels else config.kernels or tuple(known[-1:])


def _with_generation(config: Config, kernels: tuple[str, ...]) -> Config:
    """What is found at boot if nothing is said, but the image has to have what it takes."""
    tables = [config.values]
    if config.cluster:
        tables += [config.cluster.values, *(node.values for node in config.cluster.nodes)]
    if any(_GENERATION in values.get(OPENVZ, {}) for values in tables):
        return config
    found = {_generation(version) for version in kernels}
    if not found:
        return config
    given = {
        **config.values.get(OPENVZ, {}),
        _GENERATION: (found.pop() if len(found) == 1 else "auto",),
    }
    return replace(config, values={**config.values, OPENVZ: given})


def _generation(kernel: str) -> str:
    match = _OPENVZ_KERNEL.search(kernel)
    if match is None:
        return "upstream"
    return "4" if match["legacy"] else match["number"] or "9"
