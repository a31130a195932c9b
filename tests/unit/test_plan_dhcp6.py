"""An interface that is to ask for DHCPv6 takes a client for it in the image."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.config.ipform import asks_dhcp6, parse_ipform
from srbuild.errors import ConfigError
from support.plans import Project

NETWORK = """
requires = ["core"]
[options.ip]
type = "ipform"
help = "ip= in any form"
many = true
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = Project(tmp_path)
    made.module("net", "network", NETWORK)
    made.module("net", "dhcp6", 'requires = ["core"]\n')
    return made


def cluster(project: Project, form: str) -> Path:
    node = '[[node]]\nname = "n1"\nid = 1\n'
    return project.cluster(f'name = "lab"\n[network]\nip = ["{form}"]\n{node}')


@pytest.mark.parametrize(
    "form",
    ["dhcp6", "either6", "eth0:dhcp6", "eth0:either6:9000", "::::n1:eth0:dhcp6"],
)
def test_without_a_client_it_is_an_error_that_names_the_module(project: Project, form: str) -> None:
    path = cluster(project, form)
    with pytest.raises(ConfigError) as caught:
        project.plan(modules=["network"], cluster=path)
    assert "asks for DHCPv6" in caught.value.message
    assert "--module dhcp6" in caught.value.hint
    assert str(caught.value.origin).endswith("network.ip")
    names = [
        module.name for module in project.plan(modules=["network", "dhcp6"], cluster=path).modules
    ]
    assert "dhcp6" in names


@pytest.mark.parametrize(
    "form",
    [
        "dhcp",
        "auto6",
        "eth0:auto6",
        "dhcp6:dhcp",  # an interface of that name
        "[2001:db8::2]::[2001:db8::1]:64:dhcp6:eth0:none",  # a host of that name
    ],
)
def test_other_words_take_no_client(project: Project, form: str) -> None:
    assert not asks_dhcp6(parse_ipform(form))
    assert project.plan(modules=["network"], cluster=cluster(project, form)).modules
