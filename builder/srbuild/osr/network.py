"""com_info's `eth` elements → a node's cards, address, bonds, VLANs and bridges."""

from __future__ import annotations

import re
from typing import Final

from srbuild.config.addresses import parse_cidr, parse_mac
from srbuild.config.networks import bracketed, mask_to_prefix, parse_bond
from srbuild.formats.xmltree import Element
from srbuild.frozen import frozen
from srbuild.osr.document import Document
from srbuild.osr.draft import Draft, NodeDraft

_VLAN = re.compile(r"(?P<lower>.+)\.[0-9]+|vlan[0-9]+")
_OFF: Final = frozenset({"no", "0", "false", "off"})
_LOWER: Final = ("PHYSDEV", "ETHERDEVICE", "VLAN_PHYSDEV")  # names of ifcfg files for one thing
# What an ifcfg file says besides that the elements say as well.
_SAID: Final = frozenset({"VLAN", "TYPE", "DEVICE", "HWADDR", "ONBOOT", "STARTMODE"})


@frozen
class Card:
    """One `eth`; `mac` in its normal form, `address` with its prefix length, or dhcp."""

    element: Element
    name: str
    mac: str
    address: str
    gateway: str
    master: str
    bridge: str
    is_bridge: bool
    properties: dict[str, str]

    @property
    def mtu(self) -> str:
        """What its property MTU says."""
        return self.properties.get("MTU", "")


def read_network(draft: Draft, node: NodeDraft, info: Element) -> None:
    """Set the network of `node` by the eth elements of its `info`."""
    doc = draft.doc
    cards = [card for one in doc.children(info, "eth") if (card := _card(doc, one))]
    masters = {card.master for card in cards if card.master}
    bridges = {card.bridge for card in cards if card.bridge}
    bridges |= {card.name for card in cards if card.is_bridge}
    made = masters | bridges | {card.name for card in cards if _VLAN.fullmatch(card.name)}
    renamed = []
    _check_names(doc, cards, masters)
    for card in cards:
        if card.mac and card.mac not in node.macs:
            node.macs.append(card.mac)
        if card.mac and card.name not in made:
            renamed.append(f"{card.name}:{card.mac}")
    if cards:
        first = cards[0].element
        draft.set(first, "network", "ifname", renamed, node)
        draft.set(first, "network", "bond", _bonds(doc, cards, masters), node)
        draft.set(first, "network", "vlan", _vlans(doc, cards), node)
        draft.set(first, "network", "bridge", _bridges(doc, cards, bridges), node)
    _addresses(draft, node, cards)


def _check_names(doc: Document, cards: list[Card], masters: set[str]) -> None:
    names = [card.name for card in cards]
    for card in cards:
        if names.index(card.name) != next(i for i, one in enumerate(cards) if one is card):
            doc.fail(card.element, f"a second {card.name} of this node", "keep one of them")
        if "BONDING_OPTS" in card.properties and card.name not in masters:
            hint = f'give the eths that belong to it master="{card.name}"'
            doc.fail(card.element, f"no interface belongs to the bond {card.name}", hint)


def _card(doc: Document, element: Element) -> Card | None:
    if doc.get(element, "onboot").lower() in _OFF:
        doc.lose_all(
            element, "OSR did not bring it up in the initrd: leave it to the root's system"
        )
        return None
    name = doc.get(element, "name")
    if not name:
        doc.fail(element, "has no name", 'give it one: name="eth0"')
        return None
    doc.lose_value(element, "driver", "drivers are loaded for the hardware that is there")
    mac = doc.get(element, "mac").lower()
    try:
        mac = parse_mac(mac) if mac else ""
    except ValueError as error:
        doc.fail(element, str(error))
        mac = ""
    kind = doc.get(element, "type").lower()
    doc.get(element, "slave")  # says no more than master does
    return Card(
        element,
        name,
        mac,
        _address(doc, element),
        doc.get(element, "gateway"),
        doc.get(element, "master"),
        doc.get(element, "bridge"),
        kind == "bridge",
        _properties(doc, element),
    )


def _address(doc: Document, element: Element) -> str:
    address, mask = doc.get(element, "ip"), doc.get(element, "mask")
    if not address or address.lower() == "dhcp":
        return address.lower()
    if not mask and "/" not in address:
        doc.fail(element, f"{address} has no mask", 'add mask="255.255.255.0" or what it is')
        return ""
    try:
        return parse_cidr(f"{address}/{mask_to_prefix(mask)}" if mask else address)
    except ValueError as error:
        doc.fail(element, str(error))
        return ""


