"""The command line, run in this process, and the surroundings that it sees."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from srbuild.cli.main import main
from support.clusters import CLUSTER

SRBUILD = str(Path(sys.executable).parent / "srbuild")
SECRET = "hunter2hunter2"
SECRETIVE = CLUSTER + f'[node.iscsi]\nchap_user = "u"\nchap_secret = "{SECRET}"\n'


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def surround(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder but for a cluster file, with a cache of its own."""
    for name in [name for name in os.environ if name.startswith("SRBUILD_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    Path("cluster.toml").write_text(CLUSTER)


def srbuild(capsys: pytest.CaptureFixture[str], *words: object) -> Done:
    """Run `srbuild WORDS`."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    captured = capsys.readouterr()
    assert isinstance(caught.value.code, int)
    return Done(caught.value.code, captured.out, captured.err)


def files() -> set[str]:
    """Everything below the working folder."""
    return {str(path) for path in Path().rglob("*")}
