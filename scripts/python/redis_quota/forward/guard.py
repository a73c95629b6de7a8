"""Which addresses a sink may be connected to: not those of our own network, whatever a name resolves to.

    https://hook.example.test/x ── resolve ──▶ 203.0.113.9, 10.0.0.7 ── check each ──▶ refused: 10.0.0.7 is private
                                                                    └── all are public: connect to that address

The connection goes to the address that was checked, so that a name which changes in between gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
IPV4_MASK = 0xFFFFFFFF


class Forbidden(Exception):
    """The address is not public; the text says which."""


def inner_address(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that it leads to: mapped, or through NAT64."""
    return ipaddress.IPv4Address(int(address) & IPV4_MASK) if address in NAT64 else address.ipv4_mapped


def is_public(address: Address) -> bool:
    """Whether it is one host of the public internet. The tunnels 6to4 and Teredo are not."""
    if isinstance(address, ipaddress.IPv6Address):
        inner = inner_address(address)
        if inner is not None:
            return is_public(inner)
        if address.is_site_local or address.sixtofour or address.teredo:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


async def addresses_of(host: str, port: int, allow_private: bool) -> list[str]:
    """Every address of the host. Forbidden: one of them is not public; OSError: it has none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    texts = list(dict.fromkeys(str(place[0]) for *_, place in found))
    for text in texts:
        if not allow_private and not is_public(ipaddress.ip_address(text.partition("%")[0])):
            raise Forbidden(f"{host} is {text}, which is not public: allow-private: true would permit it")
    return texts
