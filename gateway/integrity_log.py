"""One session's log lines on integrity, in the wording that operators know.

``[OK]`` lines: with extended logging one per frame; without it the first of a session, then a
summary every few seconds. Failures are logged one by one, within a budget of the session. First
lines and failures have a budget of all sessions together too, for who connects again and again
begins with a fresh one.
"""

from __future__ import annotations

import logging
from typing import Any, Final, NamedTuple

from common.envelope import Code, Verdict
from common.logs import INTEGRITY_LOGGER, LogBudget, clock
from common.wire import metadata_text
from gateway.frame_counts import Judged
from gateway.healing import Mended
from gateway.rejection import RejectionPolicy, agree, shown_checksum
from gateway.sequence import Anomaly

log = logging.getLogger(INTEGRITY_LOGGER)

FAILURE_BURST: Final = 20
FAILURES_PER_SECOND: Final = 5.0
ALL_BURST: Final = 500
ALL_PER_SECOND: Final = 50.0
FIRSTS_BURST: Final = 100
FIRSTS_PER_SECOND: Final = 10.0


class SharedBudgets(NamedTuple):
    """What all of a gateway's connections may log together: failures, and sessions' first lines."""

    failures: LogBudget
    firsts: LogBudget


def budget_of_all() -> SharedBudgets:
    """Fresh budgets."""
    return SharedBudgets(
        LogBudget(ALL_BURST, ALL_PER_SECOND), LogBudget(FIRSTS_BURST, FIRSTS_PER_SECOND)
    )


