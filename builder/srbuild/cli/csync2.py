"""`srbuild csync2`: csync2's configuration and key, for hosts that boot from disks of their own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from srbuild.paths import shown

if TYPE_CHECKING:
    from srbuild.hostfiles import HostEntry

CONFIG = "csync2.cfg"


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for csync2.cfg and the key; made when it is not there.",
)
@click.option("--check", is_flag=True, help="Write nothing: say what DIR differs in, exit code 7.")
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="A root whose own list, /.srbuild/list, and distribution count.  [default: all of the "
    "default list]",
)
@click.option(
    "--include", metavar="PATH", multiple=True, default=("/",), show_default=True,
    help="What is kept alike; may be repeated.",
)  # fmt: skip
@click.option("--exclude", metavar="PATH", multiple=True, help="What is not; may be repeated.")
@click.option(
    "--backup", metavar="DIR", default="/var/csync2/backup", show_default=True,
    help="Where the hosts keep what csync2 replaces.",
)  # fmt: skip
@click.option(
    "--generations", metavar="N", type=click.IntRange(0, 99), default=3, show_default=True,
    help="How many of each file.",
)  # fmt: skip
@click.option("--no-tls", is_flag=True, help="In the clear, on a network of the cluster's own.")
@click.option("--new-key", is_flag=True, help="Another key, although DIR has one.")
def csync2(
    file: Path,
    output: Path,
    check: bool,
    root: Path | None,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    backup: str,
    generations: int,
    no_tls: bool,
    new_key: bool,
) -> None:
    r"""Write csync2.cfg and the key from the cluster file FILE.

    One group with all nodes; all paths but those that belong to one host, which are the same as on
    a shared root; conflicts are reported, not decided. A key that is there stays.

    \b
      srbuild csync2 cluster.toml -o /etc            on each host, with one key for all
      srbuild csync2 cluster.toml -o /etc --check    does it still say what the cluster file does?
      csync2 -xvr / && csync2 -T                     csync2's own run, and its look for differences

    See docs/csync2.md.
    """
    import secrets

    from srbuild.config.cluster import load_cluster
    from srbuild.csync2 import KEY_ALPHABET, KEY_LENGTH, SyncWish, render_csync2, sync_patterns
    from srbuild.errors import SrbuildError
    from srbuild.host.files import make_private_folder, write_atomic
    from srbuild.pipeline import find_modules

    cluster = load_cluster(file, find_modules())
    key = f"csync2_{cluster.name}.key"
    wish = SyncWish(include, exclude, f"/etc/{key}", backup, generations, not no_tls)
    text = render_csync2(cluster, sync_patterns(cluster, _entries(root), wish), wish).encode()
    if check:
        _check(output, key, text)
        return
    try:
        make_private_folder(output)
    except OSError as error:
        raise SrbuildError(f"cannot make {output}: {error.strerror}") from error
    write_atomic(output / CONFIG, text)
    click.echo(shown(str(output / CONFIG)))
    if new_key or not (output / key).exists():
        chosen = "".join(secrets.choice(KEY_ALPHABET) for _ in range(KEY_LENGTH))
        write_atomic(output / key, f"{chosen}\n".encode(), secret=True)
        click.echo(f"{shown(str(output / key))}: new; every host needs this one")


def _entries(root: Path | None) -> tuple[HostEntry, ...]:
    from srbuild.hostfiles import default_entries

    if root is None:
        return tuple(entry for entry in default_entries() if entry.what != "mask")
    from srbuild.host.confined import Tree
    from srbuild.local.layout import rules

    tree = Tree(root)
    try:
        return tuple(rule.entry for rule in rules(tree, default_entries()))
    finally:
        tree.close()


def _check(folder: Path, key: str, wanted: bytes) -> None:
    """Print what the folder's csync2.cfg differs in; VerifyError when it does, or has no key."""
    import difflib

    from srbuild.errors import MissingInputError, VerifyError

    try:
        there = (folder / CONFIG).read_bytes()
        mode = (folder / key).stat().st_mode
    except OSError as error:
        raise MissingInputError(
            f"cannot read {error.filename}: {error.strerror}", "srbuild csync2, without --check"
        ) from error
    if mode & 0o077:
        raise VerifyError(f"others may read {folder / key}", f"chmod 600 {folder / key}")
    old, new = (data.decode("utf-8", "replace").splitlines() for data in (there, wanted))
    names = (str(folder / CONFIG), "the cluster file")
    changes = difflib.unified_diff(old, new, *names, lineterm="")
    for line in changes:
        click.echo(shown(line))
    if there != wanted:
        raise VerifyError(
            f"{folder / CONFIG} is not what the cluster file makes of it",
            "srbuild csync2, without --check, writes it anew",
        )
    click.echo("as the cluster file says")
