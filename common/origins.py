"""Which ``Host`` and which ``Origin`` a port answers to.

A page of another site may open connections to a server on its visitor's machine or network: the
browser names the page's site in ``Origin``. It may also let its own host name point at that server
(DNS rebinding), so that the two seem to be of one site: the browser then names that host in
``Host``. Programs that are no browsers send no ``Origin`` and what ``Host`` they were told.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

NULL: Final = "null"
"""The origin of a page that was opened from a file, and of a sandboxed frame of any site."""
MAX_BYTES: Final = 300
"""Longer ones are none."""

_HOST: Final = re.compile(
    r"(?P<name>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::(?P<port>\d{1,5}))?", re.A
)
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


class Site(NamedTuple):
    """A host, in lower case and without brackets, and a port; None where the scheme's is meant."""

    host: str
    port: int | None


def site_of(header: str) -> Site | None:
    """Read a ``Host`` header; None when it is malformed."""
    found = _HOST.fullmatch(header[:MAX_BYTES])
    if found is None:
        return None
    host = found["name"].strip("[]").lower().rstrip(".")
    port = int(found["port"]) if found["port"] else None
    return Site(host, port) if host and (port or 0) < 65_536 else None


class Origin(NamedTuple):
    """A page's site and how it was fetched."""

    scheme: str
    site: Site

    @property
    def port(self) -> int:
        """The port, said or not."""
        return self.site.port or _DEFAULT_PORTS[self.scheme]


def origin_of(header: str) -> Origin | None:
    """Read an ``Origin`` header; None when it is not one of a web page."""
    try:
        parts = urlsplit(header[:MAX_BYTES])
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or parts.path or parts.query or parts.fragment:
        return None
    site = site_of(parts.netloc)
    return None if site is None else Origin(parts.scheme, site)


def is_loopback(host: str) -> bool:
    """Whether a host, by name or address, is the machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    address = _address(host)
    return address is not None and address.is_loopback


def is_wildcard(host: str) -> bool:
    """Whether a server that listens there listens on all addresses."""
    address = _address(host)
    return host in ("", "*") or (address is not None and address.is_unspecified)


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


class Names:
    """The names and addresses that a server was told it has.

    Besides them it has the machine's own (``localhost`` and its addresses), and the address at
    which a connection arrived: neither can be any other site's.

    Args:
        names: of the server, without ports.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._names = {
            site.host
            for name in names
            if not is_wildcard(name) and (site := site_of(_bracketed(name))) is not None
        }

    def has(self, host: str, arrived_at: str) -> bool:
        """Whether a host is the server's; ``arrived_at``: the connection's own address."""
        if host in self._names or is_loopback(host):
            return True
        address = _address(host)
        return address is not None and address == _address(arrived_at)

    def answers_to(self, header: str | None, arrived_at: str) -> bool:
        """Whether a ``Host`` header names this server."""
        site = site_of(header or "")
        return site is not None and self.has(site.host, arrived_at)


def _bracketed(name: str) -> str:
    return f"[{name}]" if ":" in name and not name.startswith("[") else name


class OriginRule:
    """Whether a page may connect.

    Args:
        names: of this server.
        ports: on which it serves pages.
        allowed: other origins, such as ``https://app.example``.
        allow_null: also pages that were opened from a file.
        secure: this server has TLS: a page of its names that came without is somebody else's, who
            sits on the visitor's line.
    """

    def __init__(
        self,
        names: Names,
        ports: Iterable[int],
        allowed: Iterable[str] = (),
        *,
        allow_null: bool = False,
        secure: bool = False,
    ) -> None:
        self._names = names
        self._secure = secure
        self._ports = frozenset(ports)
        self._allowed = {origin for text in allowed if (origin := origin_of(text)) is not None}
        self._allow_null = allow_null

    def admits(self, header: str | None, host: str | None, arrived_at: str) -> bool:
        """Whether a request with this ``Origin`` and ``Host`` may go on.

        Own pages are those of this server's names at one of its ports, and those whose site is the
        very one that the request is sent to (a proxy has another port). A page of the visitor's own
        machine counts only where the server is on that machine too.
        """
        if header is None:
            return True
        if header == NULL:
            return self._allow_null
        origin = origin_of(header)
        if origin is None:
            return False
        if origin in self._allowed:
            return True
        if self._secure and origin.scheme != "https":
            return False
        own, asked = origin.site.host, site_of(host or "")
        if asked is None or not self._names.has(own, arrived_at):
            return False
        if is_loopback(own) and not is_loopback(asked.host):
            return False
        return origin.port in self._ports or origin.site == asked