class IntegrityLog:
    """Writes one connection's lines.

    Args:
        peer: the client's address.
        extended: log every frame.
        summary_s: seconds between summaries of good frames.
        shared: the budgets that it shares with the other connections; None: nobody else's.
    """

    def __init__(
        self,
        peer: str,
        policy: RejectionPolicy,
        *,
        extended: bool,
        summary_s: float,
        shared: SharedBudgets | None = None,
    ) -> None:
        self._peer = peer
        self._policy = policy
        self._extended = extended
        self._summary_s = summary_s
        self._budget = LogBudget(FAILURE_BURST, FAILURES_PER_SECOND)
        self._shared, self._firsts = shared or budget_of_all()
        self._said_first = False
        self._said_form = False
        self._since_summary = 0
        self._next_summary_s: float | None = None
        self._said_unverified = False

    def judged(self, judged: Judged, now_s: float) -> None:
        """A frame of any verdict, in its turn."""
        verdict = judged.verdict
        if judged.mended is not None:
            self.healed(verdict.seq, judged.mended, now_s)
        if judged.missing:
            pass  # its loss is told where the counter jumps
        elif verdict.code == Code.OK:
            self.passed(judged.message, verdict, now_s)
        elif verdict.code == Code.CORRUPT:
            self.failed(judged.message, verdict, judged.failures, judged.rejects, now_s)
        else:
            self.unverified(judged.message, verdict, now_s)
        if verdict.code != Code.CORRUPT and (verdict.diagnosis or verdict.likely):
            self._of_the_form(verdict, now_s)
        if judged.anomaly is not None:
            self.out_of_sequence(judged.anomaly, now_s)

    def healed(self, sequence: int, mended: Mended, now_s: float) -> None:
        """A frame that was asked for again."""
        if self._budget.allow(now_s) and self._shared.allow(now_s):
            self._line(
                logging.INFO,
                f"  [{clock()}] [HEALED] Client {self._peer} frame {sequence} arrived as sent at "
                f"attempt {mended.attempts}",
                healed=sequence,
                attempts=mended.attempts,
                delay_s=round(mended.delay_s, 3),
            )

    def _of_the_form(self, verdict: Verdict, now_s: float) -> None:
        """Audio that arrived as sent, but is no int16 mono: said once."""
        first, self._said_form = not self._said_form, True
        if first and self._firsts.allow(now_s):
            self._line(
                logging.WARNING,
                *_diagnosis(verdict),
                diagnosis=verdict.diagnosis or None,
                likely=verdict.likely or None,
            )

    def passed(self, message: bytes, verdict: Verdict, now_s: float) -> None:
        """A frame whose length and checksum agree."""
        if self._extended or (self._next_summary_s is None and self._firsts.allow(now_s)):
            self._received(message)
            self._line(
                logging.INFO,
                f"  [{clock()}] [OK] Data integrity verified "
                f"(length: {verdict.actual_length}, checksum: {verdict.actual_checksum})",
                verdict="ok",
                sequence=verdict.seq,
                length=verdict.actual_length,
                checksum=verdict.actual_checksum,
            )
        if self._next_summary_s is None:
            self._next_summary_s = now_s + self._summary_s
            return
        self._since_summary += 1
        if not self._extended and now_s >= self._next_summary_s:
            self._line(
                logging.INFO,
                f"  [{clock()}] [OK] Data integrity verified for {self._since_summary} more "
                f"frames of {self._peer} in the last {self._summary_s:g} s",
                verdict="ok",
                frames=self._since_summary,
            )
            self._since_summary = 0
            self._next_summary_s = now_s + self._summary_s

    def unverified(self, message: bytes, verdict: Verdict, now_s: float) -> None:
        """A frame that was not checked."""
        first, self._said_first = not self._said_first, True
        within = not first or self._firsts.allow(now_s)
        if self._extended or (first and within):
            self._received(message)
        if self._said_unverified or not verdict.asks_verification or self._policy.verify:
            return
        self._said_unverified = True
        if not within:
            return
        self._line(
            logging.INFO,
            f"  [{clock()}] Client {self._peer} sends checksums, but verification is off: "
            "start with --verify-data-integrity to check them",
            verdict="unverified",
        )

    def failed(
        self, message: bytes, verdict: Verdict, failures: int, rejects: bool, now_s: float
    ) -> None:
        """A corrupt frame, and what it leads to."""
        if not self._extended:
            within = rejects or self._budget.allow(now_s)
            if not within or not self._shared.allow(now_s):
                return
        if others := self._shared.take_suppressed():
            self._line(
                logging.WARNING,
                f"  [{clock()}] {others} more failures of all clients were not logged",
                suppressed=others,
            )
        suppressed = self._budget.take_suppressed()
        if suppressed:
            self._line(
                logging.WARNING,
                f"  [{clock()}] {suppressed} more failures of {self._peer} were not logged",
                suppressed=suppressed,
            )
        self._received(message)
        lines = [f"  [{clock()}] [FAIL] Data integrity check failed!", *_comparison(verdict)]
        if rejects:
            lines += [
                f"    [REJECT] Client {self._peer} exceeded corruption threshold "
                f"({failures} failures)",
                f"    [DISCONNECT] Closing connection to {self._peer} due to data corruption",
            ]
        elif self._policy.reject:
            lines.append(
                f"    [WARNING] Client {self._peer} corruption count: "
                f"{failures}/{self._policy.tolerated + 1}"
            )
        self._line(
            logging.WARNING,
            "\n".join(lines),
            verdict="corrupt",
            sequence=verdict.seq,
            expected_length=verdict.expected_length,
            actual_length=verdict.actual_length,
            expected_checksum=verdict.expected_checksum,
            actual_checksum=verdict.actual_checksum,
            malformed=verdict.malformed or None,
            diagnosis=verdict.diagnosis or None,
            likely=verdict.likely or None,
            failures=failures,
            tolerated=self._policy.tolerated if self._policy.reject else None,
            rejected=rejects,
        )

    def out_of_sequence(self, anomaly: Anomaly, now_s: float) -> None:
        """The client's frame counter jumped."""
        if self._budget.allow(now_s) and self._shared.allow(now_s):
            self._line(
                logging.WARNING,
                f"  [{clock()}] [SEQUENCE] Client {self._peer}: {anomaly.frames} frame(s) "
                f"{anomaly.kind} (expected audioSequence {anomaly.expected}, got {anomaly.got})",
                anomaly=anomaly.kind,
                expected=anomaly.expected,
                got=anomaly.got,
            )

    def refused(self, text: str, now_s: float) -> None:
        """A message that is not even looked at."""
        if self._budget.allow(now_s) and self._shared.allow(now_s):
            self._line(logging.WARNING, f"  [{clock()}] [FAIL] Client {self._peer}: {text}")

    def _received(self, message: bytes) -> None:
        self._said_first = True
        self._line(
            logging.INFO,
            f"Server received audio chunk of length {len(message)} bytes, "
            f"metadata: {metadata_text(message)}",
            bytes=len(message),
        )

    def _line(self, level: int, text: str, **facts: Any) -> None:
        log.log(level, text, extra={"facts": {"client": self._peer, **facts}})


def _comparison(verdict: Verdict) -> list[str]:
    lines = []
    if verdict.malformed:
        lines.append(f"    Malformed frame ({verdict.malformed}): {verdict.diagnosis}")
        return lines
    if verdict.expected_length is not None:
        same = verdict.expected_length == verdict.actual_length
        lines.append(
            f"    Length: expected {verdict.expected_length}, got {verdict.actual_length} "
            f"({'OK' if same else 'FAIL'})"
        )
    if verdict.expected_checksum is not None:
        expected = shown_checksum(verdict.expected_checksum)
        same = agree(verdict.expected_checksum, verdict.actual_checksum)
        lines.append(
            f"    Checksum: expected {expected}, "
            f"got {verdict.actual_checksum} ({'OK' if same else 'FAIL'})"
        )
        if not same:
            lines.append(
                "    Checksum mismatch indicates audio data corruption during transmission"
            )
    return lines + _diagnosis(verdict)


def _diagnosis(verdict: Verdict) -> list[str]:
    if verdict.diagnosis:
        return [f"    Diagnosis: {verdict.diagnosis}"]
    return [f"    Likely: {verdict.likely}"] if verdict.likely else []
