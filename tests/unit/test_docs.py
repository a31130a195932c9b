"""README and docs say what is so: every example is run or parsed, every link leads somewhere.

The words after a fenced block's language say how its example is proved:

- `sh`: run from top to bottom, all of a page in one folder, with `srbuild` on PATH and the tree
  that `make test` makes as build/sysroot
- `sh make`: targets of the Makefile, resolved by make
- `sh uki`: run with a stand-in for ukify on PATH, which not every distribution has
- `sh disk`: run with a stand-in for a boot loader in the folder
- `sh boot`: what needs virtual machines; parsed here, run by `make matrix`
- `toml module.toml`: a part of a boot module, read as one
- `toml cluster.toml`: a cluster file, read as one; the page's commands find it under that name
- `toml matrix.toml`: a matrix, read as one; the page's commands find it under that name
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from srbuild import errors
from srbuild.cli.main import VERBS, cli
from srbuild.cli.matrix import load_matrix
from srbuild.config.cluster import load_cluster
from srbuild.lab.scenario import find_scenario
from srbuild.pipeline import find_modules
from srbuild.spine import load_spine
from support.efi import efi_tools
from support.loaders import make_loader
from support.pages import host_files_page, options_page
from support.ukify import make_ukify

PROJECT = Path(__file__).resolve().parents[2]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^]]*\]\(([^)#\s]*)(?:#([^)\s]*))?\)")
KINDS = {"sh", "sh make", "sh uki", "sh disk", "sh boot", "toml cluster.toml"}
KINDS |= {"toml module.toml", "toml matrix.toml"}


@dataclass(frozen=True)
class Example:
    """A fenced block of a page."""

    page: Path
    kind: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Its command lines as words, assignments in front left out."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [shlex.split(line, comments=True) for line in lines]
        return [[w for w in line if not re.match(r"[A-Z_]+=", w)] for line in words if line]


EXAMPLES = [Example(p, *found) for p in PAGES for found in FENCE.findall(p.read_text())]


def of_kind(kind: str) -> list[object]:
    found = [example for example in EXAMPLES if example.kind == kind]
    assert found, f"no example of the kind {kind}: has the convention changed?"
    return [pytest.param(e, id=f"{e.page.stem}-{i}") for i, e in enumerate(found)]


def test_every_example_says_how_it_is_proved() -> None:
    assert {example.kind for example in EXAMPLES} <= KINDS
    fences = sum(page.read_text().count("```") for page in PAGES)
    assert fences == 2 * len(EXAMPLES), "an unbalanced or indented fence"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        if target.startswith("http"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.is_file(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(file), f"{page.name} links to {target}#{anchor}"


def anchors(page: Path) -> set[str]:
    """The anchors that the headings of a page get, as Git forges make them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 _-]", "", h.lower()).replace(" ", "-") for h in headings}


def test_every_page_is_in_the_index() -> None:
    listed = {target for target, _ in LINK.findall((PROJECT / "docs/index.md").read_text())}
    assert {page.name for page in PAGES} <= {Path(target).name for target in listed} | {"index.md"}


@pytest.mark.parametrize("example", of_kind("toml cluster.toml"))
def test_cluster_files_are_read(tmp_path: Path, example: Example) -> None:
    (tmp_path / "cluster.toml").write_text(example.text)
    cluster = load_cluster(tmp_path / "cluster.toml", find_modules())
    assert cluster.nodes
    assert cluster.fs
    chosen = filter(None, (cluster.fs, cluster.block, cluster.container))
    assert find_modules().resolve(["core", *chosen])


@pytest.mark.parametrize("example", of_kind("toml module.toml"))
def test_parts_of_boot_modules_are_read(tmp_path: Path, example: Example) -> None:
    folder = tmp_path / "base/example"
    folder.mkdir(parents=True)
    head = 'name = "example"\nkind = "base"\nsummary = "An example"\n'
    (folder / "module.toml").write_text(head + example.text)
    assert "example" in find_modules((tmp_path,)).modules


@pytest.mark.parametrize("example", of_kind("toml matrix.toml"))
def test_matrices_are_read(tmp_path: Path, example: Example) -> None:
    (tmp_path / "matrix.toml").write_text(example.text)
    assert len(load_matrix(str(tmp_path / "matrix.toml")).rows) > 1


@pytest.mark.parametrize("example", of_kind("sh make"))
def test_make_targets_exist(example: Example) -> None:
    for words in example.commands:
        assert words[0] == "make"
        argv = ["make", "-n", *words[1:]]
        subprocess.run(argv, cwd=PROJECT, check=True, capture_output=True, timeout=60)


@pytest.mark.parametrize("example", of_kind("sh boot"))
def test_boot_commands_can_be_parsed(
    example: Example, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "build").mkdir()
    monkeypatch.chdir(tmp_path)
    for words in example.commands:
        Path(words[words.index("test") + 1]).touch()
        verb = parse(words)
        assert verb == "test"
        assert find_scenario(words[words.index("--scenario") + 1])


