"""Integrity from end to end: real stages, good, bad and unreadable frames, three servers."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from websockets.exceptions import ConnectionClosed
from websockets.sync import client as sync_client

from common.client import flip_bit
from common.client.errors import RejectedError
from common.client.frames import Corruption
from common.client.stream import connect
from common.events import FrameVerdict, FullSentence
from common.integrity import Algorithm
from tests.faults.system import System
from tests.integration.wire_client import Data, data_of, session_of
from tests.processes import wait_until
from tests.speech import SENTENCES, load, silence

PAUSE = silence(1.5)
LOG_ONLY = ("--verify-data-integrity",)
STRICT = ("--verify-data-integrity", "--reject-corrupted-data")
TOLERANT = (*STRICT, "--corruption-threshold", "2")


def framed(header: bytes, pcm: bytes = bytes(64)) -> bytes:
    return struct.pack("<I", len(header)) + header + pcm


MALFORMED = {
    "too_short": b"\x01",
    "header_overrun": struct.pack("<I", 1 << 31) + b"{}",
    "header_too_large": framed(b'{"sampleRate":16000,"x":"' + b"x" * 20_000 + b'"}'),
    "not_utf8": framed(b'{"sampleRate":16000,"x":"\xff"}'),
    "not_json": framed(b"sampleRate=16000"),
    "not_an_object": framed(b"[16000]"),
    "missing_sample_rate": framed(b"{}"),
    "absurd_sample_rate": framed(b'{"sampleRate":1e12}'),
    "wrong_type": framed(b'{"sampleRate":"16000"}'),
    "unknown_algorithm": framed(b'{"sampleRate":16000,"checksum":1,"checksumAlgorithm":"md5"}'),
}


@pytest.fixture(scope="module")
def lenient() -> Iterator[System]:
    with System(verifiers=2, engine="pocketsphinx", gateway=LOG_ONLY) as system:
        system.wait_ready()
        yield system
        system.check_alive()


@pytest.fixture(scope="module")
def audit_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What tells of the strict server's rejections."""
    return tmp_path_factory.mktemp("audit") / "audit"


@pytest.fixture(scope="module")
def strict(audit_path: Path) -> Iterator[System]:
    """It logs as much as one can ask for that is no text: every frame."""
    options = (*STRICT, "--audit-log", str(audit_path), "--use_extended_logging")
    with System(verifiers=2, engine="pocketsphinx", gateway=options) as system:
        system.wait_ready()
        yield system
        system.check_alive()


@pytest.fixture(scope="module")
def tolerant() -> Iterator[System]:
    with System(
        verifiers=2, engine="pocketsphinx", gateway=(*TOLERANT, "--log-format", "json")
    ) as system:
        system.wait_ready()
        yield system
        system.check_alive()


def url(system: System) -> str:
    return f"ws://127.0.0.1:{system.data_port}"


async def said(
    system: System, name: str, corrupt: Corruption | None = None, **options: Any
) -> list[str]:
    """The finals of a client that says one sentence."""
    texts = []
    async with connect(url(system), **options) as stream:
        rate_hz = options.get("sample_rate_hz", 16_000)
        pcm = PAUSE + load(name) + PAUSE
        await stream.send(pcm if rate_hz == 16_000 else resampled(pcm, rate_hz), corrupt=corrupt)
        await stream.finish()
        async for event in stream:
            if isinstance(event, FullSentence):
                texts.append(event.text)
    return texts


def resampled(pcm: bytes, rate_hz: int) -> bytes:
    samples = np.frombuffer(pcm, dtype=np.int16)
    moved: bytes = soxr.resample(samples, 16_000, rate_hz).astype(np.int16).tobytes()
    return moved


def words(text: str) -> str:
    return text.lower().rstrip(".")


# -- frames that cannot be read ----------------------------------------------------------------


async def test_malformed_frames_get_their_errors_and_harm_nothing(lenient: System) -> None:
    async with session_of(lenient) as (client, _):
        for reason, message in MALFORMED.items():
            await client.connection.send(message)
            error = await client.until("error")
            assert (error["error"], error["action"]) == (reason, "continue")
            lenient.gateway.process.wait_for_line(rf"Malformed frame \({reason}\)")
        await client.say(load("coffee") + PAUSE)
        sentence = await client.until("fullSentence")
        assert words(sentence["text"]) == SENTENCES["coffee"].recognised


