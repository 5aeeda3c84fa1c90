"""deploy.demo_parts: what decides whether the demonstration succeeded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.demo_parts import Recording, processes_of, recordings, same_words


@pytest.mark.parametrize(
    ("spoken", "heard", "same"),
    [
        ("she reads a book", "She reads a book.", True),
        ("don't stop", "Don't ... stop!", True),
        ("she reads a book", "She reads books.", False),
        ("she reads a book", "", False),
        ("one two", "One two. One two.", False),
    ],
)
def test_words_count_and_case_and_punctuation_do_not(spoken: str, heard: str, same: bool) -> None:
    assert same_words(spoken, heard) is same


def test_a_recording_is_cut_without_losing_its_end() -> None:
    blocks = list(Recording("x", "", bytes(range(10)), 16_000).blocks(2))
    assert [len(block) for block in blocks] == [4, 4, 2]
    assert b"".join(blocks) == bytes(range(10))


def test_the_two_recordings_say_different_things() -> None:
    one, other = recordings()
    assert one.text != other.text
    assert one.rate_hz == other.rate_hz == 16_000


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")
def test_a_process_is_found_by_the_run_dir_in_its_environment(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", "input()"],
        env={**os.environ, "STT_RUN_DIR": str(tmp_path)},
        stdin=subprocess.PIPE,
    ) as process:
        assert processes_of(tmp_path) == [process.pid]
        process.kill()
    assert processes_of(tmp_path) == []
