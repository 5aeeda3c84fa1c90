#!/usr/bin/env python
"""Sends corrupt frames until the server disconnects, and checks how it does that.

    python test_rejection_system.py                     # a server that rejects
    python test_rejection_system.py --threshold 2       # ... with --corruption-threshold 2
    python test_rejection_system.py --expect log-only   # a server that only logs

Speaks the plain protocol over a bare WebSocket, as any client does.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from common.client import flip_bit
from common.client.connection import open_websocket
from tests.clients.tool import HINT, ExpectationError, expect, message, parser, run

MOST_FRAMES = 20
CONNECT_TIMEOUT_S = 10.0
REPLY_WAIT_S = 2.0


class Ending(NamedTuple):
    """How a connection ended, if it did."""

    corrupt_sent: int
    errors: list[dict[str, Any]]
    close_code: int | None
    close_reason: str


async def send_corrupt_frames(url: str, most: int, wait_s: float) -> Ending:
    """One good frame, then up to ``most`` corrupt ones, ``wait_s`` apart."""
    errors: list[dict[str, Any]] = []
    connection = await open_websocket(url, CONNECT_TIMEOUT_S)
    async with connection:
        reader = asyncio.create_task(_read_errors(connection, errors))
        sent = 0
        try:
            await connection.send(message(0))
            while sent < most and not reader.done():
                await connection.send(flip_bit(message(sent + 1)))
                sent += 1
                print(f"sent corrupt frame {sent}", flush=True)
                await asyncio.wait([reader], timeout=wait_s)
        except ConnectionClosed:
            await reader
        if not reader.done():
            reader.cancel()
            return Ending(sent, errors, None, "")
        await connection.wait_closed()
        return Ending(sent, errors, connection.close_code, connection.close_reason or "")


async def _read_errors(connection: ClientConnection, errors: list[dict[str, Any]]) -> None:
    try:
        async for text in connection:
            event = json.loads(text)
            if event.get("type") == "error":
                errors.append(event)
                print(f"received {event}", flush=True)
    except ConnectionClosed:
        pass


async def expect_good_frames_accepted(url: str) -> None:
    """A new connection starts with a clean slate, and correct frames do no harm to it."""
    connection = await open_websocket(url, CONNECT_TIMEOUT_S)
    async with connection:
        for number in range(5):
            await connection.send(message(number))
        try:
            async with asyncio.timeout(REPLY_WAIT_S):
                async for text in connection:
                    if json.loads(text).get("type") == "error":
                        raise ExpectationError(f"a clean connection was refused: {text!r}")
                raise ExpectationError("a clean connection was closed")
        except TimeoutError:
            expect(True, "a new connection with good frames stays open", "")
        except ConnectionClosed as error:
            raise ExpectationError(f"a clean connection was closed: {error}") from None


async def expect_rejection(options: argparse.Namespace) -> None:
    """The rejecting policies: the message, the close code, the count."""
    tolerated = options.threshold
    print(
        f"Expected: disconnected by corrupt frame number {tolerated + 1}"
        if tolerated is not None
        else "Expected: disconnected for corrupt frames"
    )
    most = MOST_FRAMES if tolerated is None else tolerated + 1
    ending = await send_corrupt_frames(options.url, most, options.wait)
    expect(
        ending.close_code is not None,
        "the server disconnects a client that sends corrupt frames",
        f"it is still connected after {ending.corrupt_sent} of them; {HINT}",
    )
    if tolerated is not None:
        expect(
            ending.corrupt_sent == tolerated + 1,
            f"{tolerated} corrupt frames are tolerated, the next one is not",
            f"disconnected after {ending.corrupt_sent}",
        )
    rejections = [error for error in ending.errors if error.get("error") == "data_corruption"]
    expect(len(rejections) == 1, "it says so once, with an error event", f"got {ending.errors}")
    (rejection,) = rejections
    expect(
        set(rejection) == {"type", "error", "message", "action"}
        and rejection["action"] == "disconnect"
        and rejection["message"].startswith("Connection rejected: Checksum mismatch: expected "),
        "the event reads as documented",
        str(rejection),
    )
    expect(
        ending.close_code == 1008,
        "the close code is 1008 (policy violation)",
        f"it was {ending.close_code}",
    )


async def expect_tolerance(options: argparse.Namespace) -> None:
    """The log-only policy: corrupt frames have no consequence for the connection."""
    frames = options.threshold + 1 if options.threshold is not None else 5
    print(f"Expected: {frames} corrupt frames have no consequence but in the log")
    ending = await send_corrupt_frames(options.url, frames, options.wait)
    expect(
        ending.close_code is None and not ending.errors,
        "the connection stays open, without an error",
        f"closed with {ending.close_code} {ending.close_reason}; errors: {ending.errors}",
    )


async def check(options: argparse.Namespace) -> None:
    """The policy that is expected, then that nothing of it is left for the next connection."""
    await (expect_rejection if options.expect == "reject" else expect_tolerance)(options)
    await expect_good_frames_accepted(options.url)


def main() -> int:
    """Parse the options and run."""
    arguments = parser(__doc__)
    arguments.add_argument(
        "--expect",
        choices=["reject", "log-only"],
        default="reject",
        help="the server's policy [%(default)s]",
    )
    arguments.add_argument(
        "--threshold", type=int, help="the server's --corruption-threshold, to check the count"
    )
    arguments.add_argument(
        "--wait", type=float, default=1.0, help="seconds to wait after each frame [%(default)s]"
    )
    options = arguments.parse_args()
    return run(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
