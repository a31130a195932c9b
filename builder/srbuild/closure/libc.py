"""What glibc itself opens with dlopen when a program makes certain calls.

No DT_NEEDED tells of it. Sources: glibc's misc/unwind-link.c (libgcc_s for cancelling and
leaving threads and for backtraces) and nss/nsswitch.c; the release notes of glibc 2.34, since
which the services `files` and `dns` are built in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

LIBC: Final = "libc.so.6"
UNWINDER: Final = "libgcc_s.so.1"
# The parts of glibc that define the calls which others make, and what is opened for them.
SERVES_CALLS: Final = (LIBC, "libpthread.so.0", UNWINDER)

# Up to 2.33 libc.so.6 was always a link to the file that bears the release's number.
_RELEASE = re.compile(r"libc-2\.([0-9]+)(?:\.[0-9]+)*\.so$")
_BUILT_IN_SINCE: Final = 34

_HOSTS: Final = ("getaddrinfo", "getnameinfo", "gethostbyname", "gethostbyaddr")
_OTHERS: Final = (
    "getpwnam",
    "getpwuid",
    "getgrnam",
    "getgrgid",
    "initgroups",
    "getgrouplist",
    "getservbyname",
)


def has_services_apart(libc: str) -> bool:
    """Whether the libc whose file is `libc` opens a library for names in files and the DNS."""
    release = _RELEASE.search(libc)
    return release is not None and int(release[1]) < _BUILT_IN_SINCE


def name_services(table: bytes) -> Iterator[tuple[str, str]]:
    """(Call, soname of a service that it needs) for a program with the string table `table`."""
    for call in (*_HOSTS, *_OTHERS):
        if any(name in table for name in (f"{call}\0".encode(), f"{call}_r\0".encode())):
            yield call, "libnss_files.so.2"
            if call in _HOSTS:
                yield call, "libnss_dns.so.2"
