#!/usr/bin/env python
"""Gets itself rejected and checks that the client library makes the best of it.

    python test_client_rejection_handling.py

A rejected client must be told why, must stop sending, must not come back on its own, and must be
able to start again with intact data. Needs a server that rejects:
deploy/stt-server --verify-data-integrity --reject-corrupted-data
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.client import ClientEvent, RejectedError, flip_bit
from common.client.stream import Stream, connect
from common.events import Error, FrameVerdict
from tests.clients.tool import CHUNK_SAMPLES, HINT, ExpectationError, expect, parser, run, tone

MOST_FRAMES = 50


async def get_rejected(stream: Stream) -> RejectedError:
    """Send corrupt frames until the library raises.

    Raises:
        ExpectationError: the server takes them all.
    """
    try:
        for number in range(MOST_FRAMES):
            await stream.send(tone(number), corrupt=flip_bit)
            await asyncio.sleep(0.05)
        await stream.finish()
    except RejectedError as error:
        return error
    raise ExpectationError(f"{MOST_FRAMES} corrupt frames and no rejection; {HINT}")


async def raises_rejected(stream: Stream) -> bool:
    """Whether another frame is refused with the same error."""
    try:
        await stream.send(tone(0))
    except RejectedError:
        return True
    return False


async def check(options: argparse.Namespace) -> None:
    """Rejection, its consequences, and a fresh start."""
    print("Expected: a rejection that the client library reports and does not fight")
    events: list[ClientEvent] = []
    async with connect(options.url, chunk_samples=CHUNK_SAMPLES, on_event=events.append) as stream:
        error = await get_rejected(stream)
        print(f"caught {type(error).__name__}: {error}")
        expect(
            error.message.startswith("Connection rejected: "),
            "the exception carries the server's reason",
            repr(error.message),
        )
        expect(error.failures > 0, "and the number of failures", f"it says {error.failures}")
        errors = [event for event in events if isinstance(event, Error)]
        expect(
            [(event.error, event.action) for event in errors]
            == [("data_corruption", "disconnect")],
            "the callback saw one error event",
            f"it saw {errors}",
        )
        corrupt = [e for e in events if isinstance(e, FrameVerdict) and e.verdict == "corrupt"]
        expect(
            len(corrupt) == error.failures == stream.verdicts.corrupt,
            "every failure came as a verdict with what was expected and what arrived",
            f"{len(corrupt)} verdicts, {error.failures} failures",
        )
        expect(await raises_rejected(stream), "sending more raises the same error", "it does not")
        expect(
            not stream.connected and stream.reconnections == 0,
            "the client does not come back on its own",
            f"connected: {stream.connected}, reconnections: {stream.reconnections}",
        )
    async with connect(options.url, chunk_samples=CHUNK_SAMPLES) as fresh:
        for number in range(3):
            await fresh.send(tone(number))
        await fresh.finish()
        expect(
            fresh.verdicts.ok == 3 and fresh.verdicts.corrupt == 0,
            "a new stream with intact data is welcome",
            f"its verdicts were {fresh.verdicts}",
        )


def main() -> int:
    """Parse the options and run."""
    options = parser(__doc__).parse_args()
    return run(lambda: check(options))


if __name__ == "__main__":
    sys.exit(main())