def parse(words: list[str]) -> str:
    """The verb of an srbuild command line; click raises for what it doesn't know."""
    assert words[0] == "srbuild"
    group = cli.make_context("srbuild", list(words[1:]))
    _, command, args = cli.resolve_command(group, [*group._protected_args, *group.args])
    assert isinstance(command, click.Command)
    command.make_context(command.name, list(args), parent=group)
    return str(command.name)


@pytest.mark.parametrize("page", [p for p in PAGES if "\n```sh\n" in p.read_text()], ids=str)
def test_commands_work(page: Path, sysroot: Path, tmp_path: Path) -> None:
    """All `sh` examples of a page after each other, in a folder that holds its cluster file."""
    script = "".join(e.text for e in EXAMPLES if e.kind == "sh" and e.page == page)
    run_commands(script, page, sysroot, tmp_path)


@pytest.mark.parametrize("example", of_kind("sh uki"))
def test_commands_that_need_ukify_work(example: Example, sysroot: Path, tmp_path: Path) -> None:
    folder = make_ukify(tmp_path / "bin")
    script = f"PATH={shlex.quote(str(folder))}:$PATH\n{example.text}"
    run_commands(script, example.page, sysroot, tmp_path)
    [made] = (tmp_path / "build").glob("*.efi")
    assert made.stat().st_size


@pytest.mark.parametrize("example", of_kind("sh disk"))
def test_commands_that_need_a_boot_loader_work(
    example: Example, sysroot: Path, tmp_path: Path
) -> None:
    make_loader(tmp_path / "systemd-bootx64.efi")
    run_commands(example.text, example.page, sysroot, tmp_path)
    [made] = tmp_path.glob("*.img")
    assert made.stat().st_size


def run_commands(script: str, page: Path, sysroot: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/sysroot").symlink_to(sysroot)
    clusters = [e.text for e in EXAMPLES if e.kind == "toml cluster.toml" and e.page == page]
    others = [e.text for e in EXAMPLES if e.kind == "toml cluster.toml"]
    (tmp_path / "cluster.toml").write_text((clusters or others)[0])
    for example in EXAMPLES:
        if example.kind == "toml matrix.toml" and example.page == page:
            (tmp_path / "matrix.toml").write_text(example.text)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        ["bash", "-eux", "-o", "pipefail", "-c", script],
        cwd=tmp_path,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, f"{done.stderr[-3000:]}"


@pytest.mark.boot
@pytest.mark.matrix
@pytest.mark.parametrize("example", of_kind("sh boot"))
def test_boot_commands_work(example: Example, sysroot: Path, tmp_path: Path) -> None:
    (tmp_path / "build").mkdir()
    (tmp_path / "build/sysroot").symlink_to(sysroot)
    # The image of the first command's scenario, which is that of all.
    first = example.commands[0]
    scenario = find_scenario(first[first.index("--scenario") + 1])
    needs_ukify = scenario.name.endswith("-uefi")
    path = efi_tools(PROJECT, tmp_path / "bin").path if needs_ukify else os.environ["PATH"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{path}",
        "XDG_CACHE_HOME": str(PROJECT / "build/cache"),  # the lab's disks are used again
    }
    block = f" --blk {scenario.blk}" if scenario.blk else ""
    image = first[first.index("test") + 1]
    block += "".join(f" --module {name}" for name in scenario.modules)
    build = f"srbuild --fs {scenario.fs}{block} --sysroot build/sysroot -o {image}\n"
    argv = ["bash", "-eu", "-c", build + example.text]
    subprocess.run(argv, cwd=tmp_path, env=environment, check=True, timeout=280)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    table = dict(
        re.findall(r"^\| (\d) \| ([^:|]*)", (PROJECT / "README.md").read_text(), re.MULTILINE)
    )
    found = {
        str(kind.exit_code)
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.SrbuildError)
    }
    assert set(table) == found | {"0"}


def test_every_verb_is_documented() -> None:
    text = "".join(page.read_text() for page in PAGES)
    for verb in VERBS:
        assert re.search(rf"\bsrbuild {verb}\b", text), verb


def test_the_points_are_those_of_the_boot() -> None:
    spine = load_spine(PROJECT / "hooks")
    told = re.findall(
        r"^\| `([a-z]+)` \| [^|]* \|$", (PROJECT / "docs/boot.md").read_text(), re.MULTILINE
    )
    points = [name for name in told if name not in {"resume", "reboot"}]
    assert points == list(spine.points)


def test_the_parameters_of_the_boot_itself_are_documented() -> None:
    texts = [(PROJECT / "hooks" / name).read_text() for name in ("spine.sh", "lib/report.sh")]
    asked = set(re.findall(r"\b(rd\.[a-z._]+)\b", "".join(texts)))
    told = set(
        re.findall(r"^\| `(rd\.[a-z._]+)", (PROJECT / "docs/boot.md").read_text(), re.MULTILINE)
    )
    assert told == asked


def test_the_options_page_is_made_from_the_declarations() -> None:
    written = (PROJECT / "docs/options.md").read_text()
    assert written == options_page(), "run: make docs"


def test_the_list_of_host_specific_paths_is_made_from_the_boots_own() -> None:
    page = PROJECT / "docs/host-files.md"
    assert page.read_text() == host_files_page(page), "run: make docs"
