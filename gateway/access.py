"""Who may come in, on every port that clients reach: one rule for WebSockets and plain HTTP.

A request is admitted by its ``Host``, its ``Origin`` and, where keys are asked for, its key or a
token.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final, NamedTuple

from common.api_keys import ApiKey, KeyRing
from common.origins import Names, OriginRule
from gateway import credentials
from gateway.credentials import Credentials, Headers
from gateway.tokens import Tokens

NOT_VERIFIED: Final = (
    "this API key is for verified audio, and this server verifies none (--verify-data-integrity)"
)
CHALLENGE: Final = ("WWW-Authenticate", 'Bearer realm="stt"')


class Arrival(NamedTuple):
    """A request as it comes in.

    Attributes:
        headers: gives all values of a header, in whatever case it is asked for.
        path: with its query.
        address: of the client.
        arrived_at: of this end of the connection.
    """

    headers: Headers
    path: str
    address: str
    arrived_at: str


class Admission(NamedTuple):
    """A request that may go on.

    Attributes:
        key: None where no keys are asked for.
        said: what the request says of itself.
    """

    key: ApiKey | None
    said: Credentials


class Refusal(NamedTuple):
    """A request that may not.

    Attributes:
        kind: for metrics and the audit log: ``host``, ``origin``, ``no_key``, ``wrong_key``,
            ``several_keys``, ``expired_key``, ``unverified``, ``token_again``, ``no_keys``.
        reason: for the one refused; holds no secret.
        name: of the key, where it was one.
    """

    kind: str
    status: HTTPStatus
    reason: str
    name: str = ""

    @property
    def is_authentication(self) -> bool:
        """Whether the key was the reason: such failures are slowed and counted."""
        return self.status is HTTPStatus.UNAUTHORIZED

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """To send with the answer."""
        return (CHALLENGE,) if self.is_authentication else ()


class Access:
    """Decides who may come in; holds no clock and does no I/O.

    Args:
        keys: None: no keys are asked for.
        verifies: whether this server verifies what clients send.

    Attributes:
        keys: replaced as a whole when the file changes.
    """

    def __init__(
        self,
        names: Names,
        origins: OriginRule,
        keys: KeyRing | None,
        tokens: Tokens,
        *,
        verifies: bool = True,
    ) -> None:
        self._names = names
        self._origins = origins
        self.keys = keys
        self.tokens = tokens
        self._verifies = verifies

    def admit(self, arrival: Arrival, now_s: float) -> Admission | Refusal:
        """Whether a request may go on; ``now_s``: seconds since 1970."""
        return self.admit_site(arrival) or self.admit_key(arrival, now_s)

    def admit_site(self, arrival: Arrival) -> Refusal | None:
        """Look at ``Host`` and ``Origin`` alone: a page must load before it can ask for a key."""
        hosts, origins = arrival.headers("Host"), arrival.headers("Origin")
        host = hosts[0] if len(hosts) == 1 else None
        if not self._names.answers_to(host, arrival.arrived_at):
            return Refusal(
                "host",
                HTTPStatus.MISDIRECTED_REQUEST,
                "the Host header names no name of this server (--server-name adds one)",
            )
        origin = origins[0] if len(origins) == 1 else "" if origins else None
        if not self._origins.admits(origin, host, arrival.arrived_at):
            return Refusal(
                "origin",
                HTTPStatus.FORBIDDEN,
                "pages of this origin may not connect (--allow-origin names others that may)",
            )
        return None

    def admit_key(self, arrival: Arrival, now_s: float) -> Admission | Refusal:
        """Look at the key or token alone."""
        said = credentials.find(arrival.headers, arrival.path)
        if self.keys is None:
            return Admission(None, said)
        if said.is_ambiguous:
            return Refusal("several_keys", HTTPStatus.UNAUTHORIZED, "a request brings one API key")
        if said.key:
            key = self.keys.find(said.key)
        elif said.token:
            key = self.tokens.take(said.token, self.keys, now_s)
        else:
            return Refusal("no_key", HTTPStatus.UNAUTHORIZED, "this server asks for an API key")
        if key is None:
            return Refusal("wrong_key", HTTPStatus.UNAUTHORIZED, "there is no such API key")
        if key.is_expired(now_s):
            return Refusal(
                "expired_key", HTTPStatus.UNAUTHORIZED, "this API key is expired", key.name
            )
        if key.wants_checksums and not self._verifies:
            return Refusal("unverified", HTTPStatus.FORBIDDEN, NOT_VERIFIED, key.name)
        return Admission(key, said)

    def exchange(self, arrival: Arrival, now_s: float) -> str | Refusal:
        """A token for a request that brings a key: with a token alone nobody lengthens its life."""
        result = self.admit(arrival, now_s)
        if isinstance(result, Refusal):
            return result
        if result.key is None:
            text = "this server asks for no API keys"
            return Refusal("no_keys", HTTPStatus.NOT_FOUND, text)
        if not result.said.key:
            text = "a token is given for an API key, not for another token"
            return Refusal("token_again", HTTPStatus.UNAUTHORIZED, text, result.key.name)
        return self.tokens.give(result.key, now_s)
