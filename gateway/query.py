"""What the URL of a connection asks for, in its query string."""

from __future__ import annotations

from typing import Final, NamedTuple
from urllib.parse import parse_qs, urlsplit

MAX_FIELDS: Final = 20


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

    @classmethod
    def of(cls, path: str) -> Query:
        """Parse a request path; unknown and malformed fields are ignored."""
        fields = query_fields(path)
        sentences = fields.get("sentences", "")
        return cls(
            events=fields.get("events") == "integrity",
            session=fields.get("session", ""),
            resume=fields.get("resume") == "1",
            observe=fields.get("observe", ""),
            sentences=int(sentences) if sentences.isdecimal() and len(sentences) < 10 else -1,
        )
