"""Every option of every verb says what it is for."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from srbuild.cli.main import VERBS, cli


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for below in command.list_commands(context):
            found = command.get_command(context, below)
            assert found is not None
            yield from commands(found, f"{name} {below}")


COMMANDS = dict(commands(cli, "srbuild"))
OPTIONS = {
    f"{name} {option.opts[0]}": option
    for name, command in COMMANDS.items()
    for option in command.params
    if isinstance(option, click.Option)
}


def test_all_verbs_are_seen() -> None:
    assert {name.split()[1] for name in COMMANDS if " " in name} == set(VERBS)
    assert len(OPTIONS) > 40


@pytest.mark.parametrize("name", OPTIONS)
def test_an_option_has_help(name: str) -> None:
    assert len((OPTIONS[name].help or "").split()) > 1, f"{name} has no help"


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_help(name: str) -> None:
    assert COMMANDS[name].help, name
