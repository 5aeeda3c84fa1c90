"""Which files are to go."""

from __future__ import annotations

import os
from pathlib import Path

from common.surplus import surplus

NOW_S = 1_000.0


def made(folder: Path, *files: tuple[str, int, float]) -> list[Path]:
    """Files by name, size and age."""
    paths = []
    for name, size, age_s in files:
        path = folder / name
        path.write_bytes(bytes(size))
        os.utime(path, (NOW_S - age_s, NOW_S - age_s))
        paths.append(path)
    return paths


def test_within_the_bounds_all_stay(tmp_path: Path) -> None:
    paths = made(tmp_path, ("a", 10, 5.0), ("b", 10, 1.0))
    assert list(surplus(paths, 20, 5.0, NOW_S)) == []


def test_too_much_costs_the_oldest_and_no_more_than_needed(tmp_path: Path) -> None:
    new, oldest, old = made(tmp_path, ("a", 10, 1.0), ("b", 10, 9.0), ("c", 10, 5.0))
    assert list(surplus([new, oldest, old], 20, 60.0, NOW_S)) == [oldest]
    assert list(surplus([new, oldest, old], 15, 60.0, NOW_S)) == [oldest, old]


def test_what_is_too_old_goes_however_small_all_is(tmp_path: Path) -> None:
    old, new = made(tmp_path, ("a", 1, 61.0), ("b", 1, 59.0))
    assert list(surplus([old, new], 1_000, 60.0, NOW_S)) == [old]


def test_a_spared_file_counts_and_stays(tmp_path: Path) -> None:
    spared, other = made(tmp_path, ("a", 10, 99.0), ("b", 10, 1.0))
    assert list(surplus([spared, other], 10, 60.0, NOW_S, spared)) == [other]


def test_a_file_that_is_gone_does_not_count(tmp_path: Path) -> None:
    (here,) = made(tmp_path, ("a", 10, 1.0))
    assert list(surplus([here, tmp_path / "gone"], 10, 60.0, NOW_S)) == []
