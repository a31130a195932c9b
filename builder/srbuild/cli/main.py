"""`srbuild`: the entry point, its verbs, and how errors reach a person or a pipeline."""

from __future__ import annotations

import gc
import importlib
import os
import sys
from collections.abc import Sequence

import click

from srbuild.errors import ErrorGroup, SrbuildError, UsageError
from srbuild.paths import shown

# Verb → module and attribute. A verb's module is imported only when that verb runs or helps.
VERBS = {
    "build": ("srbuild.cli.build", "build"),
    "check": ("srbuild.cli.build", "check"),
    "matrix": ("srbuild.cli.matrix", "matrix"),
    "list": ("srbuild.cli.inspect", "list_image"),
    "verify": ("srbuild.cli.inspect", "verify"),
    "why": ("srbuild.cli.views", "why"),
    "size": ("srbuild.cli.views", "size"),
    "diff": ("srbuild.cli.views", "diff"),
    "sysroot": ("srbuild.cli.sysroot", "sysroot"),
    "modules": ("srbuild.cli.modules", "modules"),
    "hardware": ("srbuild.cli.hardware", "hardware"),
    "cluster": ("srbuild.cli.cluster", "cluster"),
    "import": ("srbuild.cli.importer", "import_"),
    "local": ("srbuild.cli.local", "local"),
    "bootstrap": ("srbuild.cli.bootstrap", "bootstrap"),
    "csync2": ("srbuild.cli.csync2", "csync2"),
    "test": ("srbuild.cli.test", "test"),
}
DEFAULT_VERB = "build"


HELP = """Build initrds that boot machines from one shared root, into a container.

\b
The main job:
  srbuild --fs gfs2 --blk iscsi --sysroot ROOT --cluster cluster.toml -o initrd.img
It is short for `srbuild build …`. Each verb explains itself with --help.
"""


class Verbs(click.Group):
    """Loads verbs lazily; options without a verb mean `build`."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the verbs in the order in which a newcomer meets them."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module and return its command; None for an unknown verb."""
        if cmd_name not in VERBS:
            return None
        module, attribute = VERBS[cmd_name]
        command = getattr(importlib.import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the verb; an unknown one is a usage error that says which was probably meant."""
        if args[0] not in VERBS:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, 1)
            hint = f"Did you mean '{near[0]}'?" if near else f"Known: {', '.join(VERBS)}."
            ctx.fail(f"No such command '{args[0]}'. {hint}")
        return super().resolve_command(ctx, args)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default verb before options that no group knows."""
        own = {"--help", "--version", "-h"}
        if args and args[0].startswith("-") and args[0] not in own:
            args = [DEFAULT_VERB, *args]
        return super().parse_args(ctx, args)


@click.command(
    cls=Verbs,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 configuration, 4 missing input, 5 conflict, "
    "6 external tool, 7 verification failed, 8 over the size budget.",
)
@click.version_option(package_name="srbuild")
def cli() -> None:
    """Build initrds that boot machines from one shared root, into a container."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line and exit with the code that `srbuild --help` documents.

    Whatever is no SrbuildError is a bug and leaves its traceback.
    """
    # A verb makes many objects, hardly a cycle among them, and ends: collecting is time lost.
    gc.disable()
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        status = cli.main(args=args, prog_name="srbuild", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        if "--json" in args:
            _print_errors([UsageError(error.format_message())])
        status = error.exit_code
    except click.Abort:
        click.echo("srbuild: interrupted", err=True)
        status = 130
    except SrbuildError as error:
        _report(error, as_json="--json" in args)
        status = error.exit_code
    except BrokenPipeError:
        # The reader has gone: nobody is left to tell. Keep the interpreter's own flush quiet.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    # The interpreter collects once more when it ends, whatever is disabled: an eighth of `check`.
    gc.freeze()
    sys.exit(status if isinstance(status, int) else 0)


def _report(error: SrbuildError, *, as_json: bool) -> None:
    from srbuild.cli.output import LINES

    errors = error.errors if isinstance(error, ErrorGroup) else (error,)
    for one in errors:
        click.echo(f"srbuild: error: {shown(str(one), keep=LINES)}", err=True)
    if len(errors) > 1:
        click.echo(f"srbuild: {len(errors)} errors; nothing was written", err=True)
    if as_json:
        _print_errors(errors)


def _print_errors(errors: Sequence[SrbuildError]) -> None:
    """Print the JSON document that a failed verb leaves in place of its result."""
    from srbuild.cli.output import error_rows, print_json

    code = errors[0].exit_code
    print_json({"schema": "srbuild.error/1", "exit_code": code, "errors": error_rows(errors)})
