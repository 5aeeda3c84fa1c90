"""What makes a frame good or bad, and what the transcriber hears of it.

Pure and stateless: one frame in, one verdict and one audio message out, whatever the bytes.

A frame is *verified* when verification is on, the client sent a ``checksum``, and it did not
set ``server_sent_to_stt`` to false. Otherwise it is *unverified*; a ``dataLength`` without a
checksum is still compared while verification is on, for a wrong one proves corruption, although
a right one proves nothing about the samples. A message that cannot be read, and an odd number of
PCM bytes, are corrupt whether verification is on or off.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from common.diagnosis import NOTHING, Diagnosis, diagnose
from common.envelope import Audio, Code, Frame, Policy, Verdict
from common.errors import MalformedFrameError, MalformedReason
from common.hmac_keys import NO_KEYS, HmacKeys
from common.integrity import (
    ALGORITHMS,
    MASK32,
    Algorithm,
    additive_checksum,
    digest,
    same_checksum,
)
from common.pcm_format import FRAMES, look_at
from common.stamps import audio_stamp
from common.wire import BYTES_PER_SAMPLE, Mark, Metadata, ParsedFrame, parse_message

# Plain ints on the hot path: an IntFlag's operators cost more than all that they select.
_VERIFY: Final = int(Policy.VERIFY)
_DIGEST: Final = int(Policy.DIGEST)
_REPORT_CORRUPT: Final = int(Policy.REPORT_CORRUPT)
_MISSING: Final = int(Policy.MISSING)
_OK: Final = int(Code.OK)
_UNVERIFIED: Final = int(Code.UNVERIFIED)
_CORRUPT: Final = int(Code.CORRUPT)
_NO_PCM: Final = memoryview(b"")
_KEYLESS: Final = (b"",)
WITHHELD: Final = "another"
"""In place of the right HMAC of a frame whose client sent a wrong one."""
Keys = tuple[bytes, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What a frame's gateway and its recorder are told.

    Attributes:
        verdict: for the gateway.
        audio: header for the transcriber; every frame has one, if only a hole of 0 samples, so
            that the transcriber's sequence stays whole. None for a corrupt frame that is only to
            be reported, since its client will be asked to send it again.
        pcm: the int16 LE samples that follow it, still inside the message; empty for a hole.
    """

    verdict: Verdict
    audio: Audio | None
    pcm: memoryview


def check(header: Frame, message: bytes, keys: HmacKeys = NO_KEYS) -> Outcome:
    """Classify one frame; raises nothing, whatever ``message`` holds.

    Args:
        header: whose frame it is, and the policy to apply.
        message: the client's binary message as received.
        keys: of ``hmac-sha256`` checksums.
    """
    policy = header.policy
    if policy & _MISSING:
        return _missing(header)
    try:
        frame = parse_message(message)
    except MalformedFrameError as error:
        return _unreadable(header, error)
    metadata, rate_hz, pcm = frame
    length, odd = divmod(pcm.nbytes, BYTES_PER_SAMPLE)
    expected_length = metadata.data_length
    expected = metadata.checksum
    actual: int | str | None = None
    good = not odd
    asks = metadata.server_sent_to_stt is not False
    if asks and policy & _VERIFY:
        if expected is not None:
            if metadata.checksum_algorithm is None:
                actual = additive_checksum(pcm)
                good &= isinstance(expected, int) and expected & MASK32 == actual
            else:
                try:
                    algorithm, own = _algorithm(metadata.checksum_algorithm, keys, header.key)
                except MalformedFrameError as error:
                    return _corrupt(header, frame, None, error.reason, Diagnosis(error.message))
                actual = _digest(algorithm, metadata, pcm, expected, own)
                good &= same_checksum(algorithm, expected, actual)
        elif policy & _REPORT_CORRUPT:
            return _corrupt(
                header, frame, None, "", Diagnosis("no checksum, and the client promised one")
            )
        good &= expected_length is None or expected_length == length
    if not good:
        reason = MalformedReason.ODD_PCM if odd else ""
        return _corrupt(header, frame, actual, reason, _diagnosis(header, frame, keys))
    form = look_at(pcm, first=not header.seq) if header.seq < FRAMES else NOTHING
    verdict = Verdict(
        header.session,
        header.seq,
        _UNVERIFIED if actual is None else _OK,
        expected_length,
        length,
        expected,
        actual,
        rate_hz,
        metadata.audio_sequence,
        "",
        form.certain,
        asks and (expected is not None or expected_length is not None),
        form.likely,
        header.attempt,
        hashlib.sha256(pcm).digest() if policy & _DIGEST else b"",
        "" if actual is None else metadata.checksum_algorithm or Algorithm.ADDITIVE,
    )
    return Outcome(verdict, _audio(header, metadata, rate_hz, False, 0, pcm), pcm)


def _audio(
    header: Frame,
    metadata: Metadata | None,
    rate_hz: int,
    corrupt: bool,
    hole_samples: int,
    pcm: memoryview,
) -> Audio:
    """The header for the transcriber, with the stamp that it checks."""
    session, seq = header.session, header.seq
    mark, number = Mark.NONE, 0
    if metadata is not None:
        mark, number = metadata.utterance or mark, metadata.utterance_number or 0
    stamp = audio_stamp(session, seq, rate_hz, corrupt, hole_samples, mark, number, pcm)
    received_ns = header.received_ns
    return Audio(session, seq, rate_hz, corrupt, hole_samples, received_ns, mark, number, stamp)


