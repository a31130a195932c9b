"""`srbuild import --lists`: OSR's lists of files, packages and filters as a boot module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from srbuild.bootmodule import Module
from srbuild.catalog import load_catalog
from srbuild.errors import SrbuildError
from srbuild.osr.lists import read_lists
from srbuild.osr.sitemodule import module_text
from support.commands import Done

Run = Callable[..., Done]
REST = "1234567 0123456789abcdef"


def dump(*rows: tuple[str, str, int]) -> str:
    """What `rpm -q --dump` prints of files by path, mode and whether they are documentation."""
    return "".join(f"{p} 100 {REST} {mode} root root 0 {doc} 0 X\n" for p, mode, doc in rows)


@pytest.fixture
def site(srbuild: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which commands run, with OSR's lists, dumps, and a sysroot of two programs."""
    assert srbuild  # which has a folder of its own
    folder = tmp_path / "site"
    for name in ("lists/files.initrd.d/rhel5", "lists/rpms.initrd.d", "dumps", "root/usr/bin"):
        (folder / name).mkdir(parents=True)
    for name in ("strace", "sed"):
        (folder / "root/usr/bin" / name).touch()
    monkeypatch.chdir(folder)
    return folder


def imported(srbuild: Run, *more: str) -> tuple[Module, list[str]]:
    """The module, and what was said."""
    done = srbuild("import", "--lists", "lists", "-o", "out/base/tools", *more)
    assert done.code == 0, done.err
    assert done.out == "out/base/tools: build with --module-path out --module tools\n"
    notes = [line.removeprefix("srbuild: note: ") for line in done.err.splitlines()]
    text = Path("out/base/tools/module.toml").read_text()
    assert [line[4:] for line in text.splitlines() if line.startswith("# - ")] == notes
    return load_catalog([Path("out")]).modules["tools"], notes


def test_files_lists(site: Path, srbuild: Run) -> None:
    command = "$(ls /etc/comoonics/bootimage/files.initrd.d/*.list)"
    (site / "lists/basefiles.list").write_text(
        f"@include {command}\n"
        "@include /etc/comoonics/bootimage/files.initrd.d/rhel5\n"
        "@include /opt/own.list\n"
    )
    (site / "lists/files.initrd.d/tools.list").write_text(
        "# what one needs\nstrace\n/etc/hosts   # names\n/lib/udev/*.rules\n/var/lib/x/\n"
        "@map&/etc/passwd&/etc/passwd.osr\n"
    )
    (site / "lists/files.initrd.d/rhel5/more.list").write_text("/usr/sbin/lsof\nstrace\n")
    module, notes = imported(srbuild)
    install = module.install
    assert install.binaries == ("strace",)
    paths = ["/usr/sbin/lsof", "/etc/hosts", "/lib/udev/*.rules", "/etc/passwd"]
    assert [wish.source for wish in install.files] == paths
    assert install.files[-1].target == "/etc/passwd.osr"
    assert install.dirs == ("/var/lib/x",)
    first, second = notes
    why = "no command is run; all *.list files here are read anyway"
    assert first == f"basefiles.list:1: @include {command}: {why}"
    assert second.startswith("basefiles.list:3: @include /opt/own.list: it is not below")


def test_nothing_is_run(site: Path, srbuild: Run) -> None:
    lines = ["$(touch gone)", "`touch gone`", "a;touch gone", "/x|touch gone", '"/a b"', "${HOME}"]
    (site / "lists/a.list").write_text("".join(f"{line}\n@include {line}\n" for line in lines))
    module, notes = imported(srbuild)
    assert not module.install.names
    assert len(notes) == 2 * len(lines)
    assert not (site / "gone").exists()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("@perlcc", "srbuild has nothing of the kind"),
        ("@mapfile /etc/map", "srbuild has nothing of the kind"),
        ("@map&relative&/x", "FROM and TO must be paths of files"),
        ("@map&/a*&/x", "FROM and TO must be paths of files"),
        ("/dev/null", "the kernel makes it"),
        ("/lib/modules/2.6.18/x.ko", "kernel modules go by their names"),
        ("/etc/../etc/shadow", "it is no absolute path"),
        ("bin/sh", "it is no absolute path"),
        ("//", "it is no absolute path"),
        ("strace sometimes", "it has more"),
    ],
)
def test_lines_that_cannot_come_along_are_told(
    site: Path, srbuild: Run, line: str, why: str
) -> None:
    (site / "lists/a.list").write_text(f"\n{line}\n")
    module, (note,) = imported(srbuild)
    assert not module.install.names
    assert note.startswith("a.list:2: ")
    assert why in note


def test_what_is_optional_is_taken_where_the_sysroot_has_it(site: Path, srbuild: Run) -> None:
    (site / "lists/a.list").write_text("strace optional\nlsof ignoremissing\n/etc/no optional\n")
    module, notes = imported(srbuild)
    assert not module.install.names
    assert len(notes) == 3
    text = Path("out/base/tools/module.toml").read_text()
    assert 'binaries = [\n    # "strace", # optional\n    # "lsof", # optional\n]' in text
    assert 'files = [\n    # "/etc/no", # optional\n]' in text
    Path("out/base/tools/module.toml").unlink()
    Path("out/base/tools").rmdir()
    module, notes = imported(srbuild, "--sysroot", "root")
    assert module.install.binaries == ("strace",)
    assert [note.partition(": ")[2] for note in notes] == [
        "lsof: optional, and the sysroot has it not",
        "/etc/no: optional, and the sysroot has it not",
    ]


