"""com_info's rootvolume, rootsource and scsi → [fs], [block], [lvm] and [multipath]."""

from __future__ import annotations

import re
from typing import Final

from srbuild.formats.xmltree import Element
from srbuild.frozen import frozen
from srbuild.osr.document import Document
from srbuild.osr.draft import Draft, NodeDraft

_FS: Final = {  # OSR's names that are not the boot modules' own
    "gfs": "gfs2",
    "nfs4": "nfs",
    "ext2": "ext4",
    "ext3": "ext4",
}
_CONVERT: Final = (
    "no kernel of today has GFS (1): gfs2_convert makes GFS2 of it, which is used here"
)
# Folders of /dev that are no volume groups.
_NO_GROUPS: Final = frozenset(
    {"disk", "mapper", "mpath", "block", "md", "cciss", "ida", "rd", "drbd", "vx", "gnbd", "pool"}
)
_ISCSI = re.compile(r"iscsi://(?P<portal>\[[^]/]*\](?::[0-9]+)?|[^/]*)(?:/(?P<initiator>.*))?")
_MAPPED = re.compile(r"/dev/(?:mapper|mpath)/(?P<name>[^/]+?)(?P<part>(?:-part|p)[0-9]+)?")
_WWID = re.compile(r"[0-9a-f]{17,33}")
_FRIENDLY = re.compile(r"mpath.+")


@frozen
class Root:
    """What one node says of its root, and where."""

    element: Element
    fstype: str
    name: str
    source: str
    options: str


def read_root(doc: Document, info: Element) -> Root | None:
    """The root that `info` describes, None when it names none."""
    volume, source = doc.child(info, "rootvolume"), doc.child(info, "rootsource")
    if volume is None:
        return None
    name = doc.get(volume, "name")
    if not name:
        doc.fail(volume, "has no name", "name the root's disk, export or volume")
        return None
    fstype = doc.get(volume, "fstype").lower() or "gfs"  # OSR's own default
    named = doc.get(source, "name") if source else ""
    return Root(volume, fstype, name, named, doc.get(volume, "mountopts"))


def choose_root(draft: Draft, roots: list[tuple[NodeDraft, Root]]) -> None:
    """Choose file system and block device; what keeps it from that is an error in the draft."""
    doc, (_, root) = draft.doc, roots[0]
    for _, other in roots[1:]:
        if (other.fstype, other.name) != (root.fstype, root.name):
            doc.fail(
                other.element,
                f"{other.fstype} {other.name}, but {root.fstype} {root.name} in line"
                f" {root.element.line}: all nodes share one root",
                "import the nodes of each root apart",
            )
            return
        if other.options not in {"", root.options}:
            why = f"all nodes mount as the one of line {root.element.line}"
            doc.lose(other.element, f'mountopts="{other.options}"', why)
    module = _FS.get(root.fstype, root.fstype)
    if module not in {one.name for one in draft.catalog.of_kind("fs")}:
        known = ", ".join(sorted(one.name for one in draft.catalog.of_kind("fs")))
        hint = f"fstype is {', '.join(_FS)}, or one of {known}"
        doc.fail(root.element, f"no boot module mounts {root.fstype}", hint)
        return
    draft.choose("fs", module)
    draft.choose("container", "none")
    if root.fstype == "gfs":
        doc.lose(root.element, 'fstype="gfs"', _CONVERT)
    if root.fstype in {"ext2", "ext3"}:
        doc.lose(root.element, f'fstype="{root.fstype}"', "the driver ext4 mounts it")
    if module == "nfs":
        _nfs(draft, root)
    elif module == "glusterfs":
        _gluster(draft, root)
    else:
        _disk(draft, roots)
    _options(draft, root, module)


