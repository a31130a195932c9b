"""One `Config` from command line, environment, recipe and cluster file; who wins; conflicts."""

from __future__ import annotations

from pathlib import Path

import pytest

from srbuild.catalog import Catalog, load_catalog
from srbuild.config.load import Config, load_config
from srbuild.errors import ConfigError, ConflictError, ErrorGroup, SrbuildError
from srbuild.paths import data_dir

IMAGES = ("block/iscsi", "block/aoe", "fs/gfs2", "fs/nfs", "container/none", "container/lxc")
OPTIONS = """
[options.portal]
type = "endpoint"
help = "h"
many = true
[options.retries]
type = "int"
help = "h"
[options.chap_secret]
type = "word"
help = "h"
secret = true
"""
CLUSTER = """
name = "lab"
[fs]
type = "gfs2"
[block]
type = "iscsi"
chap_secret = "s3cr3t"
[[node]]
name = "n1"
id = 1
[[node]]
name = "n2"
id = 2
"""
RECIPE = """
name = "recipe-name"
summary = "for the test"
fs = "gfs2"
blk = "iscsi"
modules = ["ssh"]
kmods = ["virtio_net"]
compression = "zstd:19"
[values.iscsi]
portal = "10.9.0.1"
retries = 3
"""


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    root = tmp_path_factory.mktemp("modules")
    for place in (*IMAGES, "rescue/ssh", "rescue/tools"):
        kind, name = place.split("/")
        (root / place).mkdir(parents=True)
        text = f'name = "{name}"\nkind = "{kind}"\nsummary = "s"\n'
        text += 'provides = ["container"]\n' if kind == "container" else ""
        (root / place / "module.toml").write_text(text + (OPTIONS if name == "iscsi" else ""))
    return load_catalog([root])


@pytest.fixture
def load(tmp_path: Path, catalog: Catalog):
    recipes = tmp_path / "images"
    recipes.mkdir()
    (recipes / "mine.toml").write_text(RECIPE)
    (tmp_path / "cluster.toml").write_text(CLUSTER)

    def load(environ: dict[str, str] | None = None, /, **options: object) -> Config:
        if options.get("cluster") is True:
            options["cluster"] = tmp_path / "cluster.toml"
        return load_config(options, environ or {}, catalog, recipes)

    return load


def test_defaults(load) -> None:
    config = load()
    assert config == Config(
        name="srbuild",
        fs=None,
        blk=None,
        container=None,
        modules=(),
        kmods=(),
        sysroot=Path("/"),
        kernels=(),
        cluster=None,
        values={},
        output=Path("srbuild.img"),
        compression=("zstd", 3),
        mtime=0,
        cache=None,
        only_node=None,
    )


def test_the_main_job(load) -> None:
    config = load(fs="gfs2", blk="iscsi", sysroot=Path("rootfs"), output=Path("initrd.img"))
    assert (config.fs, config.blk, config.container) == ("gfs2", "iscsi", None)
    assert (config.sysroot, config.output) == (Path("rootfs"), Path("initrd.img"))
    assert config.name == "gfs2-iscsi"
    assert load(fs="gfs2", blk="iscsi").output == Path("gfs2-iscsi.img")


def test_everything_from_the_environment(load, tmp_path: Path) -> None:
    config = load(
        {
            "SRBUILD_FS": "nfs",
            "SRBUILD_BLK": "aoe",
            "SRBUILD_CONTAINER": "lxc",
            "SRBUILD_MODULES": "ssh tools",
            "SRBUILD_KMODS": "a b",
            "SRBUILD_SYSROOT": "/root-tree",
            "SRBUILD_KERNEL": "6.1.0",
            "SRBUILD_OUTPUT": "/out.img",
            "SRBUILD_COMPRESSION": "xz",
            "SRBUILD_CACHE": "/cache",
            "SRBUILD_NAME": "env",
            "SOURCE_DATE_EPOCH": "1700000000",
        }
    )
    assert config == Config(
        name="env",
        fs="nfs",
        blk="aoe",
        container="lxc",
        modules=("ssh", "tools"),
        kmods=("a", "b"),
        sysroot=Path("/root-tree"),
        kernels=("6.1.0",),
        cluster=None,
        values={},
        output=Path("/out.img"),
        compression=("xz", 6),
        mtime=1700000000,
        cache=Path("/cache"),
        only_node=None,
    )


def test_a_recipe_by_name_and_by_path(load, tmp_path: Path) -> None:
    config = load(image="mine")
    assert (config.name, config.fs, config.blk) == ("recipe-name", "gfs2", "iscsi")
    assert (config.modules, config.kmods) == (("ssh",), ("virtio_net",))
    assert config.compression == ("zstd", 19)
    assert config.values == {"iscsi": {"portal": ("10.9.0.1",), "retries": ("3",)}}
    assert load(image=tmp_path / "images" / "mine.toml") == config
    assert load({"SRBUILD_IMAGE": "mine"}) == config


