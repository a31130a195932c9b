"""The catalog: module.toml files, read whole and with every mistake named."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.bootmodule import Module
from srbuild.catalog import (
    FileWish,
    Install,
    Option,
    Packages,
    Run,
    Survive,
    Template,
    load_catalog,
)
from srbuild.errors import ConfigError, SrbuildError

POINTS = ("identity", "storage", "cleanup")

ISCSI = """
name = "iscsi"
kind = "block"
summary = "Attach a LUN"
requires = ["network"]
provides = ["block"]
conflicts = {aoe = "two block devices"}

[packages]
debian = ["open-iscsi"]
rhel = ["iscsi-initiator-utils"]

[options.portal]
type = "endpoint"
help = "host[:port] of the target"
many = true
required = "always"
cmdline = ["netroot", "rd.srb.iscsi.portal"]

[options.login_timeout]
type = "seconds"
help = "how long a login may take"
default = "2m"

[options.chap_secret]
type = "string"
help = "the CHAP secret"
secret = true
scope = "node"

[install]
binaries = ["iscsid"]
libraries = ["libisns.so.0"]
kmods = ["iscsi_tcp"]
optional_kmods = ["be2iscsi"]
firmware = ["bnx2/*"]
plugins = ["{libdir}/x/*.so"]
files = ["/etc/iscsi/*", {source = "/etc/a", target = "/lib/b"}]
dirs = ["/var/lib/iscsi"]

[[template]]
source = "templates/name.j2"
target = "/etc/iscsi/initiatorname.iscsi"
scope = "node"
secret = true

[run]
storage = "attach.sh"
cleanup = {script = "detach.sh", timeout = "5m"}