def _properties(doc: Document, element: Element) -> dict[str, str]:
    """The lines for ifcfg files, by name: `NAME=value` or a text of its own."""
    found: dict[str, str] = {}
    for group in doc.children(element, "properties"):
        for one in doc.children(group, "property"):
            name, value = doc.get(one, "name"), doc.get(one, "value") or one.text.strip()
            head, equals, tail = value.partition("=")
            if equals and head.strip().upper() == name.upper():
                value = tail
            found[name.upper()] = value.strip().strip("\"'")
            known = {"BONDING_OPTS", "BONDING_MODULE_OPTS", "MTU", *_LOWER, *_SAID}
            if name.upper() not in known:
                doc.lose(one, f'name="{name}"', "a line for the distribution's ifcfg file")
    return found


def _bonds(doc: Document, cards: list[Card], masters: set[str]) -> list[str]:
    found = []
    for master in sorted(masters):
        slaves = [card.name for card in cards if card.master == master]
        bond = next((card for card in cards if card.name == master), None)
        words = bond.properties if bond else {}
        text = words.get("BONDING_OPTS") or words.get("BONDING_MODULE_OPTS") or ""
        kept: list[str] = []
        # The driver's own lists have commas, which here go between options.
        for word in sorted(text.replace(",", ";").split(), key=_bond_rank):
            tried = f"{master}:{','.join(slaves)}:{','.join([*kept, word])}"
            try:
                parse_bond(tried)
            except ValueError as error:
                assert bond
                doc.lose(bond.element, f"bonding option {word}", str(error))
            else:
                kept.append(word)
        found.append(":".join([master, ",".join(slaves), ",".join(kept)]).rstrip(":"))
    return found


def _bond_rank(word: str) -> int:
    """What others are only good with comes first."""
    return {"mode": 0, "arp_ip_target": 1}.get(word.partition("=")[0], 2)


def _vlans(doc: Document, cards: list[Card]) -> list[str]:
    found = []
    for card in cards:
        match = _VLAN.fullmatch(card.name)
        if not match:
            continue
        named = (card.properties[name] for name in _LOWER if card.properties.get(name))
        lower = match["lower"] or next(named, "")
        if lower:
            found.append(f"{card.name}:{lower}")
        else:
            hint = "name it INTERFACE.NUMBER, or give it a property PHYSDEV"
            doc.fail(card.element, f"does not say on which interface {card.name} lies", hint)
    return found


def _bridges(doc: Document, cards: list[Card], bridges: set[str]) -> list[str]:
    found = []
    for bridge in sorted(bridges):
        ports = [card.name for card in cards if card.bridge == bridge]
        if ports:
            found.append(f"{bridge}:{','.join(ports)}")
            continue
        (card,) = [card for card in cards if card.name == bridge][:1]
        hint = f'give the eth that belongs to it bridge="{bridge}"'
        doc.fail(card.element, f"no interface belongs to the bridge {bridge}", hint)
    return found


def _addresses(draft: Draft, node: NodeDraft, cards: list[Card]) -> None:
    """The node's address, that of the card with the default route, and those of all others."""
    doc = draft.doc
    given = [card for card in cards if card.address]
    static = [card for card in given if card.address != "dhcp"]
    order = [*(card for card in static if card.gateway), *static, *given]
    if not order:
        return
    main, others = order[0], []
    if main in static:
        node.address = main.address
        draft.set(main.element, "network", "gateway", main.gateway, node)
    draft.set(main.element, "network", "interface", main.name, node)
    draft.set(main.element, "network", "mtu", main.mtu, node)
    for card in given:
        if card.address == "dhcp" and card.gateway:
            doc.lose(card.element, f'gateway="{card.gateway}"', "DHCP tells the gateway")
        if card is main:
            continue
        mtu = f":{card.mtu}" if card.mtu else ""
        address, _, prefix = card.address.partition("/")
        others.append(
            f"{card.name}:dhcp{mtu}"
            if address == "dhcp"
            else f"{bracketed(address)}::{card.gateway}:{prefix}::{card.name}:none{mtu}"
        )
    draft.set(main.element, "network", "ip", others, node)
    for card in cards:
        if not card.address and card.mtu:
            why = "an interface without an address takes what lies above it"
            doc.lose(card.element, f"MTU {card.mtu} of {card.name}", why)
