"""The speech engines themselves, as far as they run without a download."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.processes import wait_until
from tests.speech import SENTENCES, load, silence
from transcriber.engines import EngineError, EngineSettings, create_engines
from transcriber.engines.base import AudioRequest, FloatAudio, Transcript
from transcriber.engines.pocketsphinx_engine import PocketSphinxEngine
from transcriber.engines.realtimestt_engine import RealtimeSTTEngine, choose_device

BRIDGE = "bridge"
MOUNTAINS = "mountains"
NUMBERS = "numbers"


def recording(text: str) -> FloatAudio:
    pcm = silence(0.3) + load(text) + silence(0.3)
    return np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)


def text_of(engine: PocketSphinxEngine | RealtimeSTTEngine, request: AudioRequest) -> str:
    (outcome,) = engine.transcribe([request])
    assert isinstance(outcome, Transcript), outcome
    return outcome.text


@pytest.fixture(scope="module")
def sphinx() -> Iterator[PocketSphinxEngine]:
    engine = PocketSphinxEngine(workers=2)
    engine.wait_until_warm()
    yield engine
    engine.close()


def test_pocketsphinx_understands_words(sphinx: PocketSphinxEngine) -> None:
    assert text_of(sphinx, AudioRequest(recording(MOUNTAINS))) == SENTENCES[MOUNTAINS].recognised


def test_a_text_does_not_depend_on_what_was_decoded_before() -> None:
    engine = PocketSphinxEngine(workers=1)
    try:
        requests = [AudioRequest(recording(text)[:24_000]) for text in (NUMBERS, MOUNTAINS)]
        first = [text_of(engine, request) for request in requests]
        again = [text_of(engine, request) for request in reversed(requests)]
        assert again == first[::-1]
    finally:
        engine.close()


@pytest.mark.parametrize("samples", [0, 1, 1599, 1600, 16_000])
def test_pocketsphinx_hears_nothing_in_silence(sphinx: PocketSphinxEngine, samples: int) -> None:
    request = AudioRequest(np.zeros(samples, dtype=np.float32))
    assert len(text_of(sphinx, request).split()) <= 1


def test_a_killed_worker_is_replaced_and_its_request_repeated(sphinx: PocketSphinxEngine) -> None:
    before = set(sphinx.worker_pids)

    def kill_workers() -> None:
        for pid in before:
            os.kill(pid, signal.SIGKILL)

    killer = threading.Timer(0.2, kill_workers)
    killer.start()
    assert text_of(sphinx, AudioRequest(recording(MOUNTAINS))) == SENTENCES[MOUNTAINS].recognised
    killer.join()
    assert text_of(sphinx, AudioRequest(recording(NUMBERS))) == SENTENCES[NUMBERS].recognised
    assert not before & set(sphinx.worker_pids)
    assert len(sphinx.worker_pids) == 2


def test_workers_share_a_model_that_is_loaded_again_when_all_of_it_died(
    sphinx: PocketSphinxEngine,
) -> None:
    (nursery,) = {psutil.Process(pid).ppid() for pid in sphinx.worker_pids}
    assert psutil.Process(nursery).ppid() == os.getpid()
    for worker in map(psutil.Process, sphinx.worker_pids):
        memory = worker.memory_full_info()
        assert memory.uss < memory.rss / 2, "most of it is shared"
    os.kill(nursery, signal.SIGKILL)
    assert text_of(sphinx, AudioRequest(recording(NUMBERS))) == SENTENCES[NUMBERS].recognised
    sphinx.wait_until_warm()
    assert len(sphinx.worker_pids) == 2
    assert nursery not in {psutil.Process(pid).ppid() for pid in sphinx.worker_pids}


def test_a_stopped_worker_is_given_up_by_how_fast_it_was() -> None:
    """Costs what a short recording is waited for: some seconds."""
    engine = PocketSphinxEngine(workers=1)
    engine.wait_until_warm()
    try:
        text_of(engine, AudioRequest(recording(NUMBERS)))
        (pid,) = engine.worker_pids
        os.kill(pid, signal.SIGSTOP)
        short = recording(NUMBERS)[:16_000]
        (outcome,) = engine.transcribe([AudioRequest(short)])
        assert isinstance(outcome, Transcript)
        assert engine.worker_pids != [pid]
        assert not psutil.pid_exists(pid)
    finally:
        engine.close()


def test_closing_ends_the_workers_and_whoever_waits_for_them() -> None:
    engine = PocketSphinxEngine(workers=1)
    engine.wait_until_warm()
    (pid,) = engine.worker_pids
    threading.Timer(0.2, engine.close).start()
    (outcome,) = engine.transcribe([AudioRequest(np.tile(recording(BRIDGE), 3))])
    assert isinstance(outcome, EngineError)
    wait_until(lambda: not psutil.pid_exists(pid), "it has ended and somebody saw it")
    engine.close()


_PARENT = """
import sys, time
from transcriber.engines.pocketsphinx_engine import PocketSphinxEngine
engine = PocketSphinxEngine(workers=2)
engine.wait_until_warm()
print(*engine.worker_pids, flush=True)
time.sleep(60)
"""


def test_workers_die_with_their_parent_even_when_it_is_killed() -> None:
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", _PARENT], stdout=subprocess.PIPE, text=True, cwd=root
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    wait_until(lambda: not any(map(psutil.pid_exists, pids)), "they have ended")


def test_workers_do_not_import_torch(sphinx: PocketSphinxEngine) -> None:
    for pid in sphinx.worker_pids:
        assert psutil.Process(pid).memory_info().rss < 200 * 2**20


# -- faster-whisper, with random weights: it babbles, always the same --------------------------


@pytest.fixture(scope="module")
def whisper(tiny_whisper: Path) -> RealtimeSTTEngine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "1")  # for so small a model more of them only spin
        engines = create_engines(
            EngineSettings(model=str(tiny_whisper), use_main_model_for_realtime=True, device="cpu")
        )
    assert engines.realtime is None
    assert isinstance(engines.final, RealtimeSTTEngine)
    return engines.final


def test_a_model_selects_faster_whisper(whisper: RealtimeSTTEngine) -> None:
    assert whisper.name == "faster_whisper"
    assert whisper.max_batch == 16


def test_a_batch_across_sessions_yields_the_texts_of_its_requests(
    whisper: RealtimeSTTEngine,
) -> None:
    requests = [AudioRequest(recording(text), "en") for text in (BRIDGE, MOUNTAINS, NUMBERS)]
    alone = [text_of(whisper, request) for request in requests]
    together = whisper.transcribe(requests)
    assert [outcome.text for outcome in together if isinstance(outcome, Transcript)] == alone


def test_long_recordings_go_the_usual_way_and_who_asks_is_told_of_words(
    whisper: RealtimeSTTEngine,
) -> None:
    short = AudioRequest(recording(NUMBERS), "en")
    requests = [
        AudioRequest(np.tile(recording(BRIDGE), 12), "en"),
        short,
        short._replace(word_timestamps=True),
    ]
    assert requests[0].audio.size > 30 * 16_000
    long, plain, words = whisper.transcribe(requests)
    assert isinstance(long, Transcript)
    assert isinstance(plain, Transcript)
    assert plain.text == text_of(whisper, short)
    assert isinstance(words, Transcript)
    assert "words" in words.metadata


def test_partials_have_a_model_of_their_own(
    tiny_whisper: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    other = tmp_path / "other"
    other.symlink_to(tiny_whisper)
    final, realtime = create_engines(
        EngineSettings(model=str(tiny_whisper), rt_model=str(other), device="cpu")
    )
    assert realtime is not None
    assert realtime is not final
    (outcome,) = realtime.transcribe([AudioRequest(recording(NUMBERS), "en", realtime=True)])
    assert isinstance(outcome, Transcript)


def test_weights_that_cannot_be_had_are_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    options = EngineSettings(model="tiny", root=str(tmp_path), device="cpu")
    with pytest.raises(EngineError) as failure:
        create_engines(options)
    message = str(failure.value)
    for part in ("'tiny'", "network access", str(tmp_path), "--model PATH", "pocketsphinx"):
        assert part in message


def test_a_folder_without_a_model_is_explained(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match="cannot load model"):
        create_engines(EngineSettings(model=str(tmp_path), device="cpu"))


def test_an_unknown_engine_is_answered_with_those_there_are() -> None:
    with pytest.raises(EngineError, match=r"--engine nope.*pocketsphinx.*faster_whisper"):
        create_engines(EngineSettings(engine="nope"))


def test_an_engine_whose_package_is_missing_is_explained() -> None:
    with pytest.raises(EngineError, match=r"openai_whisper.*pip install"):
        create_engines(EngineSettings(engine="openai_whisper", model="tiny"))


def test_without_a_gpu_the_device_is_the_cpu() -> None:
    import ctranslate2

    expected = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
    assert choose_device("") == choose_device("cuda") == expected
    assert choose_device("cpu") == "cpu"


def test_the_null_engine_counts_samples() -> None:
    engine = create_engines(EngineSettings(engine="null")).final
    assert engine.name == "null"
    outcomes = engine.transcribe([AudioRequest(np.zeros(5, dtype=np.float32))])
    assert outcomes == [Transcript("5 samples")]
    engine.close()
