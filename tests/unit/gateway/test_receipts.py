"""Receipts from a gateway's entries to what a stranger finds: nothing can be changed unnoticed."""

from __future__ import annotations

import base64
import hashlib
from typing import Final, NamedTuple

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from common.envelope import Code
from common.receipts.checking import examine, prove
from common.receipts.signing import ReceiptSigner
from common.receipts.statement import (
    Bundle,
    FrameRecord,
    Handling,
    Heard,
    Judgement,
    Provenance,
    ReceiptError,
    parse_sentence,
    parse_statement,
)
from common.wire import Metadata, build_message
from gateway.receipts import (
    RECORDS_PER_EVENT,
    Circumstances,
    ReceiptBook,
    judgement_of,
    samples_of,
)

SESSION: Final = bytes(range(16))
SIGNER: Final = ReceiptSigner(ed25519.Ed25519PrivateKey.generate())
KEYS: Final = {SIGNER.key_id: SIGNER.public}
ABOUT: Final = Circumstances(True, "", "0.1.0", Handling(True, "silence", True, 3), "null", "", 0)
NOWHERE: Final = Provenance(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, "", "null", "", False)


def public_pem() -> bytes:
    """The public key of what these tests sign, as a file holds it."""
    return SIGNER.public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


class Told(NamedTuple):
    """What a client holds at the end of a session."""

    bundle: Bundle
    audio: bytes
    transcript: bytes


def told(count: int = 5, texts: tuple[str, ...] = ("One.", "Zwölf.")) -> Told:
    """A session of frames of different lengths and fates."""
    book = ReceiptBook(SESSION, 0)
    pcm = [bytes([number % 250 + 1] * (2 * (number % 7 + 1))) for number in range(count)]
    raw = b""
    for number, samples in enumerate(pcm):
        fate = Judgement(number % 4)
        heard = Heard(number % 3) if fate is Judgement.CORRUPT else Heard.AS_RECEIVED
        record = FrameRecord(
            number, fate, heard, 16_000, len(samples) // 2, hashlib.sha256(samples).digest()
        )
        event = book.frame(record, memoryview(samples))
        raw += base64.b64decode(event.frames) if event else b""
    sentences = [book.sentence(text, NOWHERE) for text in texts]
    if (rest := book.records()) is not None:
        raw += base64.b64decode(rest.frames)
    assert book.records() is None
    envelope = SIGNER.sign(msgspec.json.encode(book.statement(1, ABOUT)))
    transcript = "".join(f"{text}\n" for text in texts).encode()
    return Told(Bundle.of(envelope, raw, sentences), b"".join(pcm), transcript)


def failures(one: Told) -> list[str]:
    found = examine(one.bundle, KEYS, one.audio, one.transcript)
    return [finding.text for finding in found if not finding.holds]


TOLD: Final = told()


@pytest.mark.parametrize("count", [0, 1, 5, RECORDS_PER_EVENT, RECORDS_PER_EVENT + 1])
def test_all_holds_of_what_was_stated(count: int) -> None:
    one = told(count)
    found = examine(one.bundle, KEYS, one.audio, one.transcript)
    assert all(finding.holds for finding in found), found
    assert len(one.bundle.frame_leaves()) == count


def test_the_statement_can_be_checked_by_hand() -> None:
    stated = parse_statement(base64.b64decode(TOLD.bundle.receipt.payload))
    assert stated.digest_of("audio-received") == hashlib.sha256(TOLD.audio).hexdigest()
    assert stated.digest_of("transcript") == hashlib.sha256(TOLD.transcript).hexdigest()
    heard = b""
    at = 0
    for leaf in TOLD.bundle.frame_leaves():
        record = FrameRecord.unpack(leaf)
        pcm = TOLD.audio[at : at + 2 * record.samples]
        at += len(pcm)
        assert hashlib.sha256(pcm).digest() == record.pcm_sha256
        heard += {Heard.AS_RECEIVED: pcm, Heard.SILENCE: bytes(len(pcm))}.get(record.heard, b"")
    assert stated.digest_of("audio-heard") == hashlib.sha256(heard).hexdigest()
    assert heard != TOLD.audio, "or this shows nothing"
    assert stated.predicate.session == hashlib.sha256(SESSION).hexdigest()
    assert stated.predicate.judged == {
        "ok": 2,
        "unverified": 1,
        "corrupt": 1,
        "healed": 1,
        "missing": 0,
    }


