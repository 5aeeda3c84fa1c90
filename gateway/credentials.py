"""What a request says of itself: key, token, session; in headers, subprotocols and the query.

A browser's WebSocket takes no headers but a list of subprotocols, so ours carry what is secret:
``stt`` (which the server answers with) beside ``stt.key.KEY``, ``stt.session.ID`` and
``stt.observe.ID``. None of them is written to any log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

SUBPROTOCOL: Final = "stt"
KEY: Final = "stt.key."
SESSION: Final = "stt.session."
OBSERVE: Final = "stt.observe."
OTHERS_KEYS: Final = ("openai-insecure-api-key.",)
"""Prefixes under which other protocols' browser clients send a key."""
DEEPGRAM: Final = "token"
"""Deepgram's clients send this subprotocol, and their key as the next one."""
MAX_SUBPROTOCOLS: Final = 16
MAX_FIELDS: Final = 20

Headers = Callable[[str], Sequence[str]]
"""Gives all values of a header."""


class Credentials(NamedTuple):
    """What was found.

    Attributes:
        key: a key's text; "" without one.
        token: a token's text, out of the query.
        session: id or name of a session, to take up or to command.
        observe: id of one to hear.
        subprotocol: to answer with; None: the client offered none of ours.
        is_ambiguous: several headers bring a key: a proxy may have looked at another one.
    """

    key: str = ""
    token: str = ""
    session: str = ""
    observe: str = ""
    subprotocol: str | None = None
    is_ambiguous: bool = False


def find(headers: Headers, path: str) -> Credentials:
    """Read a request's; what is malformed is not there."""
    offered = subprotocols(headers("Sec-WebSocket-Protocol"))
    fields = _query(path)
    return Credentials(
        key=_from_headers(headers) or _from_subprotocols(offered),
        token=fields.get("token", ""),
        session=_after(SESSION, offered) or fields.get("session", ""),
        observe=_after(OBSERVE, offered) or fields.get("observe", ""),
        subprotocol=SUBPROTOCOL if SUBPROTOCOL in offered else None,
        is_ambiguous=len(headers("Authorization")) > 1 or len(headers("X-API-Key")) > 1,
    )


def subprotocols(values: Iterable[str]) -> list[str]:
    """The subprotocols that are offered, in order."""
    offered = [word.strip() for value in values for word in value.split(",")]
    return [word for word in offered if word][:MAX_SUBPROTOCOLS]


def _from_headers(headers: Headers) -> str:
    for value in headers("Authorization"):
        scheme, _, key = value.strip().partition(" ")
        if scheme.lower() in ("bearer", "token"):
            return key.strip()
    return next((value.strip() for value in headers("X-API-Key")), "")


def _from_subprotocols(offered: Sequence[str]) -> str:
    for prefix in (KEY, *OTHERS_KEYS):
        if key := _after(prefix, offered):
            return key
    if DEEPGRAM in offered[:-1]:
        return offered[offered.index(DEEPGRAM) + 1]
    return ""


def _after(prefix: str, offered: Iterable[str]) -> str:
    found = (word.removeprefix(prefix) for word in offered if word.startswith(prefix))
    return next(found, "")


def _query(path: str) -> dict[str, str]:
    try:
        fields = parse_qs(urlsplit(path).query, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}
