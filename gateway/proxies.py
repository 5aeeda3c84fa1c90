"""Whose request a proxy passes on: only what trusted proxies say of it counts. No I/O.

Each proxy of a chain appends the address that it was reached from. So the client is the last
address of the chain that is no trusted proxy's; what stands before it may be anybody's invention.
One header is read, the one that the proxies set: they pass others on as the client sent them.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from common.errors import SettingsError

FORWARDED: Final = "Forwarded"
FORWARDED_FOR: Final = "X-Forwarded-For"
MAX_HOPS: Final = 32
"""Addresses of a chain that are read, from its end."""
_FOR: Final = re.compile(r"""(?:^|[;\s])for=(?:"([^"]*)"|([^\s;",]+))""", re.IGNORECASE)

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class TrustedProxies:
    """Finds the client's address behind proxies that are trusted.

    Args:
        networks: the proxies', such as ``10.0.0.0/8`` or ``127.0.0.1``.
        header: which one they append to.

    Raises:
        SettingsError: one of them is no network.
    """

    def __init__(self, networks: Iterable[str], header: str = FORWARDED_FOR) -> None:
        self._header = header
        try:
            self._networks = [ipaddress.ip_network(text, strict=False) for text in networks]
        except ValueError as error:
            raise SettingsError(f"--trusted-proxies: {error}") from None

    def is_trusted(self, remote: str) -> bool:
        """Whether this address is a trusted proxy's."""
        return bool(self._networks) and self._trusts(_address(remote))

    def client_of(self, remote: str, values: Callable[[str], Sequence[str]]) -> str:
        """The address of the client; ``remote`` itself unless that is a trusted proxy.

        Args:
            remote: the other end of the connection.
            values: gives all values of a request's header.
        """
        if not self._networks or not self._trusts(_address(remote)):
            return remote
        client = remote
        for text in reversed(self._chain(values)[-MAX_HOPS:]):
            address = _address(text)
            if address is None:  # "unknown", a name, an invention: the chain ends here
                break
            client = str(address)
            if not self._trusts(address):
                break
        return client

    def _chain(self, values: Callable[[str], Sequence[str]]) -> list[str]:
        """What the header says, the last proxy's word last."""
        elements = [part.strip() for value in values(self._header) for part in value.split(",")]
        if self._header != FORWARDED:
            return elements
        found = (_FOR.search(element) for element in elements)
        return [(match[1] or match[2] or "") if match else "" for match in found]

    def _trusts(self, address: Address | None) -> bool:
        return address is not None and any(address in network for network in self._networks)


def _address(text: str) -> Address | None:
    """An address that may carry a port, as ``192.0.2.1:80`` or ``[2001:db8::1]:80``."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
