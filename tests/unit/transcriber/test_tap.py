"""The file of what a recorder was fed, and whether a replay fed the same."""

from __future__ import annotations

import logging
import resource
from pathlib import Path

import pytest

from transcriber.tap import Tap

SESSION = bytes(range(16))
PCM = bytes(range(200))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "taps" / f"{SESSION.hex()}.pcm"


def write(path: Path, pcm: bytes, start_sample: int = 0) -> None:
    """What one recorder was fed, from a position on, in pieces."""
    tap = Tap(path.parent, SESSION, start_sample)
    tap.write(pcm[:10])
    tap.write(memoryview(pcm)[10:])
    tap.close()


def test_the_file_holds_what_was_fed_and_can_be_read_while_it_grows(path: Path) -> None:
    tap = Tap(path.parent, SESSION, 0)
    tap.write(PCM[:50])
    assert path.read_bytes() == PCM[:50]
    tap.write(PCM[50:])
    assert path.read_bytes() == PCM
    tap.close()


def test_a_replay_of_the_same_audio_changes_nothing_and_goes_on(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, PCM[:120])
    write(path, PCM[60:], start_sample=30)
    assert path.read_bytes() == PCM
    assert not path.with_suffix(".mismatch").exists()
    assert not caplog.records


def test_a_replay_that_differs_in_one_bit_is_noticed_and_its_place_kept(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(path, PCM)
    other = bytearray(PCM[60:])
    other[10] ^= 1  # in the second piece, which starts at sample 35
    with caplog.at_level(logging.ERROR):
        write(path, bytes(other), start_sample=30)
    assert [record.getMessage() for record in caplog.records] == [
        "a replay fed other bytes at sample 35"
    ]
    assert int.from_bytes(path.with_suffix(".mismatch").read_bytes(), "little") == 70
    assert path.read_bytes() == PCM[:60] + bytes(other)


def test_a_session_that_starts_late_leaves_its_beginning_empty(path: Path) -> None:
    write(path, PCM, start_sample=100)
    assert path.read_bytes() == bytes(200) + PCM


def test_a_full_disk_ends_the_tap_with_a_line_and_nothing_else(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tap = Tap(path.parent, SESSION, 0)
    tap.write(PCM)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(PCM) + 50, before[1]))
    try:
        with caplog.at_level(logging.ERROR):
            for _ in range(5):
                tap.write(PCM)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    tap.write(PCM)
    tap.close()
    assert len(caplog.records) == 1
    assert "nothing more is written" in caplog.text
    assert path.read_bytes()[: len(PCM)] == PCM
    assert path.stat().st_size <= len(PCM) + 50


def test_what_was_said_is_for_the_servers_user_alone(path: Path) -> None:
    write(path, PCM)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600
