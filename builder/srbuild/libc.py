"""What glibc itself opens with dlopen when a program makes certain calls.

No DT_NEEDED tells of it. Sources: glibc's misc/unwind-link.c (libgcc_s for cancelling and
leaving threads and for backtraces) and nss/nsswitch.c; the release notes of glibc 2.34, since
which the services `files` and `dns` are built in.
"""

from __future__ import annotations

import re
from typing import Final

LIBC: Final = "libc.so.6"

# Up to 2.33 libc.so.6 was always a link to the file that bears the release's number.
_RELEASE = re.compile(r"libc-2\.([0-9]+)(?:\.[0-9]+)*\.so$")
_BUILT_IN_SINCE: Final = 34

_UNWINDING: Final = ("pthread_cancel", "pthread_exit", "thrd_exit", "backtrace")
_HOSTS: Final = ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyaddr")


def opened_by_libc(call: str, libc: str) -> tuple[str, ...]:
    """The sonames that the libc whose file is `libc` opens for `call`."""
    if call in _UNWINDING:
        return ("libgcc_s.so.1",)
    release = _RELEASE.search(libc)
    if release is None or int(release[1]) >= _BUILT_IN_SINCE:
        return ()
    return ("libnss_files.so.2", "libnss_dns.so.2") if call in _HOSTS else ("libnss_files.so.2",)
