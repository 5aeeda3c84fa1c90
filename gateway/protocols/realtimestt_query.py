"""What the URL of a connection to RealtimeSTT's ports asks for, in its query string."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

from common.envelope import Commit
from gateway.window import START

MAX_FIELDS: Final = 20
MAX_DIGITS: Final = 14


def query_fields(path: str) -> dict[str, str]:
    """A request path's query fields; none when the path cannot be read, or has absurdly many."""
    try:
        fields = parse_qs(urlsplit(path).query, max_num_fields=MAX_FIELDS)
    except ValueError:
        return {}
    return {name: values[-1] for name, values in fields.items()}


class Query(NamedTuple):
    """What a data URL's query string asks for."""

    events: bool
    session: str
    resume: bool
    observe: str
    sentences: int
    start: Commit = START
    """Where in its first frame a session begins that goes on with the stream of another."""
    receipt: bool = False
    resend_from: int = -1

    @classmethod
    def of(cls, path: str) -> Query:
        """Parse a request path; unknown and malformed fields are ignored."""
        fields = query_fields(path)
        skip = _number(fields, "skip_samples")
        sample = max(skip, _number(fields, "sample"))
        return cls(
            events=fields.get("events") == "integrity",
            session=fields.get("session", ""),
            resume=fields.get("resume") == "1",
            observe=fields.get("observe", ""),
            sentences=_number(fields, "sentences", -1),
            start=Commit(0, skip, sample, _number(fields, "run_samples")),
            receipt=fields.get("receipt") == "1",
            resend_from=_number(fields, "first") if fields.get("resend") == "1" else -1,
        )


def _number(fields: dict[str, str], name: str, otherwise: int = 0) -> int:
    text = fields.get(name, "")
    return int(text) if text.isdecimal() and len(text) < MAX_DIGITS else otherwise
