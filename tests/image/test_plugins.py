"""Plug-ins that nothing but a boot module's declaration tells of, from real trees.

Each kind is declared in a module of its own. What loads such plug-ins is run in the unpacked
image, where it finds them and without the declaration fails; for what needs devices, the
image's own loader lists what each plug-in maps.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from support.unpacked import listed, run_inside, unpack

SRBUILD = Path(sys.executable).with_name("srbuild")
PROBE = Path(__file__).resolve().parents[1] / "support/probe.c"
HEAD = 'name = "plugged"\nkind = "base"\nsummary = "Plug-ins"\nrequires = ["core"]\n'
GCONV = '"{libdir}/gconv/gconv-modules", "{libdir}/gconv/gconv-modules.d/*.conf"'
PAM = '[[template]]\nsource = "service"\ntarget = "/etc/pam.d/probe"\n'


def unpacked_image(folder: Path, sysroot: Path, text: str, **files: str) -> Path:
    """The root of an image with a module of this text and files, and the probe as /probe."""
    module = folder / "modules/base/plugged"
    module.mkdir(parents=True)
    (module / "module.toml").write_text(HEAD + text)
    for name, content in files.items():
        (module / name).write_text(content)
    command = [SRBUILD, "--module", "plugged", "--module-path", folder / "modules"]
    command += ["--sysroot", sysroot, "--no-cache", "-o", folder / "image"]
    subprocess.run(command, check=True, capture_output=True, timeout=240)
    root = unpack(folder / "image", folder / "root")
    subprocess.run(["gcc", "-o", root / "probe", PROBE, "-ldl"], check=True, timeout=60)
    return root


def install(**keys: str) -> str:
    """An [install] with libc, which the probe needs, and these lists as TOML has them."""
    libraries = f'"libc.so.6"{", " if "libraries" in keys else ""}{keys.pop("libraries", "")}'
    rows: Mapping[str, str] = {"libraries": libraries, **keys}
    return "[install]\n" + "".join(f"{key} = [{value}]\n" for key, value in rows.items())


def probe(root: Path, *argv: str) -> tuple[int, str]:
    done = run_inside(root, "/probe", *argv)
    return done.returncode, done.stdout + done.stderr


def test_a_name_service_beyond_files(sysroot: Path, tmp_path: Path) -> None:
    for name, libraries in (("with", '"libnss_compat.so.2"'), ("without", "")):
        root = unpacked_image(tmp_path / name, sysroot, install(libraries=libraries))
        (root / "etc/nsswitch.conf").write_text("passwd: compat\n")
        expected = (0, "/root\n") if libraries else (1, "nobody\n")
        assert probe(root, "user", "root") == expected


def test_files_as_name_service_needs_no_declaration(sysroot: Path, tmp_path: Path) -> None:
    root = unpacked_image(tmp_path, sysroot, install())
    assert probe(root, "user", "root") == (0, "/root\n")
    assert "passwd: files" in (root / "etc/nsswitch.conf").read_text()


def test_pam_modules_of_a_service(sysroot: Path, tmp_path: Path) -> None:
    text = install(
        libraries='"libpam.so.0"',
        plugins='"{libdir}/security/pam_permit.so", "{libdir}/security/pam_unix.so"',
    )
    service = "auth required pam_permit.so\naccount required pam_unix.so\n"
    root = unpacked_image(tmp_path, sysroot, text + PAM, service=service)
    assert probe(root, "admit", "probe") == (0, "0\n")
    assert list(root.rglob("libcrypt.so.1*"))  # needed by pam_unix alone
    (root / "etc/pam.d/probe").write_text("auth required pam_deny.so\n")  # which is not there
    status, told = probe(root, "admit", "probe")
    assert (status, told) != (0, "0\n")


@pytest.mark.parametrize(
    ("charset", "plugins"),
    [
        ("ISO-8859-15", '"{libdir}/gconv/ISO8859-15.so"'),
        ("LATIN1", '"{libdir}/gconv/ISO8859-1.so"'),  # an alias
        ("EUC-JISX0213", '"{libdir}/gconv/EUC-JISX0213.so"'),  # has a library beside it
    ],
)
def test_a_charset_by_gconv(sysroot: Path, tmp_path: Path, charset: str, plugins: str) -> None:
    text = install(plugins=plugins, files=GCONV)
    root = unpacked_image(tmp_path / "with", sysroot, text)
    assert probe(root, "convert", charset, "UTF-16LE")[0] == 1  # UTF-16 is one, too
    assert probe(root, "convert", charset, "UTF-8") == (0, "")
    root = unpacked_image(tmp_path / "without", sysroot, install(files=GCONV))
    assert probe(root, "convert", charset, "UTF-8")[0] == 1


def test_corosyncs_cipher(sysroot: Path, tmp_path: Path) -> None:
    text = install(plugins='"{libdir}/kronosnet/crypto_*.so"')
    root = unpacked_image(tmp_path, sysroot, text)
    paths = sorted(root.rglob("kronosnet/crypto_*.so"))
    assert {path.name for path in paths} == {"crypto_nss.so", "crypto_openssl.so"}
    for path in paths:
        assert probe(root, "open", f"/{path.relative_to(root)}") == (0, "")
    for library in root.rglob("libcrypto.so.*"):
        library.unlink()
    assert probe(root, "open", f"/{paths[1].relative_to(root)}")[0] == 1


def made(tree: Path, *options: str) -> Path:
    """The tree that `srbuild sysroot create` makes there; needs the network once."""
    subprocess.run([SRBUILD, "sysroot", "create", tree, *options], check=True, timeout=800)
    return tree


STORAGE = """
[install]
binaries = ["multipath", "lvm", "dmeventd"]
plugins  = ["{libdir}/multipath/*.so", "{libdir}/device-mapper/libdevmapper-event-lvm2*.so"]
"""


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_multipath_checkers_and_lvm_monitors(project: Path, tmp_path: Path) -> None:
    packages = ("--package", "multipath-tools", "--package", "lvm2", "--package", "dmeventd")
    root = unpacked_image(tmp_path, made(project / "build/sysroot-storage", *packages), STORAGE)
    names = {path.name for path in root.rglob("*.so")}
    assert {"libchecktur.so", "libprioalua.so", "libdevmapper-event-lvm2raid.so"} <= names
    loader = next(root.rglob("ld-linux-x86-64.so.2"))
    plugins = [*root.rglob("multipath/*.so"), *root.rglob("device-mapper/*.so")]
    assert len(plugins) > 20
    paths = [f"/{path.relative_to(root)}" for path in (loader, *plugins)]
    looked = [listed(root, paths[0], path) for path in paths[1:]]
    assert [missing for _, missing in looked if missing] == []
    assert any("libaio.so" in path for found, _ in looked for path in found)  # directio's


@pytest.mark.matrix
@pytest.mark.timeout(900)
def test_names_with_a_glibc_that_has_no_service_built_in(project: Path, tmp_path: Path) -> None:
    tree = made(project / "build/sysroot-bullseye", "--suite", "bullseye")
    root = unpacked_image(tmp_path, tree, '[install]\nbinaries = ["id"]\n')
    assert run_inside(root, "/usr/bin/id", "-u", "root").stdout == "0\n"
    for service in root.rglob("libnss_files*"):
        service.unlink()
    assert "no such user" in run_inside(root, "/usr/bin/id", "-u", "root").stderr
