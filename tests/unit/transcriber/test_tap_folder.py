"""transcriber.tap_folder: what people said is kept no longer, and no more of it, than was said."""

from __future__ import annotations

import os
from pathlib import Path

from transcriber.tap_folder import LOOK_S, TapFolder

NOW_S = 1_000_000.0


def make(folder: Path, name: str, age_s: float, size: int = 100) -> Path:
    path = folder / name
    path.write_bytes(bytes(size))
    os.utime(path, (NOW_S - age_s, NOW_S - age_s))
    return path


def test_files_that_are_too_old_go_and_other_files_stay(tmp_path: Path) -> None:
    old = [make(tmp_path, "a.pcm", 101), make(tmp_path, "a.mismatch", 101)]
    stay = [make(tmp_path, "b.pcm", 99), make(tmp_path, "notes.txt", 101)]
    taps = TapFolder(tmp_path, 10_000, 100)
    taps.tidy(NOW_S)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in stay)
    assert taps.removed == 2


def test_the_oldest_go_when_there_is_too_much(tmp_path: Path) -> None:
    paths = [make(tmp_path, f"{age}.pcm", age) for age in (30, 20, 10)]
    TapFolder(tmp_path, 250, 100).tidy(NOW_S)
    assert [path.exists() for path in paths] == [False, True, True]


def test_it_is_looked_at_once_a_minute(tmp_path: Path) -> None:
    taps = TapFolder(tmp_path, 10_000, 100)
    taps.tidy(NOW_S)
    old = make(tmp_path, "a.pcm", 101)
    taps.tidy(NOW_S + LOOK_S / 2)
    assert old.exists()
    taps.tidy(NOW_S + LOOK_S)
    assert not old.exists()


def test_a_folder_that_is_not_there_yet_is_empty_and_one_that_cannot_be_is_none(
    tmp_path: Path,
) -> None:
    taps = TapFolder(tmp_path / "taps", 10_000, 100)
    taps.tidy(NOW_S)
    tap = taps.open(bytes(16), 0)
    assert tap is not None
    tap.close()
    (tmp_path / "file").touch()
    assert TapFolder(tmp_path / "file" / "taps", 1, 1).open(bytes(16), 0) is None
