"""What holds of the receipts of one stream that several gateways heard, one after the other.

A gateway that is killed gives no last receipt: what is left of it is the latest one that its client
asked for. The next session goes on at the last commit, which lies within that, and says where
(``start_sample``). So together they cover the stream, or it is said what they do not.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from .checking import (
    BYTES_PER_SAMPLE,
    Finding,
    examine,
    examine_audio,
    examine_transcript,
    proven_frames,
    proven_sentences,
)
from .signing import PublicKey, opened
from .statement import AUDIO_RECEIVED, Bundle, ReceiptError, Statement, parse_statement

HEARD_HZ: Final = 16_000
"""Rate of the samples that positions in a stream are counted in."""
ROUNDING_SAMPLES: Final = 2
"""Of a stream of another rate, a position is known to so many samples."""


class _Link:
    """One receipt of a chain, and where its samples lie in the stream."""

    def __init__(self, bundle: Bundle, stated: Statement) -> None:
        said = stated.predicate
        self.bundle = bundle
        self.stated = stated
        self.frames = proven_frames(bundle, stated)
        self.begins = said.start_sample
        self.at = said.start_sample - said.skipped_samples
        rates = {one.sample_rate_hz for one in self.frames or () if one.sample_rate_hz}
        self.rate_hz = min(rates, default=HEARD_HZ)

    @property
    def first(self) -> int:
        """Its first sample, at the stream's own rate."""
        return round(self.at * self.rate_hz / HEARD_HZ)

    @property
    def end(self) -> int:
        """The one after its last, likewise."""
        return self.first + self.stated.predicate.received_samples

    def frame_at(self, sample: int) -> str:
        """Which of its frames holds a sample of the stream."""
        end = self.first
        for frame in self.frames or ():
            end += frame.samples
            if sample < end:
                return f", in frame {frame.number} of the receipt before"
        return ""


def examine_chain(
    bundles: Sequence[Bundle],
    keys: Mapping[str, PublicKey],
    audio: bytes | None = None,
    transcript: bytes | None = None,
) -> list[Finding]:
    """Look at the receipts of one stream, in the order of their sessions.

    Args:
        audio: int16 LE samples of the whole stream.
        transcript: the whole text, one sentence a line.

    Raises:
        ReceiptError: one of them cannot be read, or shows a single frame or sentence.
    """
    if len(bundles) == 1:
        return examine(bundles[0], keys, audio, transcript)
    findings: list[Finding] = []
    links: list[_Link] = []
    for number, bundle in enumerate(bundles, start=1):
        if bundle.proof is not None:
            raise ReceiptError(f"receipt {number} shows one {bundle.proof.kind} alone")
        found = examine(bundle, keys)
        findings += [Finding(one.holds, f"receipt {number}: {one.text}") for one in found]
        if found[0].holds:
            links.append(_Link(bundle, _statement(bundle, keys)))
    if len(links) < len(bundles):  # without its signature nothing else counts
        return findings
    findings += _joints(links)
    if audio is not None:
        findings += _examine_audio(links, audio)
    if transcript is not None:
        findings += _examine_transcript(links, transcript)
    return findings


def _statement(bundle: Bundle, keys: Mapping[str, PublicKey]) -> Statement:
    payload, _ = opened(bundle.receipt, keys)
    return parse_statement(payload)


def _joints(links: Sequence[_Link]) -> Iterator[Finding]:
    for number, (before, link) in enumerate(itertools.pairwise(links), start=2):
        begins = round(link.begins * link.rate_hz / HEARD_HZ)
        where = f"sample {begins} of the stream ({link.begins / HEARD_HZ:.2f} s)"
        if link.begins < before.begins:
            yield Finding(False, f"receipt {number}: it begins before the one before, at {where}")
        elif begins > before.end + ROUNDING_SAMPLES:
            yield Finding(
                False,
                f"receipt {number}: it goes on at {where}; no receipt covers the "
                f"{begins - before.end} samples before",
            )
        else:
            frame = before.frame_at(begins)
            yield Finding(True, f"receipt {number}: it goes on at {where}{frame}")


def _examine_audio(links: Sequence[_Link], audio: bytes) -> Iterator[Finding]:
    for number, link in enumerate(links, start=1):
        part = _part_of(link, audio)
        for found in examine_audio(link.stated, link.frames, part):
            yield Finding(found.holds, f"receipt {number}: {found.text}")
    more = len(audio) // BYTES_PER_SAMPLE - links[-1].end
    if more > ROUNDING_SAMPLES:
        yield Finding(False, f"audio: it goes on for {more} samples after the last receipt")


def _part_of(link: _Link, audio: bytes) -> bytes:
    """The samples that a receipt is on; where its position is rounded, those that fit it."""
    size = link.stated.predicate.received_samples * BYTES_PER_SAMPLE
    stated = link.stated.digest_of(AUDIO_RECEIVED)
    # The likeliest place first; what fits none is shown as of that one.
    offsets = sorted(range(-ROUNDING_SAMPLES, ROUNDING_SAMPLES + 1), key=abs)
    starts = [(link.first + offset) * BYTES_PER_SAMPLE for offset in offsets]
    parts = [audio[start : start + size] for start in starts if start >= 0]
    fitting = (part for part in parts if hashlib.sha256(part).hexdigest() == stated)
    return next(fitting, parts[0])


def _examine_transcript(links: Sequence[_Link], transcript: bytes) -> Iterator[Finding]:
    lines = transcript.splitlines(keepends=True)
    counts = [link.stated.predicate.sentences.count for link in links]
    unsigned = len(lines) - sum(counts)
    at = 0
    for number, (link, count) in enumerate(zip(links, counts, strict=True), start=1):
        if number == len(links) and unsigned > 0:
            yield Finding(
                False, f"transcript: sentences {at} to {at + unsigned - 1} are in no receipt"
            )
            at += unsigned
        sentences = proven_sentences(link.bundle, link.stated)
        found = examine_transcript(link.stated, sentences, b"".join(lines[at : at + count]))
        yield Finding(found.holds, f"receipt {number}: {found.text}")
        at += count
