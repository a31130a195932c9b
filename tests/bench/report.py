"""What the bench prints: tables, and the bars with what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from .content import PARTS
from .figures import Bar, Spread, fastest, ratios, spread, table
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


def render_report(suite: str, results: Results | str) -> str:
    """The whole text for one tree: medians with the quartiles in parentheses."""
    heading = f"Debian {suite}\n{'=' * len(f'Debian {suite}')}"
    if isinstance(results, str):
        return f"{heading}\n\nNot measured: {results}"
    parts = (
        ("Times, memory, processes and threads started", _times(results)),
        ("Ratios, round by round", _ratios(results)),
        ("What the images hold", _contents(results)),
        ("What each MB is for: the parts, compressed by themselves", _parts(results)),
        ("Where srbuild's time goes, ms of wall time", _phases(results)),
        ("Bars", _bars(bars(results)) + _leaner(results)),
        ("Bars of the next step", _bars(later_bars(results))),
        ("Tools", _tools(results)),
    )
    return "\n\n".join((heading, *(f"{title}\n\n{text}" for title, text in parts)))


def bars(results: Results) -> list[Bar]:
    """What is asked of srbuild now. Verification is in its numbers: it can't be left out."""
    found: list[Bar] = []
    peers = [name for name in PEERS if name in results.samples]
    for what, take in (("wall", results.walls), ("cpu", results.cpus)):
        cold = take(COLD)
        found.append(Bar(f"cold / floor, {what}", ratios(cold, take(FLOOR)), 3))
        if peers:
            peer = ratios(fastest(*(take(name) for name in peers)), cold)
            found.append(Bar(f"faster peer / cold, {what}", peer, 4, at_least=True))
        if WARM in results.samples:
            found.append(Bar(f"warm / cold, {what}", ratios(take(WARM), cold), 0.5))
    size = results.content[COLD].size
    for name in _others(results):
        ratio = size / results.content[name].size
        found.append(Bar(f"image / {name}'s, bytes", Spread(ratio, ratio, ratio), 1))
    return found


def later_bars(results: Results) -> list[Bar]:
    """What is asked of it once it is complete."""
    floor, cold = results.walls(FLOOR), results.walls(COLD)
    found = [
        Bar("cold / floor, wall", ratios(cold, floor), 1.3),
        Bar("cold / floor, cpu", ratios(results.cpus(COLD), results.cpus(FLOOR)), 1.5),
    ]
    if WARM not in results.samples:
        return found
    warm = results.walls(WARM)
    click = [
        Bar(f"{name} / import click, {what}", ratios(take(subject), take(IMPORT_CLICK)), limit)
        for name, subject, limit in (("warm", WARM, 3), ("reassembled", REASSEMBLED, 6))
        for what, take in (("wall", results.walls), ("cpu", results.cpus))
    ]
    return [
        *found,
        Bar("writing / floor, wall", ratios(results.walls(WRITING), floor), 0.9),
        *click,
        Bar("reassembled / warm, wall", ratios(results.walls(REASSEMBLED), warm), 2),
    ]


def _others(results: Results) -> list[str]:
    """The other tools' subjects with an image."""
    return [name for name in results.content if name not in (FLOOR, COLD)]


def _bars(found: Iterable[Bar]) -> str:
    return table(("", "bar", "measured", ""), [bar.row() for bar in found])


def _leaner(results: Results) -> str:
    """How srbuild stands beside dracut's leaner configurations, which are not what users run."""
    lines = (
        f"\n{name} / cold: wall {_ratio(results.walls(name), results.walls(COLD)).text()}, "
        f"cpu {_ratio(results.cpus(name), results.cpus(COLD)).text()}"
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
            str(results.processes.get(name, "-")),
        )
        for name, memory in results.memory.items()
    ]
    memory_head = ("largest process MiB", "whole tree MiB")
    return table(("", "wall s", "cpu s", *memory_head, "started"), rows) + _fewer(results)


def _fewer(results: Results) -> str:
    """Which subjects were measured less often than the others."""
    rounds = len(results.walls(COLD))
    return "".join(
        f"\n{name}: the first {len(samples)} rounds only"
        for name, samples in results.samples.items()
        if len(samples) < rounds
    )


def _ratios(results: Results) -> str:
    rows = [
        (
            name,
            *(
                _ratio(take(name), take(base)).text()
                for base in (FLOOR, COLD)
                for take in (results.walls, results.cpus)
            ),
        )
        for name in results.samples
    ]
    head = ("", "/ floor, wall", "/ floor, cpu", "/ cold, wall", "/ cold, cpu")
    return table(head, rows)


def _ratio(values: Sequence[float], others: Sequence[float]) -> Spread:
    """The ratio over those rounds that both have: the first ones."""
    return ratios(values, others[: len(values)])


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
        f"{len(wanted.kmods)} kernel modules, {len(wanted.programs)} programs and "
        f"plug-ins and {len(wanted.libraries) + len(wanted.dlopened)} libraries "
        "were asked for."
    )
    lacking = "".join(
        f"\n{name} lacks {len(one.lacks)} of them: {', '.join(one.lacks)}"
        for name, one in results.content.items()
        if one.lacks
    )
    if not lacking:
        carried = f"{carried} All images hold them."
    text = table(("", "image MB", "entries", "kmods", "unpacked MB"), rows)
    return f"{text}\n{carried}{lacking}"


def _parts(results: Results) -> str:
    """Sizes by purpose, and srbuild's image beside each."""
    size = results.content[COLD].size
    rows = [
        (
            name,
            *(f"{one.parts.get(part, 0) / MB:.2f}" for part in PARTS),
            f"{one.size / MB:.2f}",
            f"{size / one.size:.2f}",
        )
        for name, one in results.content.items()
        if name != FLOOR
    ]
    return table(("", *(f"{part} MB" for part in PARTS), "image MB", "srbuild's / it"), rows)


def _tools(results: Results) -> str:
    """What was measured and, with the reason, what was not."""
    lines = [f"{name} {version}" for name, version in results.versions.items()]
    lines += [f"{name}: not measured: {reason}" for name, reason in results.absent.items()]
    return "\n".join(lines)


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