async def test_an_odd_byte_is_named(lenient: System) -> None:
    async with session_of(lenient) as (client, _):
        await client.connection.send(framed(b'{"sampleRate":16000}', bytes(63)))
        verdict = await client.until("verdict")
        assert verdict["verdict"] == "corrupt"
        assert "odd number" in verdict["diagnosis"]


async def test_a_message_over_the_limit_is_refused_and_the_next_is_not(lenient: System) -> None:
    async with session_of(lenient) as (client, _):
        await client.connection.send(bytes((1 << 20) + 1))
        assert (await client.until("error"))["error"] == "too_large"
        await client.connection.send(framed(b'{"sampleRate":16000}'))
        assert (await client.until("verdict"))["verdict"] == "unverified"


async def test_a_message_far_over_the_limit_ends_its_connection_alone(lenient: System) -> None:
    async with data_of(lenient) as other:
        await asyncio.to_thread(send_far_too_much, url(lenient))
        lenient.gateway.process.wait_for_line("sent a message far over the size limit")
        await other.connection.send(b"")
        assert (await other.until("error"))["error"] == "too_short"


def send_far_too_much(address: str) -> None:
    """The server resets the connection in the middle of the message, or says 1009 first."""
    with (
        contextlib.suppress(ConnectionClosed, OSError),
        sync_client.connect(address, compression=None) as giant,
    ):
        giant.send(bytes(5 << 20))
        giant.recv()


async def test_text_that_is_no_frame_is_answered(lenient: System) -> None:
    async with data_of(lenient) as client:
        await client.connection.send("hello")
        assert (await client.until("error"))["error"] == "not_a_frame"


# -- three kinds of server ---------------------------------------------------------------------


