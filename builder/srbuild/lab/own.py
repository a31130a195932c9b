"""A scenario's own image, for who has none yet; OpenVZ's with a vzctl that no sysroot has."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from srbuild import pipeline
from srbuild.bulk import Workshop
from srbuild.config.load import load_config
from srbuild.errors import MissingInputError, UsageError
from srbuild.host.overlay import OverlaidSysroot
from srbuild.host.stock import open_stock
from srbuild.host.sysroot import Sysroot
from srbuild.lab.build import cache_variables
from srbuild.lab.scenario import Scenario
from srbuild.paths import HostPath
from srbuild.runtime import OPENVZ

DOUBLE = Path(__file__).resolve().parent / "vzctl"
"""The double of vzctl, laid out as docs/openvz.md has it for the real one."""

FOLDER = Path("build")
"""Where a scenario's own image goes, and where the sysroot is looked for: as make has them."""

_REQUIRED = ("usr/sbin/vzctl", "etc/vz/dists/default", "etc/vz/dists/scripts")


class _Overlaid(Workshop):
    """Builds from sysroots with the tree `upper` over each."""

    def __init__(self, folder: HostPath, upper: HostPath) -> None:
        super().__init__(folder)
        self._upper = upper

    def sysroot(self, root: HostPath) -> Sysroot:
        return OverlaidSysroot(root, self._upper)


def own_image(scenario: Scenario) -> HostPath:
    """Where the image of `scenario` goes that nobody has named."""
    return FOLDER / f"{scenario.image_name}.img"


def build_own(
    scenario: Scenario,
    target: HostPath,
    sysroot: HostPath | None,
    environ: Mapping[str, str],
    vzctl: HostPath | None = None,
) -> None:
    """Build the image of `scenario`, without a cluster's part, unless `target` is up to date.

    Without `sysroot`, a folder of that name beside `target` is meant, else the running system.
    `vzctl` is the tree in which OpenVZ's lies, the double's by default. Raises UsageError for a
    scenario that has no use for it, MissingInputError for a tree that lacks it, and whatever a
    build raises.
    """
    upper = _vzctl_tree(scenario, vzctl)
    beside = target.parent / "sysroot"
    catalog = pipeline.find_modules()
    root = sysroot or (beside if beside.is_dir() else None)
    wanted = {**scenario.options, "sysroot": root, "output": target}
    config = load_config(wanted, cache_variables(environ), catalog)
    target.parent.mkdir(parents=True, exist_ok=True)
    if upper is None:
        pipeline.build(config, catalog)
        return
    with open_stock(config.cache or Path(tempfile.gettempdir()) / "srbuild") as folder:
        workshop = _Overlaid(folder, upper)
        pipeline.build(config, catalog, "all", workshop)
        workshop.finish()


def _vzctl_tree(scenario: Scenario, given: HostPath | None) -> HostPath | None:
    if scenario.container != OPENVZ:
        if given is not None:
            raise UsageError(
                f"the scenario {scenario.name} runs no container of OpenVZ's",
                hint="leave --vzctl-root out, or name another one: srbuild test --list",
            )
        return None
    tree = given or DOUBLE
    lacking = [name for name in _REQUIRED if not (tree / name).exists()]
    if not lacking and not os.access(tree / _REQUIRED[0], os.X_OK):
        lacking = [f"{_REQUIRED[0]} that can be run"]
    if lacking:
        raise MissingInputError(
            f"{tree} is no tree with vzctl in it: it has no {', no '.join(lacking)}",
            hint="make install DESTDIR=DIR of vzctl 4.11; docs/openvz.md has the layout",
        )
    return tree
