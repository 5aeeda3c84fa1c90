"""What checks between the stages, healing and receipts add to a frame of 4096 samples."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from common.envelope import Audio, Frame, Policy
from common.receipts.signing import ReceiptSigner
from common.receipts.statement import FrameRecord, Handling, Heard, Judgement
from common.stamps import (
    audio_is_as_stamped,
    audio_stamp,
    frame_stamp,
    is_as_stamped,
    stamp_of,
)
from common.wire import Mark, frame_label, mark_resent
from gateway.healing import Healing, HealingLimits
from gateway.receipts import Circumstances, ReceiptBook
from gateway.retransmission import RetransmissionTimer
from gateway.window import Window
from tests.bench import frames
from tests.bench.report import RESULTS, Result, Spread

SESSION: Final = b"s" * 16
POLICY: Final = int(Policy.VERIFY)
HOP_SHARE_PERCENT: Final = 3.0
ABOUT: Final = Circumstances(True, "", "0", Handling(True, "silence", True, 0), "null", "", 0)


def run(*, quick: bool) -> list[Result]:
    """One table."""
    result = Result(
        "proving",
        "Proving: µs of CPU time per frame of 4096 samples (per receipt, where it says so)",
        ["operation", "µs"],
    )
    runs, calls = (5, 500) if quick else (15, 4_000)

    def row(what: str, call: Callable[[], object], count: int = calls) -> float:
        spent = microseconds(call, runs, count)
        result.add(what, spent)
        return spent.median

    message, pcm = frames.message(1), frames.pcm(1)
    receipt = stamp_of(message)
    stamp = frame_stamp(receipt, SESSION, 1, POLICY, 0)
    frame = Frame(SESSION, 1, 0, "ipc://a", POLICY, stamp)
    sound = audio_stamp(SESSION, 1, frames.RATE_HZ, False, 0, Mark.NONE, 0, pcm)
    audio = Audio(SESSION, 1, frames.RATE_HZ, False, 0, stamp=sound)
    hops = sum(
        (
            row("hops: gateway stamps on receipt", lambda: stamp_of(message)),
            row(
                "hops: gateway ties it to the frame",
                lambda: frame_stamp(receipt, SESSION, 1, POLICY, 0),
            ),
            row("hops: verifier checks", lambda: is_as_stamped(frame, message)),
            row(
                "hops: verifier stamps the audio",
                lambda: audio_stamp(SESSION, 1, frames.RATE_HZ, False, 0, Mark.NONE, 0, pcm),
            ),
            row("hops: transcriber checks", lambda: audio_is_as_stamped(audio, pcm)),
        )
    )
    share = 100 * hops / pipeline_us()
    result.goal(
        f"hop checks under {HOP_SHARE_PERCENT:g} % of the pipeline's CPU time, %",
        share,
        share < HOP_SHARE_PERCENT,
    )
    row("resend: gateway reads a frame's number", lambda: frame_label(message))
    row("resend: gateway finds a frame's place", placing(message))
    row("resend: client marks an answer", lambda: mark_resent(message, 1))
    row("receipt: verifier hashes the samples", lambda: hashlib.sha256(pcm).digest())
    book = ReceiptBook(SESSION, 0)
    row("receipt: gateway enters a frame", entering(book, pcm))
    for name, key in (
        ("Ed25519", ReceiptSigner(ed25519.Ed25519PrivateKey.generate())),
        ("ECDSA P-256", ReceiptSigner(ec.generate_private_key(ec.SECP256R1()))),
    ):
        row(
            f"receipt: statement and signature, {name}, per receipt",
            lambda key=key: key.sign(msgspec.json.encode(book.statement(0, ABOUT))),  # type: ignore[misc]
            max(10, calls // 40),
        )
    return [result]


def placing(message: bytes) -> Callable[[], object]:
    """Lets frames of one number after the other take their places, in windows of their own."""

    def place() -> object:
        window = Window(64, 1 << 20, RetransmissionTimer(0.25, 4.0))
        return Healing(window, 1, HealingLimits(2, 1.0)).accept(message, 1, 0.0, 0)

    return place


def entering(book: ReceiptBook, pcm: bytes) -> Callable[[], object]:
    """Enters the same frame again and again, as a session of so many does."""
    digest = hashlib.sha256(pcm).digest()
    view = memoryview(pcm)

    def enter() -> object:
        record = FrameRecord(
            1, Judgement.OK, Heard.AS_RECEIVED, frames.RATE_HZ, frames.SAMPLES, digest
        )
        return book.frame(record, view)

    return enter


def pipeline_us() -> float:
    """CPU time of all stages for one frame, as the pipeline's table has it last."""
    rows = json.loads((RESULTS / "pipeline.json").read_text(encoding="utf-8"))["rows"]
    (found,) = (
        one["total"]["median"]
        for one in rows
        if one["what"] == "this pipeline, 2 verifiers" and one["connections"] == 10
    )
    return float(found) * 1_000  # seconds per 1,000 frames


def microseconds(call: Callable[[], object], runs: int, calls: int) -> Spread:
    """Thread CPU time of one call."""
    values = []
    for _ in range(runs):
        started = time.thread_time()
        for _ in range(calls):
            call()
        values.append((time.thread_time() - started) / calls * 1e6)
    return Spread.of(values)
