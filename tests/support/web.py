"""A web server on the loopback that serves a folder, and misbehaves when asked to."""

from __future__ import annotations

import http.server
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path


@dataclass
class Site:
    """Where the server is, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


class _Handler(http.server.SimpleHTTPRequestHandler):
    site: Site
    redirect = ""
    status = 0
    extra = b""

    def do_GET(self) -> None:
        self.site.asked.append(self.path)
        self.site.headers.append(dict(self.headers))
        if self.redirect:
            self.send_response(302)
            self.send_header("Location", self.redirect + self.path)
            self.end_headers()
        elif self.status:
            self.send_error(self.status)
        elif self.extra:
            self.send_response(200)  # of no announced length
            self.end_headers()
            self.wfile.write(Path(self.translate_path(self.path)).read_bytes() + self.extra)
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Keep quiet."""


@contextmanager
def serving(
    folder: Path,
    *,
    certificate: Path | None = None,
    redirect: str = "",
    status: int = 0,
    extra: bytes = b"",
) -> Iterator[Site]:
    """Serve `folder`; with a `certificate` (and its key in one file) by TLS."""
    kind = type("Handler", (_Handler,), {"redirect": redirect, "status": status, "extra": extra})
    handler = partial(kind, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    scheme = "http"
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    site = Site(f"{scheme}://127.0.0.1:{server.server_port}")
    kind.site = site  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_certificate(path: Path) -> Path:
    """A self-made certificate for 127.0.0.1 and its key, in the one file `path`."""
    key = path.with_suffix(".key")
    argv = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    argv += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(path)]
    subprocess.run(argv, check=True, capture_output=True, timeout=60)
    path.write_bytes(path.read_bytes() + key.read_bytes())
    return path