def _options(draft: Draft, root: Root, module: str) -> None:
    """The mount options, each word as the boot module takes it."""
    kept = []
    for word in root.options.split(","):
        name, _, value = word.partition("=")
        if module == "nfs" and name in {"vers", "nfsvers"}:
            draft.set(root.element, "nfs", "version", value)
        elif name in {"defaults", "_netdev", "lockproto", "locktable"}:
            why = "a word for mount(8)" if name[0] in "_d" else "GFS2 has it in its superblock"
            draft.doc.lose(root.element, f"mount option {word}", why)
        elif word:
            try:
                kept.append(draft.option(module, "options").parse(word.strip()))
            except ValueError as error:
                draft.doc.lose(root.element, f"mount option {word}", str(error))
    draft.set(root.element, module, "options", ",".join(kept))


def _nfs(draft: Draft, root: Root) -> None:
    server, colon, path = root.name.rpartition(":")
    if not colon or not path.startswith("/"):
        draft.doc.fail(
            root.element, f"{root.name!r} is not SERVER:/PATH", "an NFS root is so named"
        )
        return
    draft.set(root.element, "nfs", "server", [server])
    draft.set(root.element, "nfs", "path", path)
    draft.set(root.element, "nfs", "version", "4" if root.fstype == "nfs4" else "3")
    if root.source:
        draft.doc.lose(root.element, f"rootsource {root.source}", "an NFS root has no block device")


def _gluster(draft: Draft, root: Root) -> None:
    server, colon, volume = root.name.rpartition(":")
    if colon:
        draft.set(root.element, "glusterfs", "server", server.split(","))
        draft.set(root.element, "glusterfs", "volume", volume.lstrip("/"))
    else:
        draft.set(root.element, "glusterfs", "volfile", root.name)
        why = "comes into the image by a boot module of your own: docs/glusterfs.md"
        draft.doc.lose(root.element, f"the volume file {root.name}", why)
    if root.source:
        why = "bricks on the nodes are named in [node.gluster-bricks]: docs/glusterfs.md"
        draft.doc.lose(root.element, f"rootsource {root.source}", why)


def _disk(draft: Draft, roots: list[tuple[NodeDraft, Root]]) -> None:
    """A root on a disk: how it is attached, and how it is named."""
    root = roots[0][1]
    source = root.source or root.name
    if source.startswith("iscsi:"):
        block = "iscsi"
        draft.choose("block", block)
        for node, one in roots:
            _iscsi(draft, node, one, one is root)
    elif source.startswith(("drbd", "/dev/drbd")):
        block = "drbd"
        draft.choose("block", block)
        _drbd(draft, root)
    elif source.startswith(("gnbd", "pool", "/dev/gnbd", "/dev/pool")):
        hint = "bring the root to iSCSI, AoE or Fibre Channel, and name it here"
        draft.doc.fail(root.element, f"{source}: GNBD and pools are gone since RHEL 5", hint)
        return
    else:
        block = "scsi"
        draft.choose("block", block)
        if root.source and root.source != root.name:
            why = "the root is found by its own name; [block] tells how disks are attached"
            draft.doc.lose(root.element, f"rootsource {root.source}", why)
    _volume(draft, root, block)


def _iscsi(draft: Draft, node: NodeDraft, root: Root, is_first: bool) -> None:
    found = _ISCSI.fullmatch(root.source)
    if not found:
        hint = "it is iscsi://HOST[:PORT]/[INITIATOR]"
        draft.doc.fail(root.element, f"{root.source!r} is no portal", hint)
        return
    if is_first and found["portal"]:
        draft.set(root.element, "iscsi", "portal", [found["portal"]])
        draft.set(root.element, "iscsi", "discovery", "sendtargets")
    elif is_first:
        why = "it logged in to the records of iscsid: name portal and target in [block]"
        draft.doc.lose(root.element, f"rootsource {root.source}", why)
    elif found["portal"] != draft.tables["block"].get("portal", [""])[0]:  # type: ignore[index]
        why = "all nodes have the portals of [block]: add it there"
        draft.doc.lose(root.element, f"rootsource {root.source}", why)
    draft.set(root.element, "iscsi", "initiator", found["initiator"] or "", node)


