"""A transcriber's heartbeat, over a real link: a gateway takes one that stops for dead."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import zmq

from common import envelope
from common.lifecycle import Lifecycle
from common.links import LinkEnd, Links
from common.settings import TranscriberSettings
from tests.bench.null_transcriber import make
from transcriber.engines.null import NullEngine
from transcriber.metrics import TranscriberMetrics
from transcriber.scheduler import Scheduler
from transcriber.stage import TranscriberStage


async def test_a_beat_that_fails_is_not_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    settings = TranscriberSettings(run_dir=str(tmp_path), heartbeat_s=0.05, drain_s=0.1)
    lifecycle, links = Lifecycle("transcriber"), Links(settings)
    scheduler = Scheduler(NullEngine())
    heard = links.open(LinkEnd.RESULTS_IN, f"ipc://{tmp_path}/results.sock")
    stage = TranscriberStage(settings, lifecycle, links, TranscriberMetrics(), scheduler, make)
    faults = [OSError("the disk is gone")]
    monkeypatch.setattr(
        stage.sessions, "tidy_taps", lambda: (_ for _ in ()).throw(faults.pop()) if faults else None
    )
    life = asyncio.create_task(stage.live())
    try:
        for _ in range(3):
            assert await asyncio.to_thread(heard.poll, 10_000)
            message = envelope.unpack_results(heard.recv_multipart(zmq.NOBLOCK)[0])
            assert isinstance(message, envelope.TranscriberHello)
        assert not faults
        assert caplog.messages.count("a periodic task failed") == 1
    finally:
        lifecycle.request_drain()
        await life
        scheduler.close()
        links.close_all()
