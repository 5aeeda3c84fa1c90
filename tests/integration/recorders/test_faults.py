"""A recorder that fails, again and again: its session goes on, and the log is not flooded."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest


def test_faults_of_each_chunk_of_each_session_are_logged_within_one_budget(
    caplog: pytest.LogCaptureFixture,
) -> None:
    from transcriber.recorder.segmenting_recorder import SegmentingRecorder

    for _ in range(50):
        session: Any = SimpleNamespace(clock=SimpleNamespace(position=0), is_recording=False)
        for _ in range(10):
            SegmentingRecorder.recover(session)
        assert session._rearm
    assert 0 < caplog.text.count("the recorder failed") <= 20