def flipped(raw: bytes, bit: int) -> bytes:
    damaged = bytearray(raw)
    damaged[bit // 8 % len(raw)] ^= 1 << bit % 8
    return bytes(damaged)


@settings(deadline=None)
@given(bit=st.integers(0, 1_000_000))
def test_any_bit_that_changes_in_audio_transcript_records_or_sentences_is_found(bit: int) -> None:
    bundle = TOLD.bundle
    frames = flipped(base64.b64decode(bundle.frames), bit)
    sentence = flipped(bundle.sentences[0].encode(), bit).decode("latin-1")
    for changed in (
        TOLD._replace(audio=flipped(TOLD.audio, bit)),
        TOLD._replace(transcript=flipped(TOLD.transcript, bit)),
        TOLD._replace(bundle=Bundle.of(bundle.receipt, frames, bundle.sentences)),
        TOLD._replace(
            bundle=msgspec.structs.replace(bundle, sentences=[sentence, *bundle.sentences[1:]])
        ),
    ):
        assert failures(changed)


@settings(deadline=None)
@given(data=st.data())
def test_a_changed_order_or_verdict_is_found(data: st.DataObject) -> None:
    leaves = TOLD.bundle.frame_leaves()
    order = data.draw(st.permutations(leaves).filter(lambda some: list(some) != leaves))
    bundle = TOLD.bundle
    assert failures(
        TOLD._replace(bundle=Bundle.of(bundle.receipt, b"".join(order), bundle.sentences))
    )
    number = data.draw(st.integers(0, len(leaves) - 1))
    record = FrameRecord.unpack(leaves[number])
    other = record._replace(judgement=Judgement((record.judgement + 1) % len(Judgement)))
    leaves[number] = other.pack()
    assert failures(
        TOLD._replace(bundle=Bundle.of(bundle.receipt, b"".join(leaves), bundle.sentences))
    )
    swapped = [*bundle.sentences[1:], bundle.sentences[0]]
    assert failures(TOLD._replace(bundle=msgspec.structs.replace(bundle, sentences=swapped)))


def test_the_first_frame_that_differs_is_named_with_its_fate() -> None:
    at = 2 * (1 + 2)  # frames 0 and 1 have one and two samples
    audio = TOLD.audio[:at] + b"\xff" + TOLD.audio[at + 1 :]
    (text,) = failures(TOLD._replace(audio=audio))
    assert "frame 2 is the first that differs (samples 3 to 6, arrived corrupt" in text
    assert "nothing was heard in its place" in text
    (text,) = failures(TOLD._replace(audio=TOLD.audio[:-2]))
    assert "it ends within frame 4" in text
    (text,) = failures(TOLD._replace(audio=TOLD.audio + b"\x00\x00"))
    assert "it goes on for 1 samples after the last frame" in text
    bare = TOLD._replace(bundle=Bundle(TOLD.bundle.receipt), audio=audio)
    assert any("no records of frames" in text for text in failures(bare))


def test_the_first_sentence_that_differs_is_named() -> None:
    (text,) = failures(TOLD._replace(transcript=b"One.\nElf.\n"))
    assert "sentence 1 differs: 'Elf.', signed is 'Zwölf.'" in text
    (text,) = failures(TOLD._replace(transcript=b"One.\n"))
    assert "1 lines, signed are 2 sentences" in text
    assert not failures(TOLD._replace(transcript=TOLD.transcript.removesuffix(b"\n")))


@pytest.mark.parametrize("number", range(5))
def test_one_frame_is_proven_without_the_others(number: int) -> None:
    bundle = prove(TOLD.bundle, "frame", number)
    assert (bundle.frames, bundle.sentences) == ("", [])
    at = 2 * sum(range(1, number + 1))
    pcm = TOLD.audio[at : at + 2 * (number + 1)]
    assert all(finding.holds for finding in examine(bundle, KEYS, pcm))
    assert not all(finding.holds for finding in examine(bundle, KEYS, flipped(pcm, number)))
    assert bundle.proof is not None
    elsewhere = msgspec.structs.replace(bundle.proof, index=(number + 1) % 5)
    moved = msgspec.structs.replace(bundle, proof=elsewhere)
    assert not all(finding.holds for finding in examine(moved, KEYS))


def test_one_sentence_is_proven_without_the_others() -> None:
    bundle = prove(TOLD.bundle, "sentence", 1)
    raw = msgspec.json.encode(bundle)
    assert b"One." not in raw
    assert all(finding.holds for finding in examine(bundle, KEYS, None, "Zwölf.\n".encode()))
    assert not all(finding.holds for finding in examine(bundle, KEYS, None, b"One."))
    assert bundle.proof is not None
    forged = msgspec.structs.replace(bundle.proof, leaf=bundle.proof.leaf.replace("Zwölf", "Elf"))
    found = examine(msgspec.structs.replace(bundle, proof=forged), KEYS)
    assert not all(finding.holds for finding in found)
    with pytest.raises(ReceiptError, match="2 sentences"):
        prove(TOLD.bundle, "sentence", 2)


def test_the_same_words_look_different_in_each_receipt() -> None:
    """Else who has the hash of a sentence could try what it says."""
    salts = {parse_sentence(told().bundle.sentences[0].encode()).salt for _ in range(3)}
    assert len(salts) == 3
    assert all(len(salt) == 32 for salt in salts)


@pytest.mark.parametrize(
    "code, healed, missing, judgement",
    [
        (Code.OK, False, False, Judgement.OK),
        (Code.OK, True, False, Judgement.HEALED),
        (Code.UNVERIFIED, False, False, Judgement.UNVERIFIED),
        (Code.UNVERIFIED, False, True, Judgement.MISSING),
        (Code.CORRUPT, True, False, Judgement.CORRUPT),
    ],
)
def test_a_verdict_is_entered_as_what_became_of_the_frame(
    code: Code, healed: bool, missing: bool, judgement: Judgement
) -> None:
    assert judgement_of(code, healed=healed, missing=missing) is judgement


def test_the_samples_of_a_message_are_found_without_reading_its_metadata() -> None:
    message = build_message(Metadata(sample_rate=16_000), b"\x01\x02\x03\x04\x05")
    assert bytes(samples_of(message, 2)) == b"\x01\x02\x03\x04"
    assert bytes(samples_of(b"x", 0)) == b""
