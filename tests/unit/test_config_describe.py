"""Option tables for the documentation."""

from __future__ import annotations

from pathlib import Path

from srbuild.bootmodule import Module, Option
from srbuild.config.describe import option_table


def test_a_table_says_all_that_an_option_declares() -> None:
    options = (
        Option("portal", "endpoint", "a | b", many=True, required="always", cmdline=("netroot",)),
        Option("method", "enum", "how", required="several-nodes", choices=("x", "y")),
        Option("secret", "word", "s", secret=True, scope="node"),
        Option("time", "seconds", "t", default=("120",)),
        Option("flags", "flags", "f", refused={"soft": "no", "vers": "no"}),
    )
    module = Module(Path("m"), "m", "net", "s", options={o.name: o for o in options})
    assert option_table(module).splitlines() == [
        "| option | type | default | meaning | kernel parameters |",
        "| --- | --- | --- | --- | --- |",
        r"| `portal` | list of endpoint |  | a \| b; required | `netroot` |",
        "| `method` | enum |  | how; one of `x`, `y`; required for several nodes |  |",
        "| `secret` | word |  | s; may differ from node to node; secret |  |",
        "| `time` | seconds | `120` | t |  |",
        "| `flags` | flags |  | f; never `soft`, `vers` |  |",
    ]


def test_no_options_make_no_table() -> None:
    assert option_table(Module(Path("m"), "m", "net", "s")) == ""
