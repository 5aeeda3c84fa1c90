"""The client library against a server that loses connections, sessions and patience."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.client import (
    ClientEvent,
    ConnectionLostError,
    DisconnectedError,
    RejectedError,
    ResultsOverflowError,
    ServerBusyError,
    StreamError,
    UnexpectedServerError,
    flip_bit,
)
from common.client.line import HUNG_UP_RETRIES
from common.client.stream import Stream, connect
from common.events import Acknowledged, Error, FrameVerdict, FullSentence, Realtime, SessionStarted
from common.wire import parse_message
from tests.clients.fake_gateway import FakeGateway, Refusal, running

FRAME_SAMPLES = 160


@pytest.fixture
async def gateway() -> AsyncIterator[FakeGateway]:
    async with running(FakeGateway()) as server:
        yield server


def frames(count: int, start: int = 0) -> list[bytes]:
    return [
        np.full(FRAME_SAMPLES, number, dtype=np.int16).tobytes()
        for number in range(start, start + count)
    ]


async def send_all(stream: Stream, pcm: list[bytes]) -> None:
    for frame in pcm:
        await stream.send(frame)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_frames_arrive_in_order_and_the_report_comes_back(gateway: FakeGateway) -> None:
    pcm = frames(50)
    async with connect(gateway.url) as stream:
        assert stream.verifying
        await send_all(stream, pcm)
        report = await stream.finish()
        events = [event async for event in stream]
    assert gateway.arrived == pcm
    assert report is not None
    assert report is stream.report
    assert report.frames == stream.frames == stream.verdicts.ok == 50
    assert isinstance(events[0], SessionStarted)
    assert FullSentence("50 frames") in events
    numbers = [parse_message(m).metadata.audio_sequence for m in gateway.sessions[f"{1:032x}"]]
    assert numbers == list(range(50))


async def test_a_connection_lost_again_and_again_is_resumed(gateway: FakeGateway) -> None:
    gateway.cut_after = [7, 1, 2, 30]
    gateway.on_frame = lambda number: [FullSentence("seven")] if number == 7 else []
    pcm = frames(100)
    seen: list[ClientEvent] = []
    async with connect(gateway.url, on_event=seen.append) as stream:
        await send_all(stream, pcm)
        await stream.finish()
    assert gateway.arrived == pcm
    assert stream.reconnections == 4
    assert stream.lost_frames == 0
    assert [e.resumed for e in seen if isinstance(e, SessionStarted)] == [False, *[True] * 4]
    verdicts = [e.sequence for e in seen if isinstance(e, FrameVerdict)]
    assert verdicts == sorted(set(verdicts))
    assert all(path.startswith("/?events=integrity&resend=1&first=") for path in gateway.paths)
    ends = [path.partition("&resume=1")[2] for path in gateway.paths]
    assert ends[1:] == ["&sentences=" + received for received in "0111"]


async def test_a_server_that_forgot_the_session_gets_what_was_not_committed(
    gateway: FakeGateway,
) -> None:
    pcm = frames(120)
    seen: list[ClientEvent] = []
    async with connect(gateway.url, on_event=seen.append) as stream:
        for start in (0, 40):
            await send_all(stream, pcm[start : start + 40])
            await until(lambda: stream.verdicts.total == stream.frames)
            await gateway.restart_without_sessions()
        await send_all(stream, pcm[80:])
        await stream.finish()
    assert gateway.arrived == pcm
    assert stream.reconnections == 2
    acks = [e.received for e in seen if isinstance(e, Acknowledged)]
    assert acks[-1] == 120  # numbered as the client numbers its frames


async def test_sending_goes_on_while_the_server_is_away(gateway: FakeGateway) -> None:
    async with connect(gateway.url) as stream:
        await send_all(stream, frames(5))
        await gateway.stop()
        await until(lambda: not stream.connected)
        async with asyncio.timeout(1):
            await send_all(stream, frames(200, start=5))
        gateway.past = [m for s in gateway.sessions.values() for m in s]
        await gateway.start()
        await stream.finish()
    assert gateway.arrived[:5] == frames(5)
    assert stream.lost_frames == 0


async def test_a_server_that_does_not_read_slows_the_sender_but_not_the_reader(
    gateway: FakeGateway,
) -> None:
    gateway.paused.clear()
    big = np.zeros(60_000, dtype=np.int16)
    async with connect(gateway.url, chunk_samples=60_000) as stream:
        sender = asyncio.create_task(send_all(stream, [big.tobytes()] * 300))
        await asyncio.sleep(0.3)
        assert not sender.done()
        assert stream.frames < 200
        gateway.paused.set()
        await sender
        await stream.finish()
    assert len(gateway.arrived) == 300


async def test_the_buffer_is_bounded_and_frames_the_server_has_make_room(
    gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("common.client.stream.COMMIT_PATIENCE_S", 0.05)
    gateway.lag = 1000  # nothing is ever committed
    async with connect(gateway.url, max_buffer_bytes=20_000) as stream:
        await send_all(stream, frames(100))
        assert stream.unacknowledged_bytes <= 20_000
        await stream.finish()
    assert gateway.arrived == frames(100)


@pytest.mark.parametrize("at", [0, 5, 9])
async def test_a_server_that_stops_is_followed_to_its_successor(
    gateway: FakeGateway, at: int
) -> None:
    gateway.drain_at = at
    pcm = frames(10)
    async with connect(gateway.url) as stream:
        await send_all(stream, pcm)
        await stream.finish()
        events = [event async for event in stream]
    assert gateway.arrived == pcm
    texts = [event.text for event in events if isinstance(event, FullSentence)]
    assert texts == [f"{at} frames", f"{10 - at} frames"]
    assert stream.lost_frames == 0


async def test_a_session_that_the_server_ends_while_nothing_is_said_is_followed_too(
    gateway: FakeGateway,
) -> None:
    gateway.drain_at = 5
    async with connect(gateway.url) as stream:
        await send_all(stream, frames(6))
        await until(lambda: stream.reconnections == 1)
        await send_all(stream, frames(4, start=6))
        await stream.finish()
    assert gateway.arrived == frames(10)


async def test_rejection_is_an_error_everywhere_and_is_not_retried(gateway: FakeGateway) -> None:
    gateway.reject_at = 3
    seen: list[ClientEvent] = []
    async with connect(gateway.url, on_event=seen.append) as stream:
        await send_all(stream, frames(4))
        with pytest.raises(RejectedError, match="expected 1, got 2") as caught:
            await stream.finish()
        assert caught.value.failures == 1
        with pytest.raises(RejectedError):
            await stream.send(frames(1)[0])
        with pytest.raises(RejectedError):
            async for _ in stream:
                pass
    assert isinstance(seen[-1], Error)
    assert len(gateway.paths) == 1


async def test_a_busy_server_is_named_as_such(gateway: FakeGateway) -> None:
    gateway.refuse = [
        Refusal(1013, "256 sessions"),
        Refusal(1013, "", Error("busy", "full", "disconnect")),
    ]
    with pytest.raises(ServerBusyError, match="256 sessions"):
        await connect(gateway.url).open()
    with pytest.raises(ServerBusyError, match="full"):
        await connect(gateway.url).open()


async def test_a_busy_server_is_tried_again_once_a_stream_runs(gateway: FakeGateway) -> None:
    gateway.cut_after = [2]
    async with connect(gateway.url) as stream:
        gateway.refuse = [Refusal(1013, "restarting")] * 2
        await send_all(stream, frames(10))
        await stream.finish()
    assert gateway.arrived == frames(10)
    assert stream.reconnections == 1


async def test_nobody_there_is_said_at_once() -> None:
    with pytest.raises(
        ConnectionLostError, match=r"cannot connect to ws://127\.0\.0\.1:9: Connection refused"
    ):
        await connect("ws://127.0.0.1:9").open()


async def test_a_server_that_hangs_up_as_a_stream_begins_is_tried_again(
    gateway: FakeGateway,
) -> None:
    """As a gateway does that is killed then: nothing was sent, so there is nothing to lose."""
    gateway.hang_up = 2
    async with connect(gateway.url) as stream:
        await send_all(stream, frames(3))
        await stream.finish()
    assert gateway.arrived == frames(3)
    assert stream.reconnections == 0


async def test_a_server_that_always_hangs_up_ends_the_attempts(gateway: FakeGateway) -> None:
    gateway.hang_up = 100
    with pytest.raises(ConnectionLostError, match="hung up before it answered"):
        await connect(gateway.url).open()
    assert gateway.hang_up == 100 - 1 - HUNG_UP_RETRIES


async def test_who_never_reconnects_is_told_of_the_first_hang_up(gateway: FakeGateway) -> None:
    gateway.hang_up = 100
    with pytest.raises(ConnectionLostError, match=r"hung up .* \(does it want wss://\?\)"):
        await connect(gateway.url, reconnect_s=0).open()
    assert gateway.hang_up == 99


async def test_a_server_that_stays_away_ends_the_stream_in_time(
    gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(gateway.url, reconnect_s=0.5) as stream:
        await send_all(stream, frames(3))
        await gateway.stop()
        started = time.monotonic()
        with pytest.raises(ConnectionLostError, match=r"within 0\.5 s: cannot connect"):
            await stream.finish()
        assert time.monotonic() - started < 3
    assert "trying for 0.5 s to go on" in caplog.text


async def test_a_server_that_dies_of_every_connection_is_given_up(gateway: FakeGateway) -> None:
    async with connect(gateway.url, reconnect_s=0.6) as stream:
        gateway.dies_of_frame = 0
        await send_all(stream, frames(1))
        with pytest.raises(ConnectionLostError):
            await stream.finish()
    assert len(gateway.paths) < 10


async def test_other_closings_say_why(gateway: FakeGateway) -> None:
    gateway.refuse = [Refusal(1008, "client does not read its results"), Refusal(1009, "too big")]
    with pytest.raises(ResultsOverflowError, match="does not read"):
        await connect(gateway.url).open()
    with pytest.raises(DisconnectedError, match=r"too big \(1009\)"):
        await connect(gateway.url).open()


async def test_a_server_without_integrity_events_is_recognised(gateway: FakeGateway) -> None:
    gateway.says_nothing = True
    with pytest.raises(UnexpectedServerError, match="is it the data port of a server"):
        await connect(gateway.url, connect_timeout_s=0.2).open()


async def test_without_events_the_stream_is_a_stock_client_s(gateway: FakeGateway) -> None:
    async with connect(gateway.url, events=False) as stream:
        await send_all(stream, frames(10))
        assert await stream.finish() is None
        assert [e async for e in stream] == [FullSentence("10 frames")]
    assert gateway.paths == ["/"]
    assert stream.session is None
    assert stream.unacknowledged_bytes == 0


async def test_without_events_a_lost_connection_doubles_nothing(gateway: FakeGateway) -> None:
    gateway.cut_after = [5]
    async with connect(gateway.url, events=False) as stream:
        for frame in frames(60):
            await stream.send(frame)
            await asyncio.sleep(0.01)
        await stream.finish()
    arrived = gateway.arrived
    assert len(arrived) == len(set(arrived))
    assert arrived == sorted(arrived, key=lambda pcm: int.from_bytes(pcm[:2], "little"))
    assert len(arrived) >= 50


async def test_a_corrupted_message_is_damaged_after_its_checksum(gateway: FakeGateway) -> None:
    pcm = frames(1)[0]
    async with connect(gateway.url) as stream:
        await stream.send(pcm, corrupt=flip_bit)
        await stream.finish()
    assert gateway.arrived[0][:-2] == pcm[:-2]
    assert gateway.arrived[0] != pcm


async def test_long_pcm_is_cut_into_frames(gateway: FakeGateway) -> None:
    samples = np.arange(1000, dtype=np.int16)
    async with connect(gateway.url, chunk_samples=300) as stream:
        assert await stream.send(samples) == 3
        await stream.finish()
    assert [len(pcm) // 2 for pcm in gateway.arrived] == [300, 300, 300, 100]
    assert b"".join(gateway.arrived) == samples.tobytes()


async def test_a_file_is_sent_at_its_own_rate_and_at_the_pace_asked_for(
    gateway: FakeGateway, tmp_path: Path
) -> None:
    samples = np.arange(4800, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 48_000)
    async with connect(gateway.url, chunk_samples=480) as stream:
        started = time.monotonic()
        assert await stream.send_file(tmp_path / "a.wav", pace=0.5) == 10
        assert 0.19 < time.monotonic() - started < 1
        await stream.finish()
    assert b"".join(gateway.arrived) == samples.tobytes()
    (messages,) = gateway.sessions.values()
    assert {parse_message(message).sample_rate_hz for message in messages} == {48_000}


async def test_a_callback_that_raises_ends_the_stream_with_its_error(gateway: FakeGateway) -> None:
    def callback(event: ClientEvent) -> None:
        if isinstance(event, FrameVerdict):
            raise KeyError("from the callback")

    async with connect(gateway.url, on_event=callback) as stream:
        await stream.send(frames(1)[0])
        with pytest.raises(KeyError, match="from the callback"):
            await stream.finish()


async def test_partial_results_that_nobody_read_give_way_to_the_latest(
    gateway: FakeGateway,
) -> None:
    gateway.on_frame = lambda number: [Realtime(f"partial {number}")]
    async with connect(gateway.url) as stream:
        await send_all(stream, frames(20))
        await stream.finish()
        partials = [e async for e in stream if isinstance(e, Realtime)]
    assert partials == [Realtime("partial 19")]


async def test_finish_waits_no_longer_than_the_server_is_silent(gateway: FakeGateway) -> None:
    gateway.paused.clear()
    async with connect(gateway.url) as stream:
        await send_all(stream, frames(3))
        with pytest.raises(TimeoutError, match=r"said nothing for 0\.2 s"):
            await stream.finish(idle_timeout_s=0.2)


async def test_a_finished_or_closed_stream_takes_no_more(gateway: FakeGateway) -> None:
    stream = connect(gateway.url)
    with pytest.raises(StreamError, match="not open"):
        await stream.send(frames(1)[0])
    async with stream:
        await stream.send(frames(1)[0])
        await stream.finish()
        with pytest.raises(StreamError, match="was finished"):
            await stream.send(frames(1)[0])
    async with connect(gateway.url) as other:
        pass
    with pytest.raises(StreamError, match="was closed"):
        await other.send(frames(1)[0])
    with pytest.raises(StreamError, match="was closed"):  # also by way of the events
        async for _ in other:
            pass


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:8012", ""])
async def test_a_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        await connect(url).open()
