"""What holds of a receipt, given public keys and, if one has them, audio and transcript."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from .merkle import ProofError, inclusion_proof, root_by_proof, root_of
from .signing import PublicKey, SignatureError, opened
from .statement import (
    AUDIO_HEARD,
    AUDIO_RECEIVED,
    TRANSCRIPT,
    Bundle,
    FrameRecord,
    Heard,
    Judgement,
    Proof,
    ReceiptError,
    Statement,
    Tree,
    from_base64,
    parse_sentence,
    parse_statement,
)

BYTES_PER_SAMPLE: Final = 2


class Finding(NamedTuple):
    """One thing that was looked at: whether it is as the server stated, in a sentence."""

    holds: bool
    text: str


def examine(
    bundle: Bundle,
    keys: Mapping[str, PublicKey],
    audio: bytes | None = None,
    transcript: bytes | None = None,
) -> list[Finding]:
    """Look at all that can be looked at; the signature first, without which nothing else counts.

    Args:
        audio: int16 LE samples of the whole stream; of the one frame, for the proof of a frame.
        transcript: the whole text, or the one sentence, likewise.

    Raises:
        ReceiptError: it cannot be read, so that nothing can be said about it.
    """
    try:
        payload, key = opened(bundle.receipt, keys)
    except SignatureError as error:
        return [Finding(False, f"signature: {error}")]
    stated = parse_statement(payload)
    findings = [Finding(True, f"signature: by key {key}"), Finding(True, _about(stated))]
    if bundle.proof is not None:
        return [*findings, *_examine_proof(bundle.proof, stated, audio, transcript)]
    if leaves := bundle.frame_leaves():
        findings.append(_examine_tree("frames", leaves, stated.predicate.frames))
    if bundle.sentences:
        tree = stated.predicate.sentences
        findings.append(_examine_tree("sentences", bundle.sentence_leaves(), tree))
    if audio is not None:
        findings.extend(examine_audio(stated, proven_frames(bundle, stated), audio))
    if transcript is not None:
        sentences = proven_sentences(bundle, stated)
        findings.append(examine_transcript(stated, sentences, transcript))
    return findings


def proven_frames(bundle: Bundle, stated: Statement) -> list[FrameRecord] | None:
    """The records of all frames, if the file holds those that were signed.

    Raises:
        ReceiptError: they cannot be read.
    """
    leaves = bundle.frame_leaves()
    if not leaves or not _examine_tree("frames", leaves, stated.predicate.frames).holds:
        return None
    return [FrameRecord.unpack(leaf) for leaf in leaves]


def proven_sentences(bundle: Bundle, stated: Statement) -> list[str] | None:
    """The texts of all sentences, likewise.

    Raises:
        ReceiptError: they cannot be read.
    """
    leaves = bundle.sentence_leaves()
    if not leaves or not _examine_tree("sentences", leaves, stated.predicate.sentences).holds:
        return None
    return [parse_sentence(leaf).text for leaf in leaves]


def prove(bundle: Bundle, kind: str, index: int) -> Bundle:
    """A file that shows one frame or one sentence, and nothing of the others.

    Args:
        kind: ``frame`` or ``sentence``.

    Raises:
        ReceiptError: the bundle does not hold that one.
    """
    leaves = bundle.frame_leaves() if kind == "frame" else bundle.sentence_leaves()
    try:
        path = inclusion_proof(leaves, index)
    except IndexError:
        raise ReceiptError(f"the receipt holds the records of {len(leaves)} {kind}s") from None
    leaf = leaves[index]
    text = base64.b64encode(leaf).decode("ascii") if kind == "frame" else leaf.decode()
    proof = Proof(kind, index, text, [one.hex() for one in path])
    return Bundle(bundle.receipt, proof=proof)


def _about(stated: Statement) -> str:
    said = stated.predicate
    judged = ", ".join(f"{count} {name}" for name, count in said.judged.items() if count)
    state = "the whole stream" if said.final else "the stream so far"
    if said.rejected:
        state = f"a stream that was rejected ({said.rejected})"
    return (
        f"statement: issued {said.issued} on {state}: {said.frames.count} frames "
        f"({judged or 'none'}), {said.sentences.count} sentences"
    )


def _examine_tree(name: str, leaves: list[bytes], tree: Tree) -> Finding:
    if len(leaves) != tree.count:
        return Finding(
            False, f"{name}: the file holds {len(leaves)} records, the statement is on {tree.count}"
        )
    if root_of(leaves).hex() != tree.root:
        return Finding(False, f"{name}: the records in the file are not those that were signed")
    return Finding(True, f"{name}: all {tree.count} records are those that were signed")


def _examine_proof(
    proof: Proof, stated: Statement, audio: bytes | None, transcript: bytes | None
) -> Iterator[Finding]:
    trees = {"frame": stated.predicate.frames, "sentence": stated.predicate.sentences}
    tree = trees.get(proof.kind)
    if tree is None:
        raise ReceiptError(f"a proof of {proof.kind!r}, expected frame or sentence")
    name = f"{proof.kind} {proof.index}"
    try:
        root = root_by_proof(proof.leaf_bytes, proof.index, tree.count, proof.hashes).hex()
    except ProofError as error:
        yield Finding(False, f"{name}: {error}")
        return
    if root != tree.root:
        yield Finding(False, f"{name}: it is not the one that was signed")
        return
    if proof.kind == "frame":
        frame = FrameRecord.unpack(from_base64(proof.leaf))
        yield Finding(True, f"{name}: {_words(frame)}")
        if audio is not None:
            same = hashlib.sha256(audio).digest() == frame.pcm_sha256
            yield Finding(same, f"audio: {'that' if same else 'not that'} of the frame")
        return
    sentence = parse_sentence(proof.leaf_bytes)
    at = sentence.provenance
    yield Finding(
        True,
        f"{name}: {sentence.text!r}, of frames {at.first_frame} to {at.last_frame}, "
        f"{at.start_ms / 1000:.2f} to {at.end_ms / 1000:.2f} s",
    )
    if transcript is not None:
        same = transcript.decode(errors="replace").strip() == sentence.text
        yield Finding(same, f"transcript: {'that' if same else 'not that'} of the sentence")


def examine_audio(
    stated: Statement, frames: list[FrameRecord] | None, audio: bytes
) -> Iterator[Finding]:
    """Whether the audio is what was received, and what was heard of it what the records say."""
    if hashlib.sha256(audio).hexdigest() != stated.digest_of(AUDIO_RECEIVED):
        why = _first_difference(frames, audio) if frames is not None else ""
        why = why or "the receipt file holds no records of frames that could say where"
        yield Finding(False, f"audio: not what the server received: {why}")
        return
    seconds = ""
    if frames and frames[0].sample_rate_hz and len({one.sample_rate_hz for one in frames}) == 1:
        seconds = f" ({len(audio) / BYTES_PER_SAMPLE / frames[0].sample_rate_hz:.2f} s)"
    samples = len(audio) // BYTES_PER_SAMPLE
    yield Finding(True, f"audio: all {samples} samples{seconds} are what the server received")
    if frames is None:
        return
    heard, replaced = hashlib.sha256(), 0
    for frame, pcm in _cut(frames, audio):
        if frame.heard is Heard.AS_RECEIVED:
            heard.update(pcm)
        else:
            replaced += 1
            heard.update(bytes(len(pcm)) if frame.heard is Heard.SILENCE else b"")
    same = heard.hexdigest() == stated.digest_of(AUDIO_HEARD)
    instead = f"; {replaced} frames were replaced or left out" if replaced else ""
    yield Finding(same, f"heard: {'as' if same else 'not as'} the records of frames say{instead}")


def _cut(frames: list[FrameRecord], audio: bytes) -> Iterator[tuple[FrameRecord, bytes]]:
    at = 0
    for frame in frames:
        size = frame.samples * BYTES_PER_SAMPLE
        yield frame, audio[at : at + size]
        at += size


def _first_difference(frames: list[FrameRecord], audio: bytes) -> str:
    at = 0
    for frame, pcm in _cut(frames, audio):
        end = at + frame.samples
        if hashlib.sha256(pcm).digest() != frame.pcm_sha256:
            where = f"samples {at} to {end}, {_words(frame)}"
            if len(pcm) < frame.samples * BYTES_PER_SAMPLE:
                return f"it ends within frame {frame.number} ({where})"
            return f"frame {frame.number} is the first that differs ({where})"
        at = end
    more = len(audio) // BYTES_PER_SAMPLE - at
    return f"it goes on for {more} samples after the last frame"


def examine_transcript(
    stated: Statement, sentences: list[str] | None, transcript: bytes
) -> Finding:
    """Whether the transcript is the one that was signed."""
    text = transcript if transcript.endswith(b"\n") or not transcript else transcript + b"\n"
    if hashlib.sha256(text).hexdigest() == stated.digest_of(TRANSCRIPT):
        return Finding(True, f"transcript: all {stated.predicate.sentences.count} sentences")
    if sentences is None:
        return Finding(False, "transcript: not the one that was signed")
    lines = text.decode(errors="replace").split("\n")[:-1]
    for number, (line, sentence) in enumerate(zip(lines, sentences, strict=False)):
        if line != sentence:
            return Finding(
                False, f"transcript: sentence {number} differs: {line!r}, signed is {sentence!r}"
            )
    return Finding(False, f"transcript: {len(lines)} lines, signed are {len(sentences)} sentences")


_JUDGED: Final = {
    Judgement.OK: "arrived as sent",
    Judgement.UNVERIFIED: "was not verified",
    Judgement.CORRUPT: "arrived corrupt",
    Judgement.HEALED: "arrived as sent when it was asked for again",
    Judgement.MISSING: "never came",
}
_HEARD: Final = {
    Heard.AS_RECEIVED: "",
    Heard.SILENCE: ", and silence was heard in its place",
    Heard.NOTHING: ", and nothing was heard in its place",
}


def _words(frame: FrameRecord) -> str:
    return f"{_JUDGED[frame.judgement]}{_HEARD[frame.heard]}"