def test_the_cluster_file_names_the_modules(load) -> None:
    config = load(cluster=True)
    assert (config.fs, config.blk, config.container) == ("gfs2", "iscsi", None)
    assert config.cluster is not None
    assert config.cluster.name == "lab"
    assert "s3cr3t" not in repr(config)


def test_precedence(load) -> None:
    environ = {"SRBUILD_COMPRESSION": "gzip", "SRBUILD_NAME": "env", "SRBUILD_KERNEL": "1"}
    config = load(environ, image="mine", name="flag")
    assert (config.name, config.compression, config.kernels) == ("flag", ("gzip", 6), ("1",))
    config = load({"SRBUILD_FS": "nfs"}, image="mine", fs="gfs2")
    assert config.fs == "gfs2"
    assert load({"SRBUILD_FS": "nfs"}, image="mine").fs == "nfs"
    assert load({"SRBUILD_FS": ""}, image="mine").fs == "gfs2"


def test_lists_add_up(load) -> None:
    config = load({"SRBUILD_MODULES": "tools"}, image="mine", modules=("tools", "lxc"), kmods=["k"])
    assert config.modules == ("ssh", "tools", "lxc")
    assert config.kmods == ("virtio_net", "k")


def test_set_overrides_the_recipe(load) -> None:
    config = load(image="mine", set=("iscsi.portal=10.9.0.2", "iscsi.portal=[fd00::1]:3260"))
    assert config.values["iscsi"] == {"portal": ("10.9.0.2", "[fd00::1]:3260"), "retries": ("3",)}
    assert load(set=("iscsi.retries=1", "iscsi.retries=2")).values == {"iscsi": {"retries": ("2",)}}


@pytest.mark.parametrize("setting", [{"fs": "nfs"}, {"blk": "aoe"}])
def test_other_wishes_than_the_cluster_files_are_conflicts(load, setting) -> None:
    with pytest.raises(ConflictError) as caught:
        load(cluster=True, **setting)
    (asked,) = setting.values()
    real = {"nfs": "gfs2", "aoe": "iscsi"}[asked]
    assert caught.value.exit_code == 5
    assert f"{asked!r} is asked for" in str(caught.value)
    assert "cluster.toml" in str(caught.value)
    assert f"{real!r}" in str(caught.value)


def test_a_recipe_conflicts_too_and_is_named(load, tmp_path: Path) -> None:
    (tmp_path / "images" / "nfs.toml").write_text('fs = "nfs"\n')
    with pytest.raises(ConflictError, match=r"images/nfs.toml: fs: 'nfs' is asked for"):
        load(image="nfs", cluster=True)


def test_same_wish_as_the_cluster_file_is_fine(load) -> None:
    assert load(image="mine", cluster=True, fs="gfs2").fs == "gfs2"


def test_cache_folders(load) -> None:
    assert load({"XDG_CACHE_HOME": "/x", "HOME": "/h"}).cache == Path("/x/srbuild")
    assert load({"XDG_CACHE_HOME": "x", "HOME": "/h"}).cache == Path("/h/.cache/srbuild")
    assert load({"HOME": "/h"}, cache="none").cache is None
    assert load({"HOME": "/h", "SRBUILD_CACHE": "/c"}, cache=Path("d")).cache == Path("d")


