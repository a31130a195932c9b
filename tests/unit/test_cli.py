"""The command line from outside: exit codes, what goes to stdout and stderr, JSON documents."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from support.commands import CLUSTER, SECRET, SECRETIVE, Done, files
from support.kernels import VERSION

pytestmark = pytest.mark.usefixtures("surroundings")


# --- build and check --------------------------------------------------------------------------


def test_options_alone_mean_build(srbuild: Callable[..., Done], job: list[str]) -> None:
    short = srbuild(*job)
    assert short.code == 0, short.err
    assert short.out.startswith("gfs2-iscsi.img: ")
    assert ", verified (" in short.out
    long = srbuild("build", *job, "-o", "other.img", "--no-cache")
    assert long.code == 0
    assert Path("gfs2-iscsi.img").read_bytes() == Path("other.img").read_bytes()
    assert files() == {
        "cluster.toml",
        *("gfs2-iscsi.img", "gfs2-iscsi.img.json", "other.img", "other.img.json"),
    }


def test_results_on_stdout_all_else_on_stderr(srbuild: Callable[..., Done], job: list[str]) -> None:
    done = srbuild(*job, "--cluster", "cluster.toml")
    assert len(done.out.splitlines()) == 1
    assert "srbuild: note: fencing is unsafe-none" in done.err
    assert "  site " in done.err
    again = srbuild(*job, "--cluster", "cluster.toml")
    assert again.out.startswith("gfs2-iscsi.img is up to date (")


def test_the_recipe_is_the_same_job(srbuild: Callable[..., Done], root: Path, image: Path) -> None:
    done = srbuild(
        "--image", "gfs2-iscsi", "--sysroot", root, "--cluster", "cluster.toml", "-o", "two"
    )
    assert done.code == 0, done.err
    assert Path("two").read_bytes() == image.read_bytes()


def test_the_cluster_file_alone_is_the_same_job(
    srbuild: Callable[..., Done], root: Path, image: Path
) -> None:
    done = srbuild("--cluster", "cluster.toml", "--sysroot", root, "-o", "two")
    assert done.code == 0, done.err
    assert Path("two").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("words", [["check"], ["build", "--dry-run"], ["--dry-run"]])
def test_a_check_writes_nothing(
    srbuild: Callable[..., Done], job: list[str], words: list[str], tmp_path: Path
) -> None:
    verb = [word for word in words if word != "--dry-run"]
    flags = [word for word in words if word == "--dry-run"]
    before = sorted(tmp_path.rglob("*"))
    done = srbuild(*verb, *job, *flags, "--cluster", "cluster.toml", "--no-cache")
    assert done.code == 0, done.err
    assert sorted(tmp_path.rglob("*")) == before
    last = done.out.splitlines()[-1]
    assert last.startswith(f"would build gfs2-iscsi.img: kernel {VERSION}, boot modules core ")
    assert last.endswith(" none")


def test_the_unsafe_fence_is_announced_wherever_it_comes_from(
    srbuild: Callable[..., Done], job: list[str]
) -> None:
    note = "srbuild: note: fencing is unsafe-none"
    assert note in srbuild("check", *job, "--cluster", "cluster.toml", "--json").err
    assert note in srbuild("check", *job, "--set", "fence.method=unsafe-none").err
    assert note in srbuild(*job, "--set", "fence.method=unsafe-none", "--json").err
    assert note not in srbuild("check", *job).err


# --- JSON -------------------------------------------------------------------------------------


def test_the_document_of_a_build(srbuild: Callable[..., Done], job: list[str]) -> None:
    words = [*job, "--cluster", "cluster.toml", "-o", "image", "--json"]
    first = srbuild(*words).document
    assert first["schema"] == "srbuild.build/1"
    assert (first["changed"], first["verified"], first["kernel"]) == (True, True, VERSION)
    assert first["image"] == "image"
    assert first["size"] == Path("image").stat().st_size
    assert first["modules"][0] == "core"
    names = [segment["name"] for segment in first["segments"]]
    assert (names[0], names[-1]) == ("base", "site")
    assert not any(segment["from_cache"] for segment in first["segments"])
    again = srbuild(*words).document
    assert again["changed"] is False
    assert again["sha256"] == first["sha256"]


def test_the_document_of_a_check(srbuild: Callable[..., Done], job: list[str]) -> None:
    Path("cluster.toml").write_text(SECRETIVE)
    document = srbuild("check", *job, "--cluster", "cluster.toml", "--json").document
    assert document["schema"] == "srbuild.check/1"
    assert document["secret"] is True
    assert document["segments"][-1]["name"] == "site"
    assert document["entries"] > 50


def test_errors_are_one_document_too(srbuild: Callable[..., Done], job: list[str]) -> None:
    Path("cluster.toml").write_text(CLUSTER.replace("id = 2", "id = 1").replace('"lab"', '"a b"'))
    done = srbuild("build", *job, "--cluster", "cluster.toml", "--json")
    assert done.code == done.document["exit_code"] == 3
    assert done.document["schema"] == "srbuild.error/1"
    assert len(done.document["errors"]) == 2
    for error in done.document["errors"]:
        assert set(error) == {"message", "hint", "origin", "kind"}
        assert error["kind"] == "ConfigError"
        assert re.match(r"cluster\.toml:[0-9]+: ", error["origin"])
    assert done.err.count("srbuild: error: ") == 2
    assert "2 errors; nothing was written" in done.err


def test_usage_errors_are_one_document_too(srbuild: Callable[..., Done]) -> None:
    done = srbuild("build", "--json", "--frob")
    assert done.code == done.document["exit_code"] == 2
    assert "--frob" in done.document["errors"][0]["message"]
    assert "--frob" in done.err


# --- exit codes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--version"], 0, "srbuild"),
        ([], 2, "Usage:"),
        (["biuld"], 2, "Did you mean 'build'?"),
        (["frobnicate"], 2, "build, check, matrix, list, verify"),
        (["--frob"], 2, "--frob"),
        (["build", "--fs"], 2, "requires an argument"),
        (["build", "extra"], 2, "unexpected extra argument"),
        (["build", "--part", "half"], 2, "'all', 'base', 'site'"),
        (["--part", "site"], 2, "--cluster FILE"),
        (["list"], 2, "IMAGE"),
        (["verify", "."], 2, "directory"),
        (["--fs", "gfs22"], 3, "did you mean 'gfs2'?"),
        (["--blk", "isci"], 3, "did you mean 'iscsi'?"),
        (["--sysroot", ""], 3, "is empty"),
        (["--cluster", "gone.toml"], 3, "gone.toml"),
        (["--image", "gfs2-icsi"], 3, "did you mean 'gfs2-iscsi'?"),
        (["--compression", "zip"], 3, "zip"),
        (["--set", "fence.method=unsafe-none"], 3, "--module fence"),
        (["--set", "iscsi.chap_secret=hunter2hunter2"], 3, "secrets belong in the cluster file"),
        (["--sysroot", "/nonexistent"], 4, "srbuild sysroot create"),
        (["list", "gone"], 4, "gone"),
        (["verify", "gone"], 4, "gone"),
        (["--fs", "gfs2", "--blk", "iscsi-target"], 3, "iscsi-target is a server module"),
    ],
)
def test_exit_codes_and_words(
    srbuild: Callable[..., Done], words: list[str], code: int, said: str
) -> None:
    done = srbuild(*words)
    assert (done.code, said in done.out + done.err) == (code, True), done
    assert "Traceback" not in done.err
    assert "hunter2" not in done.out + done.err
    assert files() == {"cluster.toml"}


def test_several_nodes_without_fencing_are_stopped(
    srbuild: Callable[..., Done], job: list[str]
) -> None:
    text = CLUSTER.replace('[fence]\nmethod = "unsafe-none"\n', "")
    Path("cluster.toml").write_text(text)
    done = srbuild(*job, "--cluster", "cluster.toml")
    assert done.code == 3
    assert "2 nodes need [fence] method" in done.err
    assert "set method in [fence] to one of: agent, unsafe-none" in done.err


def test_the_running_system_is_told_in_full_what_it_lacks(srbuild: Callable[..., Done]) -> None:
    """No machine has iscsid, corosync and a kernel named so by chance."""
    done = srbuild("check", "--fs", "gfs2", "--blk", "iscsi", "--kernel", "0.0-none")
    assert done.code == 4
    assert "--kernel: no kernel " in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("output", ["missing/image", "cluster.toml/image"])
def test_an_output_that_cannot_be(
    srbuild: Callable[..., Done], job: list[str], output: str
) -> None:
    done = srbuild(*job, "-o", output)
    assert done.code == 1
    assert f"cannot write {output}" in done.err
    assert files() == {"cluster.toml"}


@pytest.mark.parametrize("output", [".", "/", "cluster.toml"])
def test_an_output_that_must_not_be(
    srbuild: Callable[..., Done], job: list[str], output: str
) -> None:
    done = srbuild(*job, "--cluster", "cluster.toml", "-o", output)
    assert done.code == 2
    assert "name another output file" in done.err
    assert Path("cluster.toml").read_text() == CLUSTER
    assert files() == {"cluster.toml"}


# --- secrets ----------------------------------------------------------------------------------


def test_a_secret_is_in_the_image_and_nowhere_else(
    srbuild: Callable[..., Done], job: list[str], tmp_path: Path
) -> None:
    Path("cluster.toml").write_text(SECRETIVE)
    outputs = [
        srbuild(*job, "--cluster", "cluster.toml", "-o", "image", *more)
        for more in ([], ["--json"], ["--dry-run"])
    ]
    outputs += [srbuild(*words) for words in (["list", "-l", "image"], ["verify", "image"])]
    assert all(done.code == 0 for done in outputs)
    assert not any(SECRET in done.out + done.err for done in outputs)
    holders = {
        path.name
        for path in tmp_path.rglob("*")
        if path.is_file() and SECRET.encode() in path.read_bytes()
    }
    assert holders == {"cluster.toml", "image"}
    assert Path("image").stat().st_mode & 0o777 == 0o600


def test_secrets_of_two_nodes_need_two_images(srbuild: Callable[..., Done], job: list[str]) -> None:
    first = f'[node.iscsi]\nchap_user = "v"\nchap_secret = "{SECRET}1"\n[[node]]\nname = "n2"'
    Path("cluster.toml").write_text(SECRETIVE.replace('[[node]]\nname = "n2"', first))
    done = srbuild(*job, "--cluster", "cluster.toml", "-o", "image")
    assert done.code == 5
    assert "n1, n2" in done.err
    assert SECRET not in done.err
    assert files() == {"cluster.toml"}
    words = [*job, "--cluster", "cluster.toml", "--part", "site"]
    assert srbuild(*words, "--node", "n1", "-o", "n1.img").code == 0
    assert f"{SECRET}1".encode() in Path("n1.img").read_bytes()
    assert srbuild(*words, "--node", "n3", "-o", "n3.img").code == 3
