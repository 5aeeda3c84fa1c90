"""What a stranger's bytes reach, as functions that raise only on a defect.

Each takes any bytes, reads them as the server does, and asserts what must hold then. ``seeds`` of
a target are real messages to begin with.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
from websockets.http11 import Request
from websockets.server import ServerProtocol

from common import envelope, events
from common.diagnosis import diagnose
from common.envelope import Frame, OnCorruption, Policy
from common.errors import EnvelopeError, MalformedFrameError
from common.hmac_keys import HmacKeys
from common.integrity import Algorithm, additive_checksum, digest
from common.origins import Names, OriginRule
from common.wire import Metadata, build_message, metadata_text, parse_message
from gateway import credentials, web_files
from gateway.handshake import asks_for_websocket, is_readable
from gateway.integrity_log import IntegrityLog
from gateway.protocols.base import ProtocolError
from gateway.protocols.realtimestt_control import (
    CallMethod,
    GetParameter,
    SetParameter,
    ShutDown,
    asked,
)
from gateway.protocols.realtimestt_query import Query
from gateway.protocols.wav_header import read_wav_header
from gateway.rejection import RejectionPolicy, mismatch_message
from verifier.check import check

PCM: Final = bytes(range(200))
POLICY: Final = int(Policy.VERIFY | Policy.SILENCE_CORRUPT)
SESSION: Final = bytes(16)
NAMES: Final = Names(["stt.example"])
ORIGINS: Final = OriginRule(NAMES, [8012], ["https://app.example"])


class Target(NamedTuple):
    """One kind of input."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


def client_frame(data: bytes) -> None:
    """A binary message of the data port: parsed, checked, logged."""
    with contextlib.suppress(MalformedFrameError):
        frame = parse_message(data)
        again = parse_message(build_message(frame.metadata, frame.pcm))
        assert again.metadata == frame.metadata
        assert again.pcm == frame.pcm
    outcome = check(Frame(SESSION, 0, 0, "ipc://a", POLICY), data, HmacKeys(b"key"))
    assert len(outcome.pcm) % 2 == 0
    sent: list[envelope.Message] = [envelope.VerdictBatch("v", [outcome.verdict])]
    if outcome.audio is not None:
        sent.append(envelope.AudioBatch([outcome.audio]))
    for message in sent:
        assert envelope.unpack(envelope.pack(message)) == message
    log = IntegrityLog(
        "peer", RejectionPolicy(True, True, 0, OnCorruption.SILENCE), extended=True, summary_s=1.0
    )
    log.failed(data, outcome.verdict, 1, True, 0.0)
    assert metadata_text(data).isprintable()
    mismatch_message(outcome.verdict).encode()


def diagnosis(data: bytes) -> None:
    """Samples with a claim about them; the first bytes choose the claim."""
    if len(data) < 12:
        return
    algorithm = list(Algorithm)[data[0] % len(Algorithm)]
    length, expected = data[1] + 256 * data[2], int.from_bytes(data[3:11], "little", signed=True)
    claimed: int | str = expected if data[11] % 2 else f"{expected & 2**64 - 1:x}"
    said = diagnose(
        algorithm,
        Metadata(sample_rate=16_000.0, data_length=length),
        data[12:],
        expected_length=length,
        expected=claimed,
        key=b"key",
    )
    assert not (said.certain and said.likely)


def envelopes(data: bytes) -> None:
    """A message of an internal link: decoded or refused, and packed to the same again."""
    with contextlib.suppress(EnvelopeError):
        message = envelope.unpack(data)
        assert envelope.unpack(envelope.pack(message)) == message
    for unpack in (
        envelope.unpack_frames,
        envelope.unpack_audio,
        envelope.unpack_verdicts,
        envelope.unpack_results,
        envelope.unpack_commands,
        envelope.unpack_replies,
    ):
        with contextlib.suppress(EnvelopeError):
            unpack(data)


def control_json(data: bytes) -> None:
    """A text message of the control port: each answer can be sent."""
    request = asked(data.decode(errors="replace"))
    assert (request.command is None) == bool(request.fault)
    match request.command:
        case GetParameter() as command:
            json.loads(request.reply(command.answer(0.5)).encode())
        case SetParameter() | CallMethod() | ShutDown() as done:
            json.loads(request.reply(done.done).encode())
    json.loads(request.failed(request.fault or "the recorder refuses").encode())


def event_json(data: bytes) -> None:
    """A text message of the data port, at either end."""
    text = data.decode(errors="replace")
    events.client_request(text)
    with contextlib.suppress(msgspec.DecodeError):
        event = events.from_json(text)
        events.to_json(event).encode()


def query_string(data: bytes) -> None:
    """A request's path."""
    path = data.decode("latin-1")
    query = Query.of(path)
    assert query.sentences >= -1
    assert min(query.start.skip_samples, query.start.sample) >= 0


