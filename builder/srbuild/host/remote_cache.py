"""Caches that others fill: folders and web servers that segments are fetched from.

A web server needs no more than to serve a copy of a cache's folder: `GET URL/segments/KEY`. What
comes from here is no better than a guess: `borrow.py` checks it before anything uses it.
"""

from __future__ import annotations

import base64
import mmap
import time
from collections.abc import Callable, Iterator
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, BinaryIO, Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from srbuild.host.cache import MAX_HEADER, CachedSegment, parse_header
from srbuild.paths import HostPath, shown

TIMEOUT_S = 4.0  # for a connection, and for every piece of an answer
GRACE_S = 5.0  # after which an answer must come at SLOWEST at least
SLOWEST = 32 << 10  # bytes a second
MAX_REDIRECTS = 3
_STEP = 256 << 10
_ABSENT = (404, 410)


class CacheProblem(Exception):
    """A segment is there and of no use; the text says why, without any password."""


class SharedCache(Protocol):
    """A place that segments can be had from."""

    @property
    def name(self) -> str:
        """How notes call it."""
        ...

    def fetch(self, key: str, limit: int, into: BinaryIO) -> CachedSegment | None:
        """Write the bytes of segment `key` to `into`; None when it isn't there.

        What is returned says what the segment is said to be, unchecked. Raises CacheProblem
        for one that can't be read and for one of more than `limit` bytes.
        """
        ...

    def problem(self) -> str:
        """Why nothing more is asked of this cache, "" while all is well."""
        ...


def open_shared(place: str) -> SharedCache:
    """The cache at `place`: a URL or a folder."""
    if place.startswith(("http://", "https://")):
        return WebCache(place)
    return FolderCache(Path(place))


class FolderCache:
    """A folder that is only read."""

    def __init__(self, root: HostPath) -> None:
        self._root = root
        self.name = str(root)

    def fetch(self, key: str, limit: int, into: BinaryIO) -> CachedSegment | None:
        """As `SharedCache.fetch`."""
        try:
            with (self._root / "segments" / key).open("rb", buffering=0) as file:
                return _receive(file.read, limit, into)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CacheProblem(f"cannot be read: {error.strerror}") from error

    def problem(self) -> str:
        """As `SharedCache.problem`: a folder has none that would stay."""
        return ""


class WebCache:
    """A web server. After one failure to answer it is left alone, in forked processes, too."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        user, _, host = parts.netloc.rpartition("@")
        self.name = urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))
        self._headers = {"User-Agent": "srbuild", "Accept-Encoding": "identity"}
        self._secret = {}
        if user:
            word = base64.b64encode(unquote(user).encode()).decode()
            self._secret["Authorization"] = f"Basic {word}"
        self._state = mmap.mmap(-1, 256)  # shared with processes forked later: why it is dead
        self._opener: OpenerDirector | None = None

    def fetch(self, key: str, limit: int, into: BinaryIO) -> CachedSegment | None:
        """As `SharedCache.fetch`."""
        if self.problem():
            return None
        try:
            with self._ask(f"{self.name}/segments/{key}") as answer:
                return _receive(_paced(answer), limit, into)
        except HTTPError as error:
            error.close()
            if error.code not in _ABSENT:
                self._give_up(f"HTTP status {error.code}")
        except URLError as error:
            self._give_up(_words(error.reason))
        except (HTTPException, OSError, ValueError) as error:  # a TimeoutError is an OSError
            self._give_up(_words(error))
        return None

    def problem(self) -> str:
        """As `SharedCache.problem`."""
        return self._state[:].rstrip(b"\0").decode("utf-8", "replace")

    def _give_up(self, why: str) -> None:
        data = (shown(why).encode() or b"no answer")[: len(self._state)]
        self._state[: len(data)] = data

    def _ask(self, url: str) -> IO[bytes]:
        if self._opener is None:
            self._opener = _make_opener()
        request = Request(url, headers=self._headers)
        for name, value in self._secret.items():
            request.add_unredirected_header(name, value)  # for nobody but this server
        answer: IO[bytes] = self._opener.open(request, timeout=TIMEOUT_S)
        return answer


class _Redirects(HTTPRedirectHandler):
    """Follows few redirects, and none that leads away from the web or out of TLS."""

    max_redirections = MAX_REDIRECTS
    max_repeats = 1

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """As the base class; ValueError for a place that must not be asked."""
        old, new = urlsplit(req.full_url).scheme, urlsplit(newurl).scheme
        if new not in ("http", "https") or (old == "https" and new != "https"):
            raise ValueError(f"redirects from {old} to {new or 'nowhere'}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _make_opener() -> OpenerDirector:
    """What can HTTP and HTTPS; urllib's usual one would also do ftp:, file: and data:."""
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        HTTPDefaultErrorHandler(),
        HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _words(error: object) -> str:
    """What went wrong; never the URL, which may hold a password."""
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _paced(answer: IO[bytes]) -> Callable[[int], bytes]:
    """`answer.read`, but TimeoutError when bytes come too slowly to be worth waiting for."""
    began, size = time.monotonic(), 0
    read: Callable[[int], bytes] = getattr(answer, "read1", answer.read)

    def paced(most: int) -> bytes:
        nonlocal size
        data = read(most)
        size += len(data)
        spent = time.monotonic() - began
        if data and spent > GRACE_S and size < spent * SLOWEST:
            raise TimeoutError
        return data

    return paced


def _receive(read: Callable[[int], bytes], limit: int, into: BinaryIO) -> CachedSegment:
    """Take a cache's file apart: the line at its beginning, and the bytes, written to `into`."""
    chunks = _chunks(read)
    head = b""
    for chunk in chunks:
        head += chunk
        if b"\n" in head or len(head) > MAX_HEADER:
            break
    line, _, rest = head.partition(b"\n")
    found = parse_header(Path(), line + b"\n")
    if found is None:
        raise CacheProblem("is no segment of a cache")
    if not 0 <= found.length <= limit:
        raise CacheProblem(f"is larger than it can be: {found.length} bytes")
    size = into.write(rest)
    for chunk in chunks:
        size += into.write(chunk)
        if size > found.length:
            break
    if size != found.length:
        raise CacheProblem("is longer than it says" if size > found.length else "is cut short")
    return found


def _chunks(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while chunk := read(_STEP):
        yield chunk