async def test_a_server_that_only_logs_transcribes_corrupt_frames(lenient: System) -> None:
    pcm = load("bread") + PAUSE
    async with connect(url(lenient)) as stream:
        await stream.send(pcm[: len(pcm) // 4 * 2])
        await stream.send(pcm[len(pcm) // 4 * 2 :], corrupt=flip_bit)
        report = await stream.finish()
        texts = [event.text async for event in stream if isinstance(event, FullSentence)]
    assert report is not None
    assert report.corrupt > 0
    assert report.failures[0].expected_checksum != report.failures[0].actual_checksum
    assert len(texts) == 1


async def test_a_strict_server_rejects_the_first_corrupt_frame(
    strict: System, audit_path: Path
) -> None:
    async with data_of(strict, "?events=integrity") as client:
        await client.say(load("dog")[:8192])
        spoiled = bytearray(client.frame(load("dog")[8192:16384]))
        spoiled[-1] ^= 0x40
        await client.connection.send(bytes(spoiled))
        assert await client.until_closed() == 1008
    error = next(event for event in client.events if event["type"] == "error")
    assert error["error"] == "data_corruption"
    assert error["action"] == "disconnect"
    found = re.fullmatch(
        r"Connection rejected: Checksum mismatch: expected (\d+), got (\d+)", error["message"]
    )
    assert found
    assert found[1] != found[2]
    strict.gateway.process.wait_for_line(
        r"\[REJECT\] Client \S+ exceeded corruption threshold \(1 fail"
    )
    line = strict.gateway.process.wait_for_line(
        r"\[DISCONNECT\] Closing connection to (\S+) due to data corruption"
    )
    audited = await asyncio.to_thread(events_of, audit_path, line[1])
    assert [(event["event"], event.get("why")) for event in audited] == [
        ("session_begun", None),
        ("rejection", "corruption"),
        ("session_ended", None),
    ]
    assert (audited[-1]["corrupt"], audited[-1]["sentences"]) == (1, 0)


def events_of(audit_path: Path, client: str) -> list[dict[str, Any]]:
    """What the audit log has of a client, once its session has ended."""

    def found() -> list[dict[str, Any]]:
        events = [json.loads(line) for line in audit_path.read_text().splitlines()]
        return [event for event in events if event.get("client") == client]

    wait_until(lambda: "session_ended" in [e["event"] for e in found()], "the session has ended")
    return found()


async def test_nothing_after_the_rejected_frame_is_transcribed(strict: System) -> None:
    """The frames after it were sent at once, and overtake it in the pool of verifiers."""
    async with data_of(strict) as client:
        spoiled = bytearray(client.frame(silence(0.1)[:2048]))
        spoiled[-2] ^= 1
        await client.connection.send(bytes(spoiled))
        await asyncio.gather(client.say(load("river") + PAUSE), return_exceptions=True)
        assert await client.until_closed() == 1008
    assert {event["type"] for event in client.events} <= {"error", "vad_detect_start"}


async def test_a_tolerant_server_counts_up_to_its_threshold(tolerant: System) -> None:
    async with connect(url(tolerant)) as stream:
        for number in range(2):
            await stream.send(load("train")[:4096], corrupt=flip_bit)
            await stream.send(load("train")[4096:8192])
            await until_verdicts(stream, 2 * number + 2)
        await stream.send(load("train")[:4096], corrupt=flip_bit)
        with pytest.raises(RejectedError):
            await stream.finish()
    warned = tolerant.gateway.process.wait_for_line(r'"failures": 2, "tolerated": 2')
    line = json.loads(warned.string)
    assert "corruption count: 2/3" in line["message"]
    assert (line["verdict"], line["level"], line["rejected"]) == ("corrupt", "warning", False)


async def until_verdicts(stream: Any, count: int) -> None:
    async for event in stream:
        if isinstance(event, FrameVerdict) and stream.verdicts.total >= count:
            return


async def test_a_clean_client_hears_the_same_beside_a_rejected_one(strict: System) -> None:
    alone = await said(strict, "mountains")

    beside, rejection = await asyncio.gather(
        said(strict, "mountains"),
        said(strict, "music", corrupt=flip_bit),
        return_exceptions=True,
    )
    assert isinstance(rejection, RejectedError)
    assert not isinstance(beside, BaseException)
    assert beside == alone
    recognised = SENTENCES["mountains"].recognised
    assert [words(text) for text in beside] == [recognised]
    said_words = recognised.split()
    for stage in strict.stages.processes:
        for pair in itertools.pairwise(said_words):
            assert " ".join(pair) not in stage.output.lower(), "what was said is in no log"


# -- what clients send -------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", [Algorithm.CRC32C, Algorithm.XXH3_64])
async def test_stronger_checksums_are_verified(strict: System, algorithm: Algorithm) -> None:
    texts = await said(strict, "city", algorithm=algorithm)
    assert [words(text) for text in texts] == [SENTENCES["city"].recognised]


async def test_hmac_needs_the_servers_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("a secret\n")
    with System(
        verifiers=1,
        engine="pocketsphinx",
        gateway=STRICT,
        verifier=("--hmac-key-file", str(key)),
    ) as system:
        system.wait_ready()
        good = await said(system, "home", algorithm=Algorithm.HMAC_SHA256, key=b"a secret")
        assert [words(text) for text in good] == [SENTENCES["home"].recognised]
        with pytest.raises(RejectedError):
            await said(system, "home", algorithm=Algorithm.HMAC_SHA256, key=b"a guess")


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
async def test_other_sample_rates_are_resampled(lenient: System, rate_hz: int) -> None:
    texts = await said(lenient, "experiment", sample_rate_hz=rate_hz)
    assert [words(text) for text in texts] == [SENTENCES["experiment"].recognised]


async def test_javascripts_signed_checksum_is_accepted(strict: System) -> None:
    pcm = np.full(512, -3, dtype="<i2").tobytes()
    header = {"sampleRate": 16000, "dataLength": 512, "checksum": -1536}
    async with session_of(strict) as (client, _):
        await client.connection.send(framed(json.dumps(header).encode(), pcm))
        assert (await client.until("verdict"))["verdict"] == "ok"


async def test_a_client_without_checksums_is_served_as_unverified(strict: System) -> None:
    async with data_of(strict) as client:
        await say_unverified(client, load("book") + PAUSE)
        sentence = await client.until("fullSentence")
        assert words(sentence["text"]) == SENTENCES["book"].recognised


async def say_unverified(client: Data, pcm: bytes) -> None:
    """As RealtimeSTT's Python client does: a time stamp in nanoseconds, no checksum."""
    header = b'{"sampleRate":16000,"server_sent_to_stt":1795498107134000000}'
    for start in range(0, len(pcm), 2048):
        await client.connection.send(framed(header, pcm[start : start + 2048]))


async def test_checksums_that_nobody_looks_at_are_mentioned_once() -> None:
    with System(verifiers=1, gateway=()) as system:
        system.wait_ready()
        async with session_of(system) as (client, _):
            await client.say(load("ship")[:20_000])
            await client.until("verdict")
            await client.end()
            await client.until_closed()
        system.gateway.process.wait_for_line(
            "verification is off: start with --verify-data-integrity"
        )
        assert system.gateway.process.output.count("verification is off") == 1
