#!/usr/bin/env python
"""Damages frames in every way that a line or a client does, and expects each to be found.

    python test_corrupted_data.py

Each fault has a connection of its own, because a strict server ends it at the first one. Works
with every policy of a server that verifies: deploy/stt-server --verify-data-integrity
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from common.client import ClientEvent, RejectedError, flip_bit
from common.client.stream import connect
from common.client.view import verdict_line
from common.events import FrameVerdict
from common.wire import LENGTH_PREFIX
from tests.clients.tool import (
    CHUNK_SAMPLES,
    HINT,
    ExpectationError,
    expect,
    parser,
    pcm_start,
    run,
    tone,
)


class Fault(NamedTuple):
    """One way to damage a frame, and what the server should say of it."""

    name: str
    damage: Callable[[bytes], bytes]
    diagnosis: str = ""


def zeroed(frame: bytes) -> bytes:
    """A block of 256 samples lost to silence."""
    start = pcm_start(frame) + 1000
    return frame[:start] + bytes(512) + frame[start + 512 :]


def byte_swapped(frame: bytes) -> bytes:
    """Samples in the other byte order."""
    start = pcm_start(frame)
    return frame[:start] + np.frombuffer(frame[start:], "<i2").byteswap().tobytes()


def wrong_metadata(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    """Replace a part of the metadata."""

    def damage(frame: bytes) -> bytes:
        start = pcm_start(frame)
        header = frame[LENGTH_PREFIX.size : start].replace(old, new)
        return LENGTH_PREFIX.pack(len(header)) + header + frame[start:]

    return damage


FAULTS = (
    Fault("one bit flipped", flip_bit),
    Fault("a block zeroed", zeroed),
    Fault("truncated by 6 samples", lambda frame: frame[:-12], "truncated by 6 samples"),
    Fault("10 samples too many", lambda frame: frame + bytes(20), "10 extra samples"),
    Fault("half a sample missing", lambda frame: frame[:-1], "odd number of PCM bytes"),
    Fault("no samples at all", lambda frame: frame[: pcm_start(frame)], "truncated by 4096"),
    Fault("byte-swapped samples", byte_swapped, "byte-swapped"),
    Fault("checksum of 0", wrong_metadata(b'"checksum":', b'"checksum":0,"was":'), "checksum is 0"),
    Fault("metadata is no JSON", wrong_metadata(b"{", b"<"), "not JSON"),
    Fault("metadata is longer than the message", lambda frame: b"\xff\xff\xff\x7f" + frame[4:]),
    Fault("no sample rate", wrong_metadata(b"sampleRate", b"rate"), "no sampleRate"),
)


async def try_fault(url: str, fault: Fault) -> bool:
    """Send a good frame, a damaged one and a good one; whether the server rejected for it.

    Raises:
        ExpectationError: it was not detected, or a good frame was blamed.
    """
    verdicts: list[FrameVerdict] = []
    detected = asyncio.Event()

    def on_event(event: ClientEvent) -> None:
        if isinstance(event, FrameVerdict):
            verdicts.append(event)
            if event.verdict == "corrupt":
                print(verdict_line(event), flush=True)
                detected.set()

    rejected = False
    try:
        async with connect(url, chunk_samples=CHUNK_SAMPLES, on_event=on_event) as stream:
            expect_verifying(stream.verifying)
            await stream.send(tone(0))
            await stream.send(tone(1), corrupt=fault.damage)
            await stream.send(tone(2))
            await stream.finish()
    except RejectedError as error:
        print(f"[REJECTED] {error.message}")
        rejected = True
    seen = [verdict.verdict for verdict in verdicts]
    wanted = ["ok", "corrupt"] if rejected else ["ok", "corrupt", "ok"]
    expect(seen == wanted, f"{fault.name}: detected, and nothing else", f"verdicts were {seen}")
    said = verdicts[1].diagnosis or verdicts[1].likely
    expect(
        fault.diagnosis in said,
        f"{fault.name}: diagnosed" if fault.diagnosis else f"{fault.name}: nothing is made up",
        f"the diagnosis was {said!r}, without {fault.diagnosis!r}",
    )
    return rejected


def expect_verifying(verifying: bool | None) -> None:
    """End the tool if the server does not verify."""
    if not verifying:
        raise ExpectationError(f"the server does not verify; {HINT}")


async def try_all(options: argparse.Namespace) -> None:
    """Every fault in turn."""
    print(f"Expected: {len(FAULTS)} kinds of damage, each detected in the frame that has it")
    rejections = [await try_fault(options.url, fault) for fault in FAULTS]
    print(f"The server rejected {sum(rejections)} of {len(FAULTS)} connections.")


def main() -> int:
    """Parse the options and run."""
    options = parser(__doc__).parse_args()
    return run(lambda: try_all(options))


if __name__ == "__main__":
    sys.exit(main())