def http_request(data: bytes) -> None:
    """Bytes on a WebSocket port before there is a WebSocket."""
    protocol = ServerProtocol()
    protocol.receive_data(data)
    protocol.receive_eof()
    for request in protocol.events_received():
        if not isinstance(request, Request):
            continue
        hosts = request.headers.get_all("Host")
        host = hosts[0] if len(hosts) == 1 else None
        status, headers, _ = web_files.respond(request.path, host)
        assert 200 <= int(status) < 500
        assert all("\n" not in value and "\r" not in value for _, value in headers)
        NAMES.answers_to(host, "127.0.0.1")
        for origin in request.headers.get_all("Origin"):
            ORIGINS.admits(origin, host, "127.0.0.1")
        credentials.find(request.headers.get_all, request.path)
        if is_readable(request) and asks_for_websocket(request):
            protocol.accept(request)


def wav_header(data: bytes) -> None:
    """The beginning of an upload."""
    with contextlib.suppress(ProtocolError):
        found = read_wav_header(data)
        assert found is None or 0 < found[1] <= len(data)


def _frames() -> tuple[bytes, ...]:
    metadata = Metadata(
        sample_rate=16_000.0,
        data_length=len(PCM) // 2,
        checksum=additive_checksum(PCM),
        audio_sequence=3,
        timestamp=1_640_995_200_000,
        server_sent_to_stt=True,
    )
    strong = msgspec.structs.replace(
        metadata, checksum_algorithm="crc32c", checksum=digest(Algorithm.CRC32C, metadata, PCM)
    )
    return (
        build_message(metadata, PCM),
        build_message(strong, PCM),
        build_message(metadata, PCM[:-12]),
        build_message(metadata, PCM + b"x"),
        build_message(Metadata(sample_rate=48_000.0), PCM),
        b"\xff\xff\xff\x7f{}",
    )


def _packed() -> tuple[bytes, ...]:
    verdict = check(Frame(SESSION, 0, 0, "ipc://a", POLICY), _frames()[2]).verdict
    return tuple(
        envelope.pack(message)
        for message in (
            envelope.FrameBatch("gw", [Frame(SESSION, 7, 123, "ipc://a", 29)] * 2),
            envelope.AudioBatch([envelope.Audio(SESSION, 7, 16_000, False, 0, 123)] * 2),
            envelope.VerdictBatch("verifier-1", [verdict, verdict]),
            envelope.SetParameter(1, SESSION, "language", "en"),
            envelope.GetParameter(1, SESSION, "language"),
            envelope.CallMethod(1, SESSION, "stop", [], {}),
            envelope.Reply(1, True, "en", ""),
        )
    )


WAV: Final = (
    b"RIFF\x24\x01\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x80>\0\0\0}\0\0\2\0\x10\0data\0\1\0\0" + bytes(256)
)
REQUEST: Final = (
    b"GET /?events=integrity&sentences=3 HTTP/1.1\r\nHost: stt.example:8012\r\n"
    b"Origin: http://stt.example:8012\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Protocol: stt\r\nAuthorization: Bearer key\r\n\r\n"
)
TARGETS: Final = {
    "client_frame": Target(client_frame, _frames()),
    "diagnosis": Target(diagnosis, (bytes([0, 100, 0]) + bytes(8) + b"\1" + PCM,)),
    "envelopes": Target(envelopes, _packed()),
    "control_json": Target(
        control_json,
        (
            b'{"command":"set_parameter","parameter":"language","value":"en"}',
            b'{"command":"get_parameter","parameter":"language","request_id":7}',
            b'{"command":"call_method","method":"wakeup","args":[],"kwargs":{}}',
            rb'{"command":"\ud800"}',
        ),
    ),
    "event_json": Target(
        event_json,
        (
            b'{"type":"end"}',
            b'{"type":"fullSentence","text":"hello","committed":4,"start_ms":0,"end_ms":9}',
            b'{"type":"verdict","sequence":1,"verdict":"ok","latency_ms":1.5}',
            b'{"type":"vad_start"}',
        ),
    ),
    "query_string": Target(
        query_string,
        (
            b"/?events=integrity&session=0123456789abcdef0123456789abcdef&resume=1&sentences=2",
            b"/?observe=0123&skip_samples=5&sample=7",
            b"http://[::1",
        ),
    ),
    "http_request": Target(http_request, (REQUEST, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
    "wav_header": Target(wav_header, (WAV, WAV[:30])),
}

FOUND: Final[dict[str, tuple[bytes, ...]]] = {
    "control_json": (rb'{"command":"\ud800"}',),  # no reply could be encoded
    "http_request": (  # websockets could not encode its refusal
        REQUEST.replace(b"Version: 13", b"Version: \x8d\x90"),
        REQUEST.replace(b"\r\n\r\n", b"\r\nUpgrade: h2c\r\n\r\n"),  # read as one header
    ),
}
"""What ``make fuzz`` found, each mended: run with every ``make test``."""
