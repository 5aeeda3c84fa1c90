"""When a client's corrupt frames are too many, and what replaces a corrupt frame."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import xxhash

from common.envelope import OnCorruption, Policy, Verdict
from common.integrity import MASK32
from common.settings import GatewaySettings
from common.wire import BYTES_PER_SAMPLE, printable
from gateway.failure_book import Page


class RejectionPolicy(NamedTuple):
    """The server's settings on corruption, resolved.

    Attributes:
        verify: check frames that carry a checksum.
        reject: disconnect a client with more failures than ``tolerated``.
        tolerated: failures that a connection may have.
        on_corruption: what the recorder hears in place of a corrupt frame.
    """

    verify: bool
    reject: bool
    tolerated: int
    on_corruption: OnCorruption

    @classmethod
    def of(cls, settings: GatewaySettings) -> RejectionPolicy:
        """Defaults: a server that only logs forwards, one that rejects puts silence."""
        reject = settings.reject_corrupted_data
        chosen = settings.on_corruption
        default = OnCorruption.SILENCE if reject else OnCorruption.FORWARD
        return cls(
            verify=settings.verify_data_integrity or reject,
            reject=reject,
            tolerated=settings.corruption_threshold,
            on_corruption=OnCorruption(chosen) if chosen else default,
        )

    @property
    def bits(self) -> int:
        """The same for a verifier, as bits of a frame's header."""
        bits = Policy.VERIFY if self.verify else Policy(0)
        if self.on_corruption is OnCorruption.FORWARD:
            bits |= Policy.FORWARD_CORRUPT
        elif self.on_corruption is OnCorruption.SILENCE:
            bits |= Policy.SILENCE_CORRUPT
        return int(bits)

    @property
    def limit(self) -> int:
        """Failures at which a recorder stops listening; -1 without rejection."""
        return self.tolerated if self.reject else -1


class FailureCount:
    """Counts one session's corrupt frames, on top of those of its client's earlier connections.

    Args:
        page: where its client's are remembered; None: they are forgotten when the session ends.
        now_s: on the monotonic clock.

    Attributes:
        failures: never fewer than the session's own and those that it began with, so that the
            transcriber, which counts these too, stops at no frame that this does not reject.
    """

    def __init__(
        self, policy: RejectionPolicy, page: Page | None = None, now_s: float = 0.0
    ) -> None:
        self._policy = policy
        self._page = page
        self.failures = page.count(now_s) if page is not None else 0

    def add(self, now_s: float = 0.0) -> bool:
        """Count one more; whether it rejects the client."""
        self.failures += 1
        if self._page is not None:
            self.failures = max(self.failures, self._page.add(now_s))
        return self._policy.reject and self.failures > self._policy.tolerated


LEAST_SOUND_BYTES: Final = 64
"""Bytes that are not 0, of a frame whose repetition is no accident of a few flipped bits."""


class StaleFrames:
    """Recognises a corrupt frame whose samples are those of the frame before: a stale buffer."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None

    def diagnose(self, verdict: Verdict, message: bytes, corrupt: bool) -> str:
        """Look at the next verdict in order, and its frame; a diagnosis if it is a repetition.

        Equal sums prove nothing, so it is the samples that are compared; and those of a frame
        that was itself corrupt, or all but silent, may come again by the same fault.
        """
        size = verdict.actual_length * BYTES_PER_SAMPLE
        pcm = memoryview(message)[len(message) - size :]
        seen = (size, xxhash.xxh3_64_intdigest(pcm))
        stale = (
            corrupt
            and seen == self._last
            and not verdict.malformed
            and np.count_nonzero(np.frombuffer(pcm, np.uint8)) >= LEAST_SOUND_BYTES
        )
        self._last = None if corrupt else seen
        return "stale frame: it repeats the samples of the frame before" if stale else ""


def mismatch_message(verdict: Verdict) -> str:
    """What differs, as the rejection event carries it."""
    if verdict.malformed:
        return f"Malformed frame: {verdict.diagnosis}"
    differences = []
    if verdict.expected_length is not None and verdict.expected_length != verdict.actual_length:
        differences.append(
            f"Length mismatch: expected {verdict.expected_length}, got {verdict.actual_length}"
        )
    expected, actual = verdict.expected_checksum, verdict.actual_checksum
    if expected is not None and actual is not None and not agree(expected, actual):
        differences.append(f"Checksum mismatch: expected {shown_checksum(expected)}, got {actual}")
    return "; ".join(differences) or verdict.diagnosis or "Corrupt frame"


def shown_checksum(checksum: int | str) -> int | str:
    """A client's checksum as it is shown: JavaScript's signed sums as the unsigned number meant.

    A client may send any text for one.
    """
    return checksum & MASK32 if isinstance(checksum, int) else printable(checksum)


def agree(expected: int | str, actual: int | str | None) -> bool:
    """Whether a client's checksum is the one that was found, signs and letter case aside."""
    if isinstance(expected, str) and isinstance(actual, str):
        return expected.lower().rjust(len(actual), "0") == actual
    return shown_checksum(expected) == actual
