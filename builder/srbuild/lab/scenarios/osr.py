"""A cluster of Open Shared Root's, imported: cluster.conf and CDSL trees, on GFS2 over iSCSI."""

from __future__ import annotations

from dataclasses import replace

from srbuild.lab.cluster import BOTH, N1, N2
from srbuild.lab.lab import MAKER, Lab
from srbuild.lab.rows.blocks import IQN, PORTAL
from srbuild.lab.rows.filesystems import GFS2
from srbuild.lab.rows.row import Storage
from srbuild.lab.scenario import Scenario
from srbuild.lab.steps import BOOT, leave

_NODE = """\
    <clusternode name="n{id}" nodeid="{id}" votes="1">
      <com_info>
        <eth name="eth0" mac="52:54:00:00:00:0{id}" ip="10.9.0.2{id}" mask="255.255.255.0"/>
        <rootvolume name="/dev/sda" fstype="gfs" mountopts="noatime"/>
        <rootsource name="iscsi://10.9.0.1/"/>
        <syslog name="10.9.0.254"/>
      </com_info>
    </clusternode>
"""
CLUSTER_CONF = f"""\
<?xml version="1.0"?>
<cluster name="lab" config_version="7" type="gfs">
  <cman two_node="1" expected_votes="1"/>
  <clusternodes>
{_NODE.format(id=1)}{_NODE.format(id=2)}  </clusternodes>
</cluster>
"""
"""As OSR's documentation has one, the root on GFS over iSCSI; nothing fences."""

OWN = {"1": "n1", "2": "n2"}  # OSR's trees go by the nodes' numbers
_SERVED = f'{MAKER}[iscsi-target]\ndevice = "/dev/vda"\ntarget = "{IQN}"\nportal = "{PORTAL}"\n'
DISK = replace(GFS2.disk, job="make-gfs2-osr")


def imported(lab: Lab) -> None:
    """Two nodes boot by what `srbuild import` made, and find their own in OSR's trees."""
    from srbuild.osr.clusterconf import import_cluster
    from srbuild.pipeline import find_modules

    made = import_cluster(CLUSTER_CONF.encode(), "cluster.conf", find_modules(), unsafe=True)
    told = "\n".join(map(str, made.losses))
    lab.expect("gfs2_convert" in told, f"a word on GFS (1), but: {told}")
    lab.proof["losses"] = list(map(str, made.losses))
    storage = Storage(lab, GFS2, lab.serve(DISK, _SERVED))
    with lab.step("n1 and n2 boot, exchange tokens, and write what is their own"):
        held = [lab.hold(node, made.text, BOTH[node.name]) for node in (N1, N2)]
        for node, (_, agent) in zip((N1, N2), held, strict=True):
            agent.wait_ready(lab.left(BOOT))
            said = agent.require("write-cdsl", node.name)
            lab.expect(said == (f"of {node.name}",), f"{node.name}'s own hostname, but: {said}")
    for vm, agent in held:
        leave(lab, vm, agent)
    storage.check(BOTH)
    found = storage.order("list-cdsl", *OWN)
    lab.proof["own"] = list(found)
    wanted = tuple(
        f"{number} {what}{name} wrote"
        for number, name in OWN.items()
        for what in ("", "log ", "own ")
    )
    lab.expect(found == wanted, f"{wanted} in OSR's trees, but: {found}")


SCENARIOS = (
    Scenario(
        "osr-gfs2",
        "OSR's cluster.conf and CDSL trees, imported, boot two nodes on GFS2 over iSCSI",
        "gfs2",
        "iscsi",
        ("lab-gfs2", "iscsi-target"),
        imported,
    ),
)
