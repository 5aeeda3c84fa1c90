"""Asks the stock server's own control handler, with a stand-in for its recorder.

Standard input is a JSON list of messages; the last line of standard output is the JSON list of
the replies to each.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any


class Socket:
    """What the handler takes for a WebSocket."""

    remote_address = ("127.0.0.1", 1)

    def __init__(self, messages: list[str], replies: list[list[Any]]) -> None:
        self._messages = messages
        self._replies = replies

    async def __aiter__(self) -> AsyncIterator[str]:
        for message in self._messages:
            self._replies.append([])
            yield message

    async def send(self, text: str) -> None:
        """Take a reply."""
        self._replies[-1].append(json.loads(text))


def main() -> None:
    """Answer what is on standard input."""
    from RealtimeSTT_server import stt_server

    nothing = lambda *args, **kwargs: None  # noqa: E731
    stt_server.recorder = SimpleNamespace(
        **dict.fromkeys(stt_server.allowed_parameters, 0.5),
        **dict.fromkeys(stt_server.allowed_methods, nothing),
    )
    stt_server.recorder_ready.set()
    replies: list[list[Any]] = []
    asyncio.run(stt_server.control_handler(Socket(json.loads(sys.stdin.read()), replies)))
    sys.stdout.write("\n" + json.dumps(replies) + "\n")


if __name__ == "__main__":
    main()
