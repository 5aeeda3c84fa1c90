"""How many transcribers a machine has cores for."""

from __future__ import annotations

import argparse

import pytest

from deploy import cores
from deploy.cores import quota_cores, recorder_processes, transcriber_count


@pytest.mark.parametrize("cores, processes", [(0.5, 1), (1, 1), (2, 1), (4, 3), (16, 12)])
def test_recorders_have_three_quarters_of_the_cores(cores: float, processes: int) -> None:
    assert recorder_processes(cores) == processes


def test_a_container_has_the_cores_of_its_quota() -> None:
    assert quota_cores("150000 100000\n") == 1.5
    assert quota_cores("max 100000\n") == float("inf")
    with pytest.raises(ValueError, match="unpack"):
        quota_cores("nonsense")


def test_auto_goes_by_the_cores_that_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "usable_cores", lambda: 8.0)
    assert transcriber_count(64, "auto") == 6
    assert transcriber_count(4, "auto") == 4
    assert transcriber_count(64, "3") == 3


@pytest.mark.parametrize("text", ["-1", "65", "2.5", "many"])
def test_what_is_neither_auto_nor_a_number_in_range_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="auto"):
        transcriber_count(64, text)