[survive]
processes = ["iscsid"]
"""


def add(root: Path, kind: str, name: str, text: str = "") -> Path:
    folder = root / kind / name
    folder.mkdir(parents=True)
    head = f'name = "{name}"\nkind = "{kind}"\nsummary = "s"\n'
    (folder / "module.toml").write_text(head + text)
    return folder


def add_iscsi(root: Path, text: str = ISCSI) -> Path:
    folder = root / "block" / "iscsi"
    (folder / "templates").mkdir(parents=True)
    (folder / "module.toml").write_text(text)
    for file in ("templates/name.j2", "attach.sh", "detach.sh"):
        (folder / file).write_text("")
    return folder


def errors_of(root: Path) -> str:
    with pytest.raises(SrbuildError) as caught:
        load_catalog([root], POINTS)
    assert caught.value.exit_code == 3
    return str(caught.value)


def test_a_module_is_read_whole(tmp_path: Path) -> None:
    folder = add_iscsi(tmp_path)
    module = load_catalog([tmp_path], POINTS).module("iscsi")
    assert module == Module(
        folder=folder,
        name="iscsi",
        kind="block",
        summary="Attach a LUN",
        requires=("network",),
        provides=("block",),
        conflicts={"aoe": "two block devices"},
        packages=Packages(("open-iscsi",), ("iscsi-initiator-utils",)),
        options={
            "portal": Option(
                "portal",
                "endpoint",
                "host[:port] of the target",
                many=True,
                required="always",
                cmdline=("netroot", "rd.srb.iscsi.portal"),
            ),
            "login_timeout": Option(
                "login_timeout", "seconds", "how long a login may take", default=("120",)
            ),
            "chap_secret": Option(
                "chap_secret", "string", "the CHAP secret", secret=True, scope="node"
            ),
        },
        install=Install(
            binaries=("iscsid",),
            libraries=("libisns.so.0",),
            kmods=("iscsi_tcp",),
            optional_kmods=("be2iscsi",),
            firmware=("bnx2/*",),
            plugins=("{libdir}/x/*.so",),
            files=(FileWish("/etc/iscsi/*"), FileWish("/etc/a", "/usr/lib/b")),
            dirs=("/var/lib/iscsi",),
        ),
        templates=(
            Template(
                "templates/name.j2", "/etc/iscsi/initiatorname.iscsi", scope="node", secret=True
            ),
        ),
        run={
            "storage": Run("storage", "attach.sh", 120),
            "cleanup": Run("cleanup", "detach.sh", 300),
        },
        survive=Survive(("iscsid",)),
    )
    assert module.templates[0].file_mode == 0o600
    assert module.template_path(module.templates[0]) == folder / "templates/name.j2"
    assert module.options["login_timeout"].variable("my-mod") == "SR_MY_MOD_LOGIN_TIMEOUT"
    assert module.table == "block"


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("requires =", "require =", "require: unknown key 'require'\n  hint: did you mean 'requ"),
        ('help = "the CHAP', 'hepl = "the CHAP', "options.chap_secret.help: missing"),
        ("kmods = [", "kmod = [", "install.kmod: unknown key 'kmod'"),
        ('type = "seconds"', 'type = "second"', "options.login_timeout.type: 'second' is not one"),
        ('default = "2m"', 'default = "2x"', "options.login_timeout.default: '2x' is not a time"),
        ('default = "2m"', "default = [1]", "default: takes one value, not an array"),
        ("many = true", 'default = "a"', "options.portal: what has a default is never missing"),
        ('scope = "node"\n\n', 'cmdline = ["x"]\n', "a secret has no place on the kernel command"),
        ('scope = "node"\n\n', 'default = "x"\n', "a secret has no default"),
        ('scope = "node"\n\n', "shared = true\n", "`shared` is for scope node"),
        ('scope = "node"\n\n', 'when = "a=b"\n', "`when` says when an option is required, which"),
        ('scope = "node"\n\n', 'when = "a"\n', "'a' must be OPTION=VALUE"),
        ("kmods = [", 'scripts = ["gone.sh"]\nkmods = [', "install.scripts[0]: no script gone.sh"),
        ("secret = true\nscope", 'choices = ["a"]\nscope', "choices are for enum, word and flags"),
        ('type = "string"', 'type = "enum"', "options.chap_secret: an enum needs its choices"),
        ("options.portal", "options.Portal", "options.Portal: 'Portal' must be a name in a-z"),
        ('name = "iscsi"', 'name = "iscsi2"', "name: 'iscsi2', but the module lies in iscsi/"),
        ('name = "iscsi"', 'name = "a b"', "name: 'a b' must be a name in a-z, 0-9 and -"),
        ('kind = "block"', 'kind = "net"', "kind: 'net', but the module lies in block/"),
        ('kind = "block"', 'kind = "blok"', "kind: 'blok' is not one of base, net, block"),
        ('"attach.sh"', '"atach.sh"', "run.storage: no script atach.sh in the module's folder"),
        ('"attach.sh"', '"../attach.sh"', "run.storage.script: '../attach.sh' must be a file's"),
        ('"attach.sh"', '"/bin/sh"', "run.storage.script: '/bin/sh' must be a file's name"),
        ('["network"]', '["iscsi"]', "a module can't require itself"),
        ('name = "iscsi"', 'name = "block"', "'block' means something else in a cluster file"),
        ("storage =", "storag =", "run.storag: unknown point 'storag'\n  hint: did you mean 'sto"),
        ('"5m"', '"5x"', "run.cleanup.timeout: '5x' is not a time"),
        ("name.j2", "nam.j2", "template[0].source: no file templates/nam.j2"),
        ('target = "/etc/i', 'target = "etc/i', "template[0].target: 'etc/iscsi/initiatorname.i"),
        ('scope = "node"\nsecret', "secret", "a secret file belongs to the site or to a node"),
        ('iscsi"\nscope', 'iscsi"\nmode = "0644"\nscope', "a secret file is for root only"),
        ('iscsi"\nscope', 'iscsi"\nmode = 600\nscope', "template[0].mode: must be a mode in octal"),
        ('"netroot"', '"net root"', "options.portal.cmdline[0]: 'net root' must be"),
        ("[survive]", "[survive", "line 5"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, error: str) -> None:
    assert ISCSI.count(old) >= 1
    add_iscsi(tmp_path, ISCSI.replace(old, new, 1))
    message = errors_of(tmp_path)
    assert f"{tmp_path}/block/iscsi/module.toml: " in message
    assert error in message


def test_errors_of_all_modules_come_at_once(tmp_path: Path) -> None:
    add(tmp_path, "net", "a", "x = 1\n")
    add(tmp_path, "net", "b", "y = 1\n")
    message = errors_of(tmp_path)
    assert "net/a/module.toml: x:" in message
    assert "net/b/module.toml: y:" in message


def test_later_folders_add_and_never_replace(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    add(first, "net", "network")
    folder = add(second, "fs", "myfs")
    catalog = load_catalog([first, second])
    assert catalog.module("myfs").folder == folder
    add(second, "rescue", "network")
    with pytest.raises(ConfigError, match=r"the module 'network' is already in .*first"):
        load_catalog([first, second])


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_catalog([tmp_path / "none"])


def test_folders_without_a_module_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "net" / "leftover").mkdir(parents=True)
    (tmp_path / "net" / "file").write_text("")
    add(tmp_path, "net", "network")
    assert list(load_catalog([tmp_path]).modules) == ["network"]


def test_two_options_with_one_variable_are_refused(tmp_path: Path) -> None:
    option = '[options.{}]\ntype = "int"\nhelp = "h"\n'
    add(tmp_path, "net", "a-b", option.format("c"))
    add(tmp_path, "net", "a", option.format("b_c"))
    assert "SR_A_B_C is also the variable of a.b_c" in errors_of(tmp_path)


def test_list_values_hold_no_spaces() -> None:
    option = Option("o", "string", "h", many=True)
    assert option.parse("a") == "a"
    for raw in ("a b", ""):
        with pytest.raises(ValueError, match="neither empty nor holds spaces"):
            option.parse(raw)


def test_srbuilds_own_modules_load() -> None:
    from srbuild.paths import data_dir
    from srbuild.spine import load_spine

    root = data_dir()
    catalog = load_catalog([root / "modules"], load_spine(root / "hooks").points)
    order = [module.name for module in catalog.resolve(["gfs2", "iscsi", "none"])]
    assert {"gfs2", "iscsi", "none", "corosync", "dlm", "network"} <= set(order)
    assert order.index("iscsi") < order.index("gfs2")
    assert order.index("dlm") < order.index("gfs2")
