"""Audio time."""

from __future__ import annotations

import threading
import time

import pytest

from transcriber.recorder.audio_clock import AudioClock, SessionTime, current


@pytest.mark.parametrize("start", [0, 512 * 31, 16_000 * 3600 * 24 * 30])
@pytest.mark.parametrize("chunks", [1, 5, 19, 1000])
def test_length_of_a_silence_does_not_depend_on_where_it_lies(start: int, chunks: int) -> None:
    origin, elsewhere = AudioClock(), AudioClock(start)
    before = origin.time(), elsewhere.time()
    origin.advance(512 * chunks)
    elsewhere.advance(512 * chunks)
    assert origin.time() - before[0] == elsewhere.time() - before[1]


def test_a_second_of_audio_is_a_second() -> None:
    clock = AudioClock()
    before = clock.time()
    clock.advance(16_000)
    assert clock.time() - before == pytest.approx(1, rel=1e-5)
    assert clock.time() - before >= 1


def test_five_chunks_are_no_less_than_160_ms() -> None:
    clock = AudioClock(512)
    before = clock.time()
    clock.advance(5 * 512)
    assert clock.time() - before >= 0.16


def test_only_threads_of_the_session_see_its_time() -> None:
    clock, session_time = AudioClock(), SessionTime()
    assert session_time.time() == pytest.approx(time.time(), abs=5)
    with clock.bound():
        assert session_time.time() == clock.time()
        inner = AudioClock(16_000)
        with inner.bound():
            assert current() is inner
        assert current() is clock
    assert current() is None


def test_the_rest_of_the_time_module_is_there() -> None:
    assert SessionTime().monotonic is time.monotonic


def test_sleep_lasts_until_the_audio_is_consumed() -> None:
    clock, session_time = AudioClock(), SessionTime()
    woken = threading.Event()

    def sleeper() -> None:
        with clock.bound():
            session_time.sleep(0.05)
        woken.set()

    thread = threading.Thread(target=sleeper)
    thread.start()
    clock.advance(512)
    assert not woken.wait(0.1)
    clock.advance(512)
    assert woken.wait(5)
    thread.join()


def test_closing_wakes_sleepers() -> None:
    clock = AudioClock()
    thread = threading.Thread(target=clock.sleep, args=(3600.0,))
    thread.start()
    clock.close()
    thread.join(5)
    assert not thread.is_alive()
    clock.sleep(0.001)
