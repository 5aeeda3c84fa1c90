"""What a client shows to be let in: an API key, and whose certificates it trusts.

Neither it nor a session's id is ever put into a URL: URLs end up in logs.
"""

from __future__ import annotations

import functools
import ssl
from typing import Final, NamedTuple

SUBPROTOCOL: Final = "stt"
SESSION: Final = "stt.session."
OBSERVE: Final = "stt.observe."


class Access(NamedTuple):
    """How to be let in.

    Attributes:
        api_key: "" for servers that ask for none.
        authorities: PEM file of the certificates to trust, for a server whose own is not signed by
            anybody that this system trusts; "" for the system's.
    """

    api_key: str = ""
    authorities: str = ""

    def __repr__(self) -> str:
        return f"Access(api_key={'…' if self.api_key else ''!r}, authorities={self.authorities!r})"

    @property
    def headers(self) -> dict[str, str]:
        """Of the handshake."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def tls(self, url: str) -> ssl.SSLContext | None:
        """The TLS context for a URL; None where it is not ``wss://``.

        Raises:
            ValueError: the authorities cannot be used.
        """
        if not url.startswith("wss:"):
            return None
        # A file may be another one at the next connection; the system's takes 20 ms to read.
        return _context(self.authorities) if self.authorities else _system_context()


@functools.cache
def _system_context() -> ssl.SSLContext:
    return _context("")


def _context(authorities: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=authorities or None)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot use the certificates in {authorities}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def subprotocols(*, session: str = "", observe: str = "") -> list[str]:
    """The subprotocols that name a session; none where there is none to name."""
    named = [SESSION + session] if session else [OBSERVE + observe] if observe else []
    return [SUBPROTOCOL, *named] if named else []
