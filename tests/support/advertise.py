"""A router that advertises one prefix: python advertise.py INTERFACE PREFIX, until it is ended.

Router advertisements by RFC 4861 4.2 with one prefix option (4.6.2), to all nodes.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import sys
import time

ALL_NODES = "ff02::1"


def advertisement(prefix: str) -> bytes:
    """ICMPv6 type 134; a /64 that is on the link and of which addresses are made."""
    head = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    option = struct.pack("!BBBBIII", 3, 4, 64, 0xC0, 3600, 1800, 0)
    return head + option + socket.inet_pton(socket.AF_INET6, prefix)


def main(interface: str, prefix: str) -> None:
    index = socket.if_nametoindex(interface)
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as router:
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
        while True:
            with contextlib.suppress(OSError):  # until the link is up
                router.sendto(advertisement(prefix), (ALL_NODES, 0, 0, index))
            time.sleep(0.5)


if __name__ == "__main__":
    main(*sys.argv[1:])
