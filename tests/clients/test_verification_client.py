#!/usr/bin/env python
"""Streams synthetic audio, chunk by chunk, and expects the server to find every chunk intact.

    python test_verification_client.py --chunks 5 --interval 1.0

Needs a server that verifies: deploy/stt-server --verify-data-integrity
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from common.client import ClientEvent
from common.client.stream import connect
from common.client.view import verdict_line
from common.events import FrameVerdict
from tests.clients.tool import CHUNK_SAMPLES, HINT, expect, parser, run, tone


async def verify_chunks(options: argparse.Namespace) -> None:
    """Send the chunks, collect the verdicts, compare."""
    verdicts: list[FrameVerdict] = []

    def on_event(event: ClientEvent) -> None:
        if isinstance(event, FrameVerdict):
            verdicts.append(event)
            print(verdict_line(event), flush=True)

    print(f"Expected: {options.chunks} chunks of {CHUNK_SAMPLES} samples, each verified [OK]")
    async with connect(options.url, chunk_samples=CHUNK_SAMPLES, on_event=on_event) as stream:
        expect(bool(stream.verifying), "the server verifies", f"it does not; {HINT}")
        for number in range(options.chunks):
            if number:
                await asyncio.sleep(options.interval)
            await stream.send(tone(number))
        report = await stream.finish()
    expect(
        [verdict.verdict for verdict in verdicts] == ["ok"] * options.chunks,
        f"all {options.chunks} chunks are verified",
        ", ".join(verdict.verdict for verdict in verdicts) or "no verdict came",
    )
    expect(
        all(
            verdict.expected_checksum == verdict.actual_checksum
            and verdict.actual_length == CHUNK_SAMPLES
            for verdict in verdicts
        ),
        "length and checksum agree in each verdict",
        "they do not",
    )
    expect(
        report is not None and (report.frames, report.ok) == (options.chunks, options.chunks),
        "the session report counts them too",
        f"it says {report}",
    )


def main() -> int:
    """Parse the options and run."""
    arguments = parser(__doc__)
    arguments.add_argument("--chunks", type=int, default=5, help="chunks to send [%(default)s]")
    arguments.add_argument(
        "--interval", type=float, default=1.0, help="seconds between chunks [%(default)s]"
    )
    options = arguments.parse_args()
    return run(lambda: verify_chunks(options))


if __name__ == "__main__":
    sys.exit(main())
