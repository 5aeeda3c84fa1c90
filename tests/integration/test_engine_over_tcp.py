"""A faster-whisper model in an engine process "elsewhere": tcp, CURVE keys, no shared folder.

Its key is the transcribers' (an engine is a part of them): who has another is no engine's client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from common.client.stream import connect
from common.curve import make_keys
from common.events import FullSentence
from deploy.health import sample
from tests.processes import StageProcess, Stages, free_port
from tests.speech import load, silence


class System(NamedTuple):
    """A system and the engine that it reaches by its address only."""

    stages: Stages
    url: str
    engine: StageProcess
    endpoint: str
    keys: Path


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, tiny_whisper: Path) -> Iterator[System]:
    keys = make_keys(tmp_path_factory.mktemp("keys"))
    data, port = free_port(), free_port()
    with Stages() as elsewhere, Stages() as stages:
        engine = elsewhere.start(
            "transcriber.engines",
            *("--engine-endpoint", f"tcp://*:{port}", "--curve-dir", str(keys / "transcriber")),
            *("--engine", "faster_whisper", "--model", str(tiny_whisper), "--device", "cpu"),
            *("--use_main_model_for_realtime", "--metrics-port", "0"),
            env={"OMP_NUM_THREADS": "1"},  # for so small a model more of them only spin
        )
        stages.start("gateway", "--data_port", str(data), "--control_port", str(free_port()))
        stages.start("verifier")
        endpoint = f"tcp://localhost:{port}"
        stages.start("transcriber", "--engines-at", endpoint, "--curve-dir", str(keys))
        for process in (engine, *stages.processes):
            process.wait_for_line("is ready", 120)
        yield System(stages, f"ws://127.0.0.1:{data}", engine, endpoint, keys)


async def texts(url: str) -> list[str]:
    """Of two sentences; the tiny model's letters, which are always the same for the same audio."""
    async with asyncio.timeout(120), connect(url) as stream:
        await stream.send(silence(0.5))
        for name in ("bridge", "numbers"):
            await stream.send(load(name) + silence(1.5))
        await stream.finish()
        return [event.text async for event in stream if isinstance(event, FullSentence)]


def metrics_url(process: StageProcess) -> str:
    port = process.wait_for_line(r"metrics at http://127.0.0.1:(\d+)")[1]
    return f"http://127.0.0.1:{port}"


async def test_sessions_get_a_whisper_models_texts_from_an_engine_over_encrypted_tcp(
    system: System,
) -> None:
    first, second = await asyncio.gather(texts(system.url), texts(system.url))
    assert first == second
    assert len(set(first)) == len(first) == 2
    assert all(first)
    count = sample(metrics_url(system.engine), ("stt_engine_requests",), 5.0)
    assert count is not None
    assert count >= 2
    assert not list(system.stages.run_dir.glob("engine-*")), "they share no folder"


def test_a_transcriber_with_other_keys_gets_no_engine(system: System, tmp_path: Path) -> None:
    with Stages() as strangers:
        stranger = strangers.start(
            "transcriber",
            *("--engines-at", system.endpoint, "--curve-dir", str(make_keys(tmp_path))),
        )
        stranger.wait_for_line("waiting for an engine process", 120)
        friend = system.stages.start(
            "transcriber",
            *("--engines-at", system.endpoint),
            *("--curve-dir", str(system.keys)),
        )
        friend.wait_for_line("serves this transcriber", 120)
        assert "serves this transcriber" not in stranger.output
        friend.terminate()
