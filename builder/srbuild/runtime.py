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
_OPENVZ_KERNEL = re.compile(r"\dstab\d|\bvz\d|\bovz")


def with_runtime(config: Config, catalog: Catalog, sysroot: Sysroot | None) -> tuple[Config, str]:
    """The configuration with what runs its root chosen, and a sentence on it; empty if it was.

    `sysroot` is None for a site part: it is made for an image that there is already, and says
    nothing but what is said of a runtime's modules; LXC's go with most tables.
    """
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
    known = kernel_versions(sysroot)
    wanted = known if "all" in config.kernels else config.kernels or known[-1:]
    if wanted and all(_OPENVZ_KERNEL.search(version) for version in wanted):
        return wanted[-1]
    return None
