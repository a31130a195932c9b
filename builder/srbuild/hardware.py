"""What hardware a machine has, as text that one machine writes and another reads.

The file is either lines of modaliases with `# fact: value` above them, or the same as one JSON
object. Both are stable: the same machine gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from srbuild.errors import ConfigError, Origin, SrbuildError, raise_all
from srbuild.frozen import frozen
from srbuild.host.looks import look
from srbuild.paths import HostPath

SCHEMA = "srbuild.hardware/1"
MAX_SIZE = 16 << 20  # bytes; a server with thousands of devices has some 100 kB
_TITLE = f"# {SCHEMA}"
_MODALIAS = re.compile(r"[a-z0-9_-]+:[!-~](?:[ -~]*[!-~])?", re.IGNORECASE)


@frozen
class Card:
    """A network card: its name here, MAC address and driver, empty when it has none."""

    name: str
    mac: str
    driver: str


@frozen
class Hardware:
    """A machine's devices: their modaliases, sorted, each once.

    `facts` tell people which machine this is; `cards` are its network cards. Neither is needed
    to choose drivers, and a file need not have them.
    """

    modaliases: tuple[str, ...]
    facts: Mapping[str, str]
    cards: tuple[Card, ...] = ()


def to_text(hardware: Hardware) -> str:
    """Hardware as lines: facts and cards as comments, then the modaliases."""
    cards = [f"# card: {' '.join((c.name, c.mac, c.driver)).rstrip()}" for c in hardware.cards]
    facts = [f"# {name}: {value}" for name, value in hardware.facts.items()]
    return "".join(f"{line}\n" for line in (_TITLE, *facts, *cards, *hardware.modaliases))


def to_document(hardware: Hardware) -> dict[str, object]:
    """Hardware as a JSON object."""
    return {
        "schema": SCHEMA,
        "facts": dict(hardware.facts),
        "cards": [asdict(card) for card in hardware.cards],
        "modaliases": list(hardware.modaliases),
    }


def load_hardware(path: HostPath, origin: Origin | None = None) -> Hardware:
    """Read the file at `path`, in either form; plain modaliases will do.

    Raises ConfigError when it can't be read or holds anything else.
    """
    look(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_SIZE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}", origin=origin) from error
    try:
        return parse_hardware(data)
    except ValueError as error:
        raise ConfigError(
            str(error), "make it on the machine with: srbuild hardware > FILE", Origin(str(path))
        ) from error


def load_modaliases(files: Iterable[tuple[HostPath, Origin]]) -> tuple[str, ...] | None:
    """The modaliases of several machines together, sorted; None for no file.

    Raises what `load_hardware` does, for all files together.
    """
    found: list[Hardware] = []
    errors: list[SrbuildError] = []
    for path, origin in files:
        try:
            found.append(load_hardware(path, origin))
        except ConfigError as error:
            errors.append(error)
    raise_all(errors)
    return tuple(sorted({one for each in found for one in each.modaliases})) if found else None


def parse_hardware(data: bytes) -> Hardware:
    """Hardware of a file's bytes; ValueError that says what is wrong with them."""
    if len(data) > MAX_SIZE:
        raise ValueError(f"more than {MAX_SIZE} bytes are no inventory of hardware")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"no text: {error}") from error
    found = _parse_json(text) if text.lstrip().startswith("{") else _parse_lines(text)
    if not found.modaliases:
        raise ValueError("no modalias in it")
    return found


def _parse_lines(text: str) -> Hardware:
    facts: dict[str, str] = {}
    cards: list[Card] = []
    modaliases: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        match line.split():
            case [] | ["#", _]:
                pass
            case ["#", "card:", name, mac, *driver]:
                cards.append(Card(name, mac, " ".join(driver)))
            case ["#", *_]:
                name, colon, value = line[1:].strip().partition(": ")
                if colon:
                    facts[name] = value
            case _:
                modaliases.add(_check_modalias(line.strip(), f"line {number}"))
    return Hardware(tuple(sorted(modaliases)), facts, tuple(cards))


def _parse_json(text: str) -> Hardware:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"damaged JSON: {error}") from error
    if fields.get("schema") != SCHEMA:
        raise ValueError(f"not of the schema {SCHEMA}")
    modaliases, facts, cards = (fields.get(key) for key in ("modaliases", "facts", "cards"))
    if not isinstance(modaliases, list) or not isinstance(facts, dict):
        raise ValueError("modaliases must be a list and facts an object")
    try:
        found = tuple(Card(**card) for card in cards)
    except TypeError as error:
        raise ValueError(f"damaged cards: {error}") from error
    checked = {_check_modalias(one, f"modaliases[{i}]") for i, one in enumerate(modaliases)}
    return Hardware(
        tuple(sorted(checked)), {str(name): str(value) for name, value in facts.items()}, found
    )


def is_modalias(text: str) -> bool:
    """Whether `text` has the form of a modalias, `BUS:…`: printable ASCII on one line."""
    return bool(_MODALIAS.fullmatch(text))


def _check_modalias(text: object, place: str) -> str:
    if not isinstance(text, str) or not is_modalias(text):
        raise ValueError(f"{place}: {text!r} is no modalias")
    return text