def test_packages_by_what_rpm_says_of_them(site: Path, srbuild: Run) -> None:
    (site / "lists/rpms.initrd.d/a.list").write_text(
        "whole\nsome ^/usr/(s)?bin \\.py$\nsome2 ^/usr/(lib|bin)/ \\.py$\nno - /bin/\nkmod-x\n"
        "absent\nabsent2 optional\nwild ((a+)+)+$\nmuch .*.*.*.*x\nbad;name\n"
    )
    (site / "lists/filters.list").write_text("/locale/\n\\.pyc$\na\\+\n")
    (site / "lists/filters.initrd.d").mkdir()
    (site / "lists/filters.initrd.d/kernel.list").write_text("./kernel/sound\n")
    files = [("/usr/bin/a", "0100755", 0), ("/usr/lib/b.py", "0100644", 0)]
    some = dump(*files, ("/usr/bin/c.py", "0100755", 0), ("/usr/lib/d.pyc", "0100644", 0))
    whole = dump(
        ("/etc/whole", "040755", 0),
        ("/etc/whole/with space", "0100644", 0),
        ("/usr/share/doc/whole", "0100644", 1),
        ("/usr/share/locale/de", "0100644", 0),
        ("/usr/bin/link", "0120777", 0),
    )
    texts = {"whole": whole + "nonsense\n", "some2": some, "no": some, "wild": some, "much": some}
    kmod = dump(("/lib/modules/2.6.18/extra/x-y.ko.gz", "0100644", 0))
    for name, text in {**texts, "some": some, "kmod-x": kmod}.items():
        (site / "dumps" / name).write_text(text)
    module, notes = imported(srbuild, "--rpm-dumps", "dumps")
    found = [wish.source for wish in module.install.files]
    assert found == ["/etc/whole/with space", "/usr/bin/link", "/usr/bin/a", "/usr/lib/b.py"]
    assert module.install.kmods == ("x-y",)
    assert module.packages.rhel == ("absent",)
    said = "\n".join(notes)
    for what in (
        "filters.list:3: a\\+: OSR and srbuild would not read this pattern alike",
        "filters.initrd.d/kernel.list:1: ./kernel/sound: boot modules name the kernel's modules",
        "a.list:1: whole: nonsense: it is no line of rpm -q --dump",
        "a.list:2: ^/usr/(s)?bin: OSR and srbuild would not read this pattern alike",
        "a.list:6: absent: its files are not known",
        "a.list:7: absent2: its files are not known",
        "a.list:8: ((a+)+)+$: OSR and srbuild would not",
        "a.list:9: .*.*.*.*x: the pattern is too long, or repeats too often",
        "a.list:10: bad;name: it is no package's name",
    ):
        assert what in said


@pytest.mark.parametrize(
    ("args", "code", "what"),
    [
        ((), 2, "a cluster.conf, or --lists, is what there is to import"),
        (("c.conf", "--lists", "lists"), 2, "--lists makes a boot module"),
        (("--lists", "lists", "--force"), 2, "--lists makes a boot module"),
        (("c.conf", "--sysroot", "root"), 2, "is what there is to import"),
        (("--lists", "dumps"), 4, "has no *.list files"),
        (("--lists", "lists", "-o", "tools"), 2, "end it in KIND/NAME"),
        (("--lists", "lists", "-o", "out/base/No Name"), 3, "must be a name in a-z"),
        (("--lists", "lists", "-o", "lists/base/there"), 1, "cannot make"),
    ],
)
def test_wrong_calls(site: Path, srbuild: Run, args: tuple[str, ...], code: int, what: str) -> None:
    (site / "lists/a.list").write_text("strace\n")
    (site / "lists/base/there").mkdir(parents=True)
    done = srbuild("import", *args)
    assert done.code == code, done.err
    assert what in done.err
    assert not (site / "out").exists()


def test_links_are_not_followed_and_numbers_are_bounded(site: Path, srbuild: Run) -> None:
    (site / "lists/a.list").write_text("strace\n")
    (site / "lists/loop").symlink_to(".")
    (site / "lists/b.list").symlink_to("/etc/passwd")
    module, notes = imported(srbuild)
    assert (module.install.binaries, notes) == (("strace",), [])
    for number in range(2001):
        (site / f"dumps/{number}").touch()
    done = srbuild("import", "--lists", "lists", "--rpm-dumps", "dumps", "-o", "o/base/x")
    assert done.code == 3
    assert "holds more than 2000 files" in done.err


WORDS = st.sampled_from(
    ["strace", "/etc/a b", "@include", "@map&/a&/b", "optional", "-", "$(x)", "^/usr", ".*", "\\",
     "(", "[a", "/x/", "#", "\n", "\t", "é", "\x7f", "\0", "a*b?", '"', "]", "{3}", "/dev/x"]
)  # fmt: skip
TEXT = st.one_of(
    st.binary(max_size=60), st.lists(WORDS, max_size=8).map(lambda words: " ".join(words).encode())
)


@given(files=TEXT, rpms=TEXT, filters=TEXT, rows=TEXT)
def test_any_lists_make_a_module_or_are_refused(
    files: bytes, rpms: bytes, filters: bytes, rows: bytes
) -> None:
    lists = {"a.list": files, "rpms.d/b.list": b"pkg ^/ -\n" + rpms, "filters.list": filters}
    shipped = dump(("/usr/bin/a", "0100755", 0)).encode() + rows
    wishes = read_lists(lists, {"pkg": shipped})
    try:
        text = module_text(wishes, Path("modules/base/site"), "lists")
    except SrbuildError:
        return
    assert "requires" in text
