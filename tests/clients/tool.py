"""What the command-line tools of this folder share: options, synthetic audio, PASS and FAIL."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Final

import numpy as np

from common.client import StreamError
from common.client.frames import FrameBuilder
from common.client.stream import DEFAULT_URL
from common.wire import LENGTH_PREFIX

SAMPLE_RATE_HZ: Final = 16_000
CHUNK_SAMPLES: Final = 4096
HINT: Final = (
    "start the server with: deploy/stt-server --verify-data-integrity --reject-corrupted-data "
    "--corruption-threshold 0"
)


class ExpectationError(Exception):
    """The server did not do what this tool expects."""


def expect(condition: bool, claim: str, otherwise: str) -> None:
    """Print PASS and the claim, or end the tool.

    Raises:
        ExpectationError: the claim does not hold; ``otherwise`` says what was seen.
    """
    if not condition:
        raise ExpectationError(f"{claim}: {otherwise}")
    print(f"[PASS] {claim}", flush=True)


def parser(doc: str | None) -> argparse.ArgumentParser:
    """A parser with ``--url``, described by the tool's own docstring."""
    result = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    result.add_argument("--url", default=DEFAULT_URL, help="data port of the server [%(default)s]")
    return result


def run(main: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """Run a tool; its exit status: 0 as expected, 1 not, 130 interrupted."""
    try:
        asyncio.run(main())
    except (ExpectationError, StreamError, TimeoutError, OSError, ValueError) as error:
        print(f"[FAIL] {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    print("[DONE] everything was as expected")
    return 0


def tone(number: int, samples: int = CHUNK_SAMPLES) -> bytes:
    """int16 samples of a tone with a little noise, different for each ``number``."""
    time_s = np.arange(samples) / SAMPLE_RATE_HZ
    noise = np.random.default_rng(number).normal(0.0, 200.0, samples)
    wave = 8000.0 * np.sin(2 * np.pi * (300 + 50 * (number % 10)) * time_s) + noise
    return wave.astype("<i2").tobytes()


def message(number: int) -> bytes:
    """A correct frame of :func:`tone`."""
    return FrameBuilder().build(
        tone(number), number=number, sample_rate_hz=SAMPLE_RATE_HZ, timestamp_ms=1_640_995_200_000
    )


def pcm_start(frame: bytes) -> int:
    """Where the samples begin in a frame."""
    (length,) = LENGTH_PREFIX.unpack_from(frame)
    return LENGTH_PREFIX.size + int(length)
