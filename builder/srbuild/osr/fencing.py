"""fencedevices and each node's fence methods → [node.fence]."""

from __future__ import annotations

from typing import Final

from srbuild.errors import ConfigError
from srbuild.formats.xmltree import Element
from srbuild.frozen import frozen
from srbuild.osr.document import Document
from srbuild.osr.draft import Draft, NodeDraft

_ADDRESS: Final = ("ipaddr", "ip", "hostname")
_PLUG: Final = ("port", "plug", "nodename")
_USER: Final = ("login", "username", "user")
_SECRET: Final = ("passwd", "password")
_OWN: Final = frozenset({*_ADDRESS, *_PLUG, "ipport", "delay", "option", "action"})
_METHODS: Final = ("", "backup_")  # a third method has no place


@frozen
class Device:
    """One `device` of a method with what its `fencedevice` says; the node's own words win."""

    element: Element
    agent: str
    words: dict[str, str]

    def first(self, *names: str) -> str:
        """The value of the first of `names` that there is."""
        return next((self.words[name] for name in names if self.words.get(name)), "")

    @property
    def common(self) -> tuple[tuple[str, str], ...]:
        """What does not say where the device is, nor what to do."""
        return tuple(sorted(pair for pair in self.words.items() if pair[0] not in _OWN))


def read_fencing(draft: Draft, pairs: list[tuple[NodeDraft, Element]], *, unsafe: bool) -> None:
    """Give every node its devices; `unsafe` lets nodes without one pass, with no fencing at all."""
    doc = draft.doc
    devices = _devices(doc)
    if not draft.brings("fence"):
        why = f"{draft.chosen['fs']} is not fenced by other nodes"
        for group in doc.children(doc.root, "fencedevices"):
            doc.lose_all(group, why)
        for _, element in pairs:
            for fence in doc.children(element, "fence"):
                doc.lose_all(fence, why)
        return
    used = {one.attributes.get("name") for _, element in pairs for one in element.iter("device")}
    for name in devices.keys() - used:
        doc.lose_all(devices[name], "no node uses it")
    without = [node for node, element in pairs if not _read_node(draft, node, element, devices)]
    if not without:
        draft.tables["fence"] = {"method": "agent", **draft.tables.get("fence", {})}
    elif unsafe:
        draft.tables["fence"] = {"method": "unsafe-none", **draft.tables.get("fence", {})}
        for node, element in pairs:
            node.tables.pop("fence", None)
            doc.lose(element, node.name, "is not fenced, as you asked for: for labs only")
    elif len(pairs) > 1:
        for node in without:
            doc.fail(
                node.element,
                f"{node.name} has no fence device that a boot module serves",
                "give it one (docs/fencing.md); or, for a lab, import with --unsafe-no-fencing",
            )


def _devices(doc: Document) -> dict[str, Element]:
    """The fencedevice elements by name."""
    found: dict[str, Element] = {}
    for group in doc.children(doc.root, "fencedevices"):
        for one in doc.children(group, "fencedevice"):
            found.setdefault(doc.get(one, "name"), one)
    return found


def _read_node(
    draft: Draft, node: NodeDraft, element: Element, devices: dict[str, Element]
) -> bool:
    """Set what fences `node`; False when nothing of it is of use."""
    doc, levels = draft.doc, []
    for fence in doc.children(element, "fence"):
        for method in doc.children(fence, "method"):
            doc.get(method, "name")
            found = [_device(doc, one, devices) for one in doc.children(method, "device")]
            level = [device for device in found if device and _is_served(draft, device)]
            if level and len(level) == len(found) and _is_one(doc, level):
                levels.append(_without_pairs(level))
    for prefix, level in zip(_METHODS, levels, strict=False):
        _set_level(draft, node, prefix, level)
    for level in levels[len(_METHODS) :]:
        doc.lose(level[0].element, "third fence method", "a node has one and a backup")
    return bool(levels)


def _device(doc: Document, element: Element, devices: dict[str, Element]) -> Device | None:
    name = doc.get(element, "name")
    device = devices.get(name)
    if device is None:
        doc.fail(element, f"no fencedevice is named {name!r}", "add it to <fencedevices>")
        return None
    words = {key: doc.get(device, key) for key in device.attributes}
    words |= {key: doc.get(element, key) for key in element.attributes}
    agent = words.pop("agent", "").removeprefix("fence_")
    words.pop("name", "")
    return Device(element, agent, words)


def _is_served(draft: Draft, device: Device) -> bool:
    try:
        draft.catalog.provider(f"fence-{device.agent.replace('_', '-')}")
    except ConfigError:
        why = "no boot module brings this agent: docs/fencing.md"
        draft.doc.lose(device.element, f"agent fence_{device.agent}", why)
        return False
    return True


def _is_one(doc: Document, level: list[Device]) -> bool:
    """Whether the devices of a method can be asked alike: else one of them would be left on."""
    shapes = {(one.agent, one.common, *map(bool, _ends(one))) for one in level}
    if len(shapes) > 1:
        why = "the devices of one method have one agent, one user and the same words here"
        doc.lose(level[-1].element, f"method with fence_{level[-1].agent}", why)
    return len(shapes) == 1


def _ends(device: Device) -> tuple[str, str]:
    return _endpoint(device), device.first(*_PLUG)


def _without_pairs(level: list[Device]) -> list[Device]:
    """Each outlet once: off and on again of both power supplies are one device each here."""
    kept: dict[tuple[str, str], Device] = {}
    for device in level:
        kept.setdefault(_ends(device), device)
    return list(kept.values())


def _set_level(draft: Draft, node: NodeDraft, prefix: str, level: list[Device]) -> None:
    doc, first = draft.doc, level[0]

    def put(option: str, raw: str | list[str]) -> None:
        draft.set(first.element, "fence", f"{prefix}{option}", raw, node)

    put("agent", first.agent)
    put("address", [_endpoint(one) for one in level])
    put("plug", [one.first(*_PLUG) for one in level])
    put("user", first.first(*_USER))
    put("secret", first.first(*_SECRET))
    args = []
    for name, value in first.common:
        if name in {*_USER, *_SECRET} or not value:
            continue
        if "pass" in name or "pwd" in name:
            doc.lose(first.element, name, "an agent is given one password, which is kept secret")
        elif " " in value:
            doc.lose(first.element, f'{name}="{value}"', "the agent's words have no spaces here")
        else:
            args.append(f"{name}={value}")
    put("args", args)
    if not prefix and first.words.get("delay"):
        draft.set(first.element, "fence", "delay", first.words["delay"], node)
    if not prefix and first.first("action", "option").lower() == "off" and len(level) == 1:
        draft.set(first.element, "fence", "action", "off", node)


def _endpoint(device: Device) -> str:
    address, port = device.first(*_ADDRESS), device.words.get("ipport", "")
    return f"{address}:{port}" if address and port else address
