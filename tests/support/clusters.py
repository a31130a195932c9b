"""Cluster files that tests of several kinds build with."""

from __future__ import annotations

CLUSTER = """
name = "lab"
[block]
type = "iscsi"
portal = ["10.9.0.1:3260"]
target = "iqn.2026-01.lab:root"
[fs]
type = "gfs2"
[fence]
method = "unsafe-none"
[[node]]
name = "n1"
id = 1
mac = ["52:54:00:00:00:01"]
address = "10.9.0.21/24"
[[node]]
name = "n2"
id = 2
mac = ["52:54:00:00:00:02"]
address = "10.9.0.22/24"
"""
# The same with an option of a module, and one of a node alone.
FULLER = (
    CLUSTER.replace("[fence]", "[corosync]\ntoken = 3000\n[fence]")
    + '[node.iscsi]\ninitiator = "iqn.2026-01.lab:second"\n'
)
