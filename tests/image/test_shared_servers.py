"""Web servers that segments come from: asked little, never waited for long, not trusted."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from pathlib import Path

import pytest

from srbuild.borrow import borrow_segments
from srbuild.digests import KnownDigests
from srbuild.host.cache import FactStore
from srbuild.host.remote_cache import WebCache
from support.borrower import Borrower
from support.web import make_certificate, serving


@pytest.fixture
def borrower(tmp_path: Path) -> Borrower:
    return Borrower(tmp_path)


def test_what_a_server_has_not_is_made_here(borrower: Borrower, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with serving(tmp_path / "empty") as site:
        assert borrower.borrow(site.url) == ((), False)


@pytest.mark.parametrize("status", [401, 403, 500, 503])
def test_a_server_that_refuses_is_noted_once(borrower: Borrower, status: int) -> None:
    with serving(borrower.filled, status=status) as site:
        cache = WebCache(site.url)
        digests = KnownDigests(FactStore(None))
        for notes in ((f"cache {site.url} is not used: HTTP status {status}",), ()):
            found = borrow_segments(borrower.layers.segments, [cache], borrower.local, digests)
            assert found == notes
        assert len(site.asked) == 1


def test_a_server_that_is_not_there_is_noted(borrower: Borrower) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        notes = (f"cache {url} is not used: Connection refused",)
        assert borrower.borrow(url) == (notes, False)


def test_a_server_that_says_nothing_costs_seconds_once(
    borrower: Borrower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srbuild.host.remote_cache.TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        cache = WebCache(f"http://127.0.0.1:{silent.getsockname()[1]}")
        digests = KnownDigests(FactStore(None))
        began = time.monotonic()
        for _ in range(5):
            borrow_segments(borrower.layers.segments, [cache], borrower.local, digests)
        assert time.monotonic() - began < 1.2
        assert cache.problem() == "no answer in time"


def test_a_server_that_drips_is_given_up(
    borrower: Borrower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("srbuild.host.remote_cache.GRACE_S", 0.3)

    def drip(server: socket.socket) -> None:
        peer, _ = server.accept()
        with peer:
            peer.recv(4096)
            peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
            for _ in range(100):
                try:
                    peer.sendall(b"{")
                except OSError:
                    return
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        [note], from_cache = borrower.borrow(url)
        assert (note, from_cache) == (f"cache {url} is not used: no answer in time", False)
        assert time.monotonic() - began < 3
        thread.join(timeout=10)


def test_more_than_the_header_says_is_not_read_on(borrower: Borrower) -> None:
    with serving(borrower.filled, extra=bytes(64 << 20)) as site:
        [note], from_cache = borrower.borrow(site.url)
        assert not from_cache
        assert "is longer than it says" in note


def test_a_redirect_is_followed_without_the_password(borrower: Borrower) -> None:
    with serving(borrower.filled) as far, serving(borrower.filled, redirect=far.url) as near:
        assert borrower.borrow(near.url.replace("//", "//me:hunter2@")) == ((), True)
        assert near.headers[0]["Authorization"] == "Basic bWU6aHVudGVyMg=="
        assert "Authorization" not in far.headers[0]


def test_redirects_end(borrower: Borrower, tmp_path: Path) -> None:
    with serving(tmp_path, redirect="/again") as site:
        [note], from_cache = borrower.borrow(site.url)
        assert not from_cache
        assert note.startswith(f"cache {site.url} is not used: ")
        assert len(site.asked) <= 5


@pytest.mark.parametrize(
    ("place", "words"),
    [("file://", "HTTP status 302"), ("ftp://127.0.0.1:1", "redirects from http to ftp")],
)
def test_no_redirect_leads_away_from_the_web(borrower: Borrower, place: str, words: str) -> None:
    with serving(borrower.filled, redirect=place) as site:
        [note], from_cache = borrower.borrow(site.url)
        assert not from_cache
        assert words in note


def test_no_redirect_leads_out_of_tls(
    borrower: Borrower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "server.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    with (
        serving(borrower.filled) as plain,
        serving(borrower.filled, certificate=certificate, redirect=plain.url) as site,
    ):
        [note], from_cache = borrower.borrow(site.url)
        assert not from_cache
        assert "redirects from https to http" in note
        assert plain.asked == []


def test_a_password_is_in_no_note(borrower: Borrower) -> None:
    with serving(borrower.filled, status=500) as site:
        [note], _ = borrower.borrow(site.url.replace("//", "//me:hunter2@"))
        assert "hunter2" not in note
        assert site.url in note


def test_tls_with_a_certificate_of_ones_own(
    borrower: Borrower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path / "server.pem")
    with serving(borrower.filled, certificate=certificate) as site:
        [note], from_cache = borrower.borrow(site.url)
        assert not from_cache
        assert "CERTIFICATE_VERIFY_FAILED" in note
        shutil.rmtree(tmp_path / "local")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert borrower.borrow(site.url) == ((), True)
