"""Frames to check, and what became of them."""

import json
import struct
from typing import Any, Final

import msgspec
import numpy as np
from hypothesis import strategies as st

from common.envelope import (
    Audio,
    AudioBatch,
    Code,
    Frame,
    OnCorruption,
    Policy,
    Verdict,
    VerdictBatch,
    pack,
)
from common.hmac_keys import HmacKeys
from common.integrity import Algorithm, additive_checksum, digest
from common.stamps import audio_is_as_stamped
from common.wire import Metadata, build_message
from verifier.check import Outcome, check

KEY: Final = b"a key"


KEYS: Final = HmacKeys(KEY)


SESSION: Final = bytes(range(16))


PCM: Final = np.arange(-50, 50, dtype="<i2").tobytes()


CHECKSUM: Final = additive_checksum(PCM)


POLICY: Final = {
    OnCorruption.FORWARD: Policy.VERIFY | Policy.FORWARD_CORRUPT,
    OnCorruption.SILENCE: Policy.VERIFY | Policy.SILENCE_CORRUPT,
    OnCorruption.DROP: Policy.VERIFY,
}


OFF: Final = Policy.SILENCE_CORRUPT


def header(policy: int = POLICY[OnCorruption.SILENCE], seq: int = 7) -> Frame:
    return Frame(SESSION, seq, 123, "ipc:///tmp/audio.sock", int(policy))


def message(pcm: bytes = PCM, **fields: Any) -> bytes:
    raw = json.dumps({"sampleRate": 16000, **fields}).encode()
    return struct.pack("<I", len(raw)) + raw + pcm


def verdict_on(
    raw: bytes, policy: int = POLICY[OnCorruption.SILENCE], keys: HmacKeys = KEYS
) -> Verdict:
    return check(header(policy), raw, keys).verdict


def passed_on(outcome: Outcome) -> Audio:
    """What the transcriber is told, without its stamp, which is seen to be right."""
    audio = outcome.audio
    assert audio is not None
    assert audio.stamp
    assert audio_is_as_stamped(audio, bytes(outcome.pcm))
    return msgspec.structs.replace(audio, stamp=0)


def signed(algorithm: Algorithm, pcm: bytes = PCM, **fields: Any) -> bytes:
    """A frame with a right checksum of that algorithm."""
    metadata = Metadata(sample_rate=16000.0, data_length=len(pcm) // 2, **fields)
    value = digest(algorithm, metadata, pcm, KEY)
    return build_message(
        Metadata(
            sample_rate=16000.0,
            data_length=len(pcm) // 2,
            checksum=value,
            checksum_algorithm=str(algorithm),
            **fields,
        ),
        pcm,
    )


OWN: Final = HmacKeys(b"everybody's", {"alice": (b"her new one", KEY), "bob": (b"his",)})


def of_key(name: str, raw: bytes) -> Verdict:
    whose = msgspec.structs.replace(header(), key=name)
    return check(whose, raw, OWN).verdict


def heard(on_corruption: OnCorruption, pcm: bytes = PCM) -> Outcome:
    return check(header(POLICY[on_corruption]), message(pcm, dataLength=100, checksum=1))


policies = st.sampled_from([int(p) for p in (*POLICY.values(), OFF, 0, 7)])


field_values = (
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats() | st.text(max_size=9)
)


fields = st.dictionaries(
    st.sampled_from(
        ["sampleRate", "dataLength", "checksum", "audioSequence", "timestamp", "server_sent_to_stt"]
    ),
    field_values,
)


names = st.sampled_from([None, *Algorithm, "md5"])


def assert_whole(outcome: Outcome, raw: bytes) -> None:
    """Every frame yields one verdict and one audio message that can be sent."""
    verdict, audio = outcome.verdict, passed_on(outcome)
    assert (verdict.session, verdict.seq) == (audio.session, audio.seq) == (SESSION, 7)
    assert audio.corrupt == (verdict.code == Code.CORRUPT)
    assert outcome.pcm.nbytes % 2 == 0
    assert raw.endswith(bytes(outcome.pcm)) or audio.corrupt
    assert not (outcome.pcm.nbytes and audio.hole_samples)
    pack(AudioBatch([audio]))
    pack(VerdictBatch("v", [verdict]))


frames = st.lists(st.integers(-(2**15), 2**15 - 1), min_size=1, max_size=200)


REPORT_ONLY: Final = Policy.VERIFY | Policy.SILENCE_CORRUPT | Policy.REPORT_CORRUPT