@pytest.mark.parametrize(
    ("environ", "options", "error"),
    [
        ({}, {"fs": "gfs3"}, "--fs: no file system module 'gfs3'; known: gfs2, nfs\n  hint: did y"),
        ({}, {"blk": "gfs2"}, "--blk: no block device module 'gfs2'; known: aoe, iscsi"),
        ({"SRBUILD_FS": "x"}, {}, "SRBUILD_FS: no file system module 'x'"),
        ({}, {"sysroot": ""}, "--sysroot: is empty"),
        ({"SRBUILD_OUTPUT": "x"}, {"output": ""}, "--output: is empty"),
        ({}, {"modules": ["shs"]}, "--module: no boot module 'shs'"),
        ({"SRBUILD_MODULES": "shs"}, {}, "SRBUILD_MODULES: no boot module 'shs'"),
        ({}, {"image": "mien"}, "--image: no recipe 'mien'; known: mine\n  hint: did you me"),
        ({}, {"image": "./none.toml"}, "none.toml: cannot read it: No such file or directory"),
        ({}, {"cluster": "none.toml"}, "none.toml: cannot read it: No such file or directory"),
        ({}, {"compression": "zst"}, "--compression: unknown compression 'zst'\n  hint: did you m"),
        ({}, {"compression": "zstd:20"}, "--compression: '20' is not a level of zstd\n  hint"),
        ({}, {"compression": "zstd:"}, "--compression: '' is not a level of zstd"),
        ({}, {"compression": "none:1"}, "--compression: '1' is not a level of none"),
        ({"SRBUILD_COMPRESSION": "xz:-1"}, {}, "SRBUILD_COMPRESSION: '-1' is not a level of xz"),
        ({"SOURCE_DATE_EPOCH": "-1"}, {}, "SOURCE_DATE_EPOCH: '-1' is not a whole number"),
        ({"SOURCE_DATE_EPOCH": "now"}, {}, "SOURCE_DATE_EPOCH: 'now' is not a whole number"),
        ({"SOURCE_DATE_EPOCH": ""}, {}, "SOURCE_DATE_EPOCH: '' is not a whole number"),
        ({"SOURCE_DATE_EPOCH": "4294967296"}, {}, "SOURCE_DATE_EPOCH: '4294967296' is not a whole"),
        ({}, {"only_node": "n1"}, "--node: a node is known by its cluster file only"),
        ({}, {"only_node": "n3", "cluster": True}, "cluster.toml has no node 'n3'\n  hint: known"),
        ({}, {"name": "a/b"}, "--name: 'a/b' is no image's name"),
        ({}, {"set": ["iscsi.retries"]}, "--set: must be MODULE.OPTION=VALUE"),
        ({}, {"set": ["retries=1"]}, "--set: must be MODULE.OPTION=VALUE"),
        ({}, {"set": ["isci.retries=1"]}, "--set: isci.retries: no boot module 'isci'"),
        ({}, {"set": ["iscsi.retry=1"]}, "--set: iscsi.retry: unknown option of iscsi 'retry'"),
        ({}, {"set": ["iscsi.retries=x"]}, "--set: iscsi.retries: 'x' is not a whole number"),
        ({}, {"set": ["iscsi.chap_secret=s3"]}, "--set: iscsi.chap_secret: is a secret"),
    ],
)  # fmt: skip
def test_mistakes_are_named(load, environ, options, error: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ, **options)
    assert error in str(caught.value)
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        ("kmods =", "kmod =", "mine.toml: kmod: unknown key 'kmod'\n  hint: did you mean 'kmods'?"),
        ('fs = "gfs2"', "fs = 2", "mine.toml: fs: must be a string, not a whole number"),
        ('fs = "gfs2"', 'fs = "gfs3"', "mine.toml: fs: no file system module 'gfs3'"),
        ('["ssh"]', '["shs"]', "mine.toml: modules[0]: no boot module 'shs'"),
        ("zstd:19", "zstd:99", "mine.toml: compression: '99' is not a level of zstd"),
        ("recipe-name", "../x", "mine.toml: name: '../x' is no image's name"),
        ("values.iscsi", "values.isci", "mine.toml: values.isci: no boot module 'isci'"),
        ("retries = 3", "retry = 3", "mine.toml: values.iscsi.retry: unknown option of iscsi 'ret"),
        ("retries = 3", 'chap_secret = "x"', "mine.toml: values.iscsi.chap_secret: is a secret"),
        ("10.9.0.1", "10.9.0.999", "mine.toml: values.iscsi.portal: '10.9.0.999' is not an IPv4"),
    ],
)
def test_mistakes_in_a_recipe_are_named(load, tmp_path: Path, old, new, error: str) -> None:
    assert old in RECIPE
    (tmp_path / "images" / "mine.toml").write_text(RECIPE.replace(old, new))
    with pytest.raises(ConfigError) as caught:
        load(image="mine")
    assert error in str(caught.value)


def test_all_mistakes_come_at_once(load, tmp_path: Path) -> None:
    (tmp_path / "cluster.toml").write_text(CLUSTER.replace("id = 2", "id = 1"))
    (tmp_path / "images" / "mine.toml").write_text("x = 1\n")
    with pytest.raises(ErrorGroup) as caught:
        load({"SOURCE_DATE_EPOCH": "x"}, image="mine", cluster=True, blk="isci", set=["a"])
    assert len(caught.value.errors) == 5


def test_srbuilds_own_recipes_load() -> None:
    root = data_dir()
    catalog = load_catalog([root / "modules"])
    recipes = sorted((root / "images").glob("*.toml"))
    assert "gfs2-iscsi" in [path.stem for path in recipes]
    for path in recipes:
        config = load_config({"image": path.stem}, {}, catalog)
        assert config.name == path.stem
    config = load_config({"image": "gfs2-iscsi"}, {}, catalog)
    assert (config.fs, config.blk, config.container) == ("gfs2", "iscsi", None)


def test_start_up_is_light() -> None:
    import subprocess
    import sys

    code = (
        "import srbuild.config.load, sys;"
        "print([m for m in ('attr', 'pydantic', 'difflib', 'jinja2', 'elftools', 'tomllib')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-Sc", f"import sys; sys.path[:0]={sys.path!r};{code}"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout == "[]\n"


def test_errors_are_srbuild_errors_for_any_option_value(load) -> None:
    for name in ("fs", "blk", "container", "image", "cluster", "compression", "name", "only_node"):
        with pytest.raises(SrbuildError):
            load(**{name: "\x1b\n"})
