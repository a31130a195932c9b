"""Where a boot's seconds went, by the line that hooks/spine.sh says at the end of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from srbuild.frozen import frozen

_LINE = re.compile(
    r"srbuild: times: (?P<what>root mounted|booted) after (?P<end>[\d.]+) s, "
    r"[\d.]+ of them init: kernel (?P<kernel>[\d.]+)(?: \(unpacking (?P<unpacking>[\d.]+)\))?"
    r"(?P<points>(?:; [a-z]+ [\d.]+ \([^()]+\))*)"
)
_POINT = re.compile(r"; ([a-z]+) ([\d.]+) \(([^()]+)\)")


@frozen
class BootTimes:
    """One boot, in seconds.

    `kernel` is the uptime at which /init began; of it `unpacking` went to the image, None when
    the kernel did not say. `mounted` is the uptime at which the shared root was mounted, None
    for an image without one. `points` and `scripts` hold how long each point and each
    `MODULE/SCRIPT` of it took.
    """

    kernel: float
    unpacking: float | None
    mounted: float | None
    points: Mapping[str, float]
    scripts: Mapping[str, Mapping[str, float]]

    @property
    def init(self) -> float | None:
        """From the start of /init to the mounted root."""
        return None if self.mounted is None else round(self.mounted - self.kernel, 2)

    def text(self) -> str:
        """For people, in one line."""
        points = ", ".join(f"{name} {seconds:.1f}" for name, seconds in self.points.items())
        unpacking = "" if self.unpacking is None else f" (unpacking {self.unpacking:.1f})"
        end = "no root" if self.mounted is None else f"root mounted after {self.mounted:.1f} s"
        return f"{end}: kernel {self.kernel:.1f}{unpacking}, {points}"

    def as_json(self) -> dict[str, object]:
        """As `srbuild test --json` gives it."""
        points = {
            name: {"seconds": seconds, "scripts": dict(self.scripts[name])}
            for name, seconds in self.points.items()
        }
        return {
            "kernel": self.kernel,
            "unpacking": self.unpacking,
            "mounted": self.mounted,
            "init_to_mounted": self.init,
            "points": points,
        }


def read_times(console: str) -> BootTimes | None:
    """The times of the last boot that the text of a console tells of; None when there are none."""
    lines = list(_LINE.finditer(console))
    if not lines:
        return None
    found = lines[-1]
    points: dict[str, float] = {}
    scripts: dict[str, dict[str, float]] = {}
    for name, seconds, words in _POINT.findall(found["points"]):
        points[name] = float(seconds)
        scripts[name] = {}
        for word in words.split(", "):
            script, _, spent = word.rpartition(" ")
            # A script that was run again after `resume` has one word for each run.
            scripts[name][script] = round(scripts[name].get(script, 0.0) + float(spent), 2)
    return BootTimes(
        kernel=float(found["kernel"]),
        unpacking=float(found["unpacking"]) if found["unpacking"] else None,
        mounted=float(found["end"]) if found["what"] == "root mounted" else None,
        points=points,
        scripts=scripts,
    )
