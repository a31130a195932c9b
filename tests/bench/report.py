"""What the bench prints: tables, and the bars with what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .figures import Bar, Spread, faster, ratios, spread, table
from .rounds import Results
from .subjects import (
    COLD,
    FLOOR,
    IMPORT_CLICK,
    REASSEMBLED,
    WARM,
    WRITING,
)

DRACUT = "dracut"
PEERS = ("mkinitramfs", DRACUT)
MB = 1e6
MIB = 1 << 20


def render_report(results: Results) -> str:
    """The whole text: medians with the quartiles in parentheses."""
    parts = (
        ("Times and memory", _times(results)),
        ("Ratios, round by round", _ratios(results)),
        ("What the images hold", _contents(results)),
        ("Where srbuild's time goes, ms of wall time", _phases(results)),
        ("Bars", _bars(bars(results)) + _leaner(results)),
        ("Bars of the next step", _bars(later_bars(results))),
    )
    return "\n\n".join(f"{title}\n\n{text}" for title, text in parts)


def bars(results: Results) -> list[Bar]:
    """What is asked of srbuild now. Verification is in its numbers: it can't be left out."""
    found: list[Bar] = []
    for what, take in (("wall", results.walls), ("cpu", results.cpus)):
        cold = take(COLD)
        peer = faster(*(take(name) for name in PEERS))
        found += [
            Bar(f"cold / floor, {what}", ratios(cold, take(FLOOR)), 3),
            Bar(f"faster peer / cold, {what}", ratios(peer, cold), 4, at_least=True),
            Bar(f"warm / cold, {what}", ratios(take(WARM), cold), 0.5),
        ]
    size = results.content[COLD].size
    for name in PEERS:
        ratio = size / results.content[name].size
        found.append(Bar(f"image / {name}'s, bytes", Spread(ratio, ratio, ratio), 1))
    return found


def later_bars(results: Results) -> list[Bar]:
    """What is asked of it once it is complete."""
    click = [
        Bar(f"{name} / import click, {what}", ratios(take(subject), take(IMPORT_CLICK)), limit)
        for name, subject, limit in (("warm", WARM, 3), ("reassembled", REASSEMBLED, 6))
        for what, take in (("wall", results.walls), ("cpu", results.cpus))
    ]
    return [
        Bar("cold / floor, wall", ratios(results.walls(COLD), results.walls(FLOOR)), 1.3),
        Bar("cold / floor, cpu", ratios(results.cpus(COLD), results.cpus(FLOOR)), 1.5),
        Bar("writing / floor, wall", ratios(results.walls(WRITING), results.walls(FLOOR)), 0.9),
        *click,
        Bar("reassembled / warm, wall", ratios(results.walls(REASSEMBLED), results.walls(WARM)), 2),
    ]


def _bars(found: Iterable[Bar]) -> str:
    return table(("", "bar", "measured", ""), [bar.row() for bar in found])


def _leaner(results: Results) -> str:
    """How srbuild stands beside dracut's leaner configurations, which are not what users run."""
    lines = (
        f"\n{name} / cold: wall {ratios(results.walls(name), results.walls(COLD)).text()}, "
        f"cpu {ratios(results.cpus(name), results.cpus(COLD)).text()}"
        for name in results.samples
        if name.startswith(f"{DRACUT}, ")
    )
    return "".join(lines)


def _times(results: Results) -> str:
    rows = [
        (
            name,
            spread(results.walls(name)).text(),
            spread(results.cpus(name)).text(),
            f"{memory.largest / MIB:.0f}",
            f"{memory.together / MIB:.0f}",
        )
        for name, memory in results.memory.items()
    ]
    return table(("", "wall s", "cpu s", "largest process MiB", "whole tree MiB"), rows)


def _ratios(results: Results) -> str:
    rows = []
    for name in results.samples:
        of_floor = (ratios(take(name), take(FLOOR)) for take in (results.walls, results.cpus))
        of_cold = (ratios(take(name), take(COLD)) for take in (results.walls, results.cpus))
        rows.append((name, *(one.text() for one in (*of_floor, *of_cold))))
    head = ("", "/ floor, wall", "/ floor, cpu", "/ cold, wall", "/ cold, cpu")
    return table(head, rows)


def _contents(results: Results) -> str:
    wanted = results.wanted
    rows = [
        (
            name,
            f"{one.size / MB:.2f}",
            str(one.entries),
            str(one.kmods),
            f"{one.unpacked / MB:.1f}",
        )
        for name, one in results.content.items()
    ]
    carried = (
        f"All hold the {len(wanted.kmods)} kernel modules, {len(wanted.programs)} programs and "
        f"plug-ins and {len(wanted.libraries)} libraries that were asked for."
    )
    return table(("", "image MB", "entries", "kmods", "unpacked MB"), rows) + "\n" + carried


def _phases(results: Results) -> str:
    names = list(dict.fromkeys(phase for one in results.phases[COLD] for phase in one))
    rows = [
        (phase, *(_milliseconds(results.phases[name], phase) for name in (COLD, WARM)))
        for phase in names
    ]
    return table(("", "cold", "warm"), rows)


def _milliseconds(rounds: Sequence[dict[str, float]], phase: str) -> str:
    seconds = median([one.get(phase, 0.0) for one in rounds])
    return f"{seconds * 1000:.1f}" if seconds else "-"