def _drbd(draft: Draft, root: Root) -> None:
    minor = re.fullmatch(r"/dev/drbd([0-9]+)", root.name)
    if minor:
        draft.set(root.element, "drbd", "minor", minor[1])
    if root.fstype == "ocfs2":
        draft.ask("ocfs2-pcmk")
        why = (
            "its heartbeat needs a disk that all see, so corosync takes its place: once, with all"
            " nodes down, run tunefs.ocfs2 --update-cluster-stack"
        )
        draft.doc.lose(root.element, "O2CB on a mirror", why)
    if draft.drbd:
        draft.set(root.element, "drbd", "config", draft.drbd)
        return
    hint = "copy drbd.conf's resources into a folder beside the result as *.res: --drbd FOLDER"
    what = root.source or root.name
    draft.doc.fail(root.element, f"{what}: only drbd.conf tells the disks below the mirror", hint)


def _volume(draft: Draft, root: Root, block: str) -> None:
    """How the root's disk is named: a logical volume, a multipath device, or a disk."""
    doc = draft.doc
    volume = _logical_volume(root.name)
    if volume:
        draft.set(root.element, "lvm", "vg", volume[0])
        draft.set(root.element, "lvm", "lv", [volume[1]])
        if block == "scsi":
            why = (
                "which disks hold the group is not said: [block] device names one, [lvm] pv others"
            )
            doc.lose(root.element, root.name, why)
        return
    mapped = _MAPPED.fullmatch(root.name)
    if mapped and _WWID.fullmatch(mapped["name"]):
        part = re.sub(r"\D", "", mapped["part"] or "")
        name = f"WWN={mapped['name']}" + (f"-part{part}" if part else "")
    elif mapped:
        draft.ask("multipath")
        why = "a name that multipath.conf made up: set [block] device to the disk's WWN=…"
        doc.lose(root.element, root.name, why)
        return
    else:
        name = root.name
    if re.fullmatch(r"/dev/(sd|hd|vd|xvd)[a-z]+[0-9]*", name):
        doc.lose(root.element, name, "kept, but such names change: UUID= or WWN= does not")
    if block == "scsi":
        draft.set(root.element, "scsi", "device", name)
    elif block == "iscsi":
        draft.set(root.element, draft.chosen["fs"], "device", name)


def _logical_volume(name: str) -> tuple[str, str] | None:
    """Group and volume of /dev/VG/LV or /dev/mapper/VG-LV, where hyphens are doubled."""
    found = re.fullmatch(r"/dev/([^/]+)/([^/]+)", name)
    if not found:
        return None
    if found[1] not in _NO_GROUPS:
        return found[1], found[2]
    pair = re.fullmatch(r"((?:[^-]|--)+)-((?:[^-]|--)+)", found[2])
    if found[1] == "mapper" and pair and not _FRIENDLY.fullmatch(found[2]):
        return pair[1].replace("--", "-"), pair[2].replace("--", "-")
    return None


def read_scsi(draft: Draft, info: Element) -> None:
    """com_info's scsi: how paths are joined, and with which drivers."""
    doc = draft.doc
    for one in doc.children(info, "scsi"):
        doc.lose_value(one, "driver", "drivers are loaded for the hardware that is there")
        doc.lose_value(one, "name", "drivers are loaded for the hardware that is there")
        failover = doc.get(one, "failover").lower()
        if failover in {"mapper", "devicemapper", "rdac"}:
            draft.ask("multipath")
        if failover == "rdac":
            why = "the kernel's own multipath takes the place of the vendor's driver"
            doc.lose(one, 'failover="rdac"', why)
        elif failover not in {"", "driver", "mapper", "devicemapper"}:
            doc.lose_value(one, "failover", "OSR knew driver, mapper and rdac")