def _missing(header: Frame) -> Outcome:
    """The frame never came: nothing is said of it, and nothing is heard."""
    verdict = Verdict(
        header.session,
        header.seq,
        _UNVERIFIED,
        expected_length=None,
        actual_length=0,
        expected_checksum=None,
        actual_checksum=None,
        attempt=header.attempt,
        pcm_sha256=hashlib.sha256().digest() if header.policy & _DIGEST else b"",
    )
    return Outcome(verdict, _audio(header, None, 0, False, 0, _NO_PCM), _NO_PCM)


def _algorithm(name: str | None, keys: HmacKeys, owner: str) -> tuple[Algorithm, Keys]:
    """The algorithm of that name, and the keys that it may be used with.

    Args:
        owner: name of the client's API key.

    Raises:
        MalformedFrameError: there is no such algorithm, or this server has no key for it.
    """
    if name is None:
        return Algorithm.ADDITIVE, _KEYLESS
    if name not in ALGORITHMS:
        raise MalformedFrameError(
            MalformedReason.UNKNOWN_ALGORITHM,
            f"checksumAlgorithm {name!r} is none of {', '.join(sorted(ALGORITHMS))}",
        )
    if name != Algorithm.HMAC_SHA256:
        return Algorithm(name), _KEYLESS
    own = keys.of(owner)
    if not own:
        raise MalformedFrameError(
            MalformedReason.UNKNOWN_ALGORITHM,
            f"checksumAlgorithm {name!r} cannot be checked: this server has no key for it"
            + (f" of {owner}" if owner else ""),
        )
    return Algorithm.HMAC_SHA256, own


def _digest(
    algorithm: Algorithm, metadata: Metadata, pcm: memoryview, expected: int | str, keys: Keys
) -> int | str:
    """The frame's checksum; of an HMAC that is not the client's, only that it is another.

    A verdict reaches the client: told what its HMAC should have been, anybody could make one.
    """
    for key in keys:
        actual = digest(algorithm, metadata, pcm, key)
        if algorithm is not Algorithm.HMAC_SHA256 or same_checksum(algorithm, expected, actual):
            return actual
    return WITHHELD


def _diagnosis(header: Frame, frame: ParsedFrame, keys: HmacKeys) -> Diagnosis:
    """What the numbers say about a frame found corrupt."""
    metadata = frame.metadata
    try:
        algorithm, own = _algorithm(metadata.checksum_algorithm, keys, header.key)
    except MalformedFrameError:  # odd PCM while verification is off: the name is not looked at
        algorithm, own = Algorithm.ADDITIVE, _KEYLESS
    return diagnose(
        algorithm,
        metadata,
        frame.pcm,
        expected_length=metadata.data_length,
        expected=metadata.checksum,
        key=own[0],
    )


def _unreadable(header: Frame, error: MalformedFrameError) -> Outcome:
    """Nothing is known of the frame, not even how much audio it held: a hole of 0 samples."""
    verdict = Verdict(
        header.session,
        header.seq,
        _CORRUPT,
        expected_length=None,
        actual_length=0,
        expected_checksum=None,
        actual_checksum=None,
        malformed=error.reason,
        diagnosis=error.message,
        attempt=header.attempt,
        pcm_sha256=hashlib.sha256().digest() if header.policy & _DIGEST else b"",
    )
    if header.policy & _REPORT_CORRUPT:
        return Outcome(verdict, None, _NO_PCM)
    return Outcome(verdict, _audio(header, None, 0, True, 0, _NO_PCM), _NO_PCM)


def _corrupt(
    header: Frame,
    frame: ParsedFrame,
    actual: int | str | None,
    malformed: str,
    diagnosis: Diagnosis,
) -> Outcome:
    """A frame that can be read and must not be trusted: forwarded or cut out, as policy says."""
    metadata, rate_hz, pcm = frame
    length = pcm.nbytes // BYTES_PER_SAMPLE
    pcm = pcm[: length * BYTES_PER_SAMPLE]
    policy = header.policy
    verdict = Verdict(
        header.session,
        header.seq,
        _CORRUPT,
        expected_length=metadata.data_length,
        actual_length=length,
        expected_checksum=metadata.checksum,
        actual_checksum=actual,
        sample_rate_hz=rate_hz,
        audio_sequence=metadata.audio_sequence,
        malformed=malformed,
        diagnosis=diagnosis.certain,
        asks_verification=_asks_verification(metadata),
        likely=diagnosis.likely,
        attempt=header.attempt,
        pcm_sha256=hashlib.sha256(pcm).digest() if policy & _DIGEST else b"",
        algorithm="" if actual is None else metadata.checksum_algorithm or Algorithm.ADDITIVE,
    )
    if policy & _REPORT_CORRUPT:
        return Outcome(verdict, None, _NO_PCM)
    forward = bool(policy & Policy.FORWARD_CORRUPT)
    silence = bool(policy & Policy.SILENCE_CORRUPT) and not forward
    heard = pcm if forward else _NO_PCM
    audio = _audio(header, metadata, rate_hz, True, length if silence else 0, heard)
    return Outcome(verdict, audio, heard)


def _asks_verification(metadata: Metadata) -> bool:
    sent = metadata.checksum is not None or metadata.data_length is not None
    return sent and metadata.server_sent_to_stt is not False
