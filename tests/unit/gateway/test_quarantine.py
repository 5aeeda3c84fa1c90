"""Corrupt frames on disk: bounded in bytes and age, whoever writes them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from common.envelope import Code, Verdict
from common.errors import SettingsError
from common.forensics.records import SUFFIX, Corruption, packed, read
from common.wire import Metadata, build_message
from gateway.frame_counts import Judged
from gateway.healing import Mended
from gateway.quarantine import FILES, Quarantine, QuarantineFolder, corruption

RECORD = Corruption(5, "10.0.0.1:7", "ab12cd34", 3, 0, "checksum", "", 1, 2, bytes(1_000))
SIZE = len(packed(RECORD))
FOREVER_S = 1e9
ROOT = Path(__file__).resolve().parents[3]
GOOD = build_message(Metadata(sample_rate=16_000), b"")


def until(condition: Callable[[], bool]) -> None:
    """Wait for what a thread does."""
    deadline_s = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob(f"*{SUFFIX}"))


def test_the_oldest_files_go_when_there_are_too_many_bytes(tmp_path: Path) -> None:
    most = FILES * 4 * SIZE
    folder = QuarantineFolder(tmp_path, "gw", most, FOREVER_S)
    for number in range(100):
        folder.append(packed(RECORD._replace(sequence=number)), time.time())
        assert size_of(tmp_path) <= most + 4 * SIZE
    folder.close()
    kept = [record.sequence for path in sorted(tmp_path.iterdir()) for record in read(path)]
    assert kept == list(range(100 - len(kept), 100))
    assert len(kept) >= 4 * (FILES - 2)


def test_files_that_are_too_old_go_and_other_files_stay(tmp_path: Path) -> None:
    old, other = tmp_path / f"other-gw-000001{SUFFIX}", tmp_path / "notes.txt"
    for path in (old, other):
        path.write_bytes(packed(RECORD))
        os.utime(path, (0, 0))
    folder = QuarantineFolder(tmp_path, "gw", 1 << 20, 60.0)
    folder.append(packed(RECORD), time.time())
    assert not old.exists()
    assert other.exists()
    folder.close()


def test_what_was_kept_goes_by_its_age_though_nothing_new_comes(tmp_path: Path) -> None:
    folder = QuarantineFolder(tmp_path, "gw", 1 << 20, 80.0)
    now_s = time.time()
    folder.append(packed(RECORD), now_s)
    folder.tidy(now_s + 9.0)
    assert len(list(tmp_path.iterdir())) == 1
    folder.tidy(now_s + 11.0)
    assert len(list(tmp_path.iterdir())) == 2, "an eighth of the time is over: another file"
    folder.tidy(now_s + 81.0)
    assert [path.stat().st_size for path in tmp_path.iterdir()] == [0]
    folder.close()


def test_a_gateway_that_kept_nothing_leaves_no_file(tmp_path: Path) -> None:
    QuarantineFolder(tmp_path / "new", "gw", 1 << 20, 60.0).close()
    assert list((tmp_path / "new").iterdir()) == []


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_starts(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="--quarantine"):
        QuarantineFolder(tmp_path / "file", "gw", 1 << 20, 60.0)


def test_records_are_written_beside_the_work_and_all_of_them_at_the_end(tmp_path: Path) -> None:
    quarantine = Quarantine(QuarantineFolder(tmp_path, "gw", 1 << 20, FOREVER_S))
    for _ in range(5):
        quarantine.keep(RECORD)
    quarantine.close()
    (path,) = tmp_path.iterdir()
    assert list(read(path)) == [RECORD] * 5
    assert (quarantine.kept, quarantine.dropped) == (5, 0)


def test_a_folder_that_was_away_for_a_while_ends_no_quarantine_and_no_gateway(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "kept"
    quarantine = Quarantine(QuarantineFolder(folder, "gw", FILES * SIZE, FOREVER_S))
    quarantine.keep(RECORD)
    until(lambda: quarantine.kept == 1)
    shutil.rmtree(folder)
    for _ in range(8):  # each wants a file of its own
        quarantine.keep(RECORD)
    until(lambda: quarantine.dropped == 8)
    folder.mkdir()
    quarantine.keep(RECORD)
    until(lambda: quarantine.kept == 2)
    quarantine.close()
    assert len(caplog.messages) == 3, "within a budget"


def test_a_record_that_the_disk_takes_half_of_leaves_no_half(tmp_path: Path) -> None:
    """What follows it could not be read."""
    script = """
import resource, signal, sys
from pathlib import Path
from gateway.quarantine import QuarantineFolder
folder = QuarantineFolder(Path(sys.argv[1]), "gw", 1 << 20, 1e9)
raw = Path(sys.argv[2]).read_bytes()
folder.append(raw, 1.0)
for least, most in ((len(raw) * 3 // 2, "no room"), (resource.RLIM_INFINITY, "room")):
    resource.setrlimit(resource.RLIMIT_FSIZE, (least, resource.RLIM_INFINITY))
    try:
        folder.append(raw, 1.0)
    except OSError:
        assert most == "no room"
    else:
        assert most == "room"
"""
    raw = tmp_path / "raw"
    raw.write_bytes(packed(RECORD))
    subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "kept"), str(raw)], check=True, cwd=ROOT
    )
    (path,) = (tmp_path / "kept").iterdir()
    assert list(read(path)) == [RECORD] * 2


@pytest.mark.parametrize(
    "fields, kind",
    [
        ({"malformed": "too_short"}, "too_short"),
        ({"expected_length": 5}, "length"),
        ({}, "checksum"),
    ],
)
def test_a_record_says_what_was_wrong_and_not_whose_session_it_was(
    fields: dict[str, object], kind: str
) -> None:

    verdict = Verdict(bytes(16), 3, Code.CORRUPT, None, 4, 1, 2, likely="l", attempt=1)
    verdict = msgspec.structs.replace(verdict, **fields)
    record = corruption("peer", bytes(16), verdict, b"bad", b"good", 9)
    assert (record.kind, record.diagnosis, record.attempt) == (kind, "l", 1)
    assert record.session == "374708ff"


# -- what the quarantine gets --------------------------------------------------------------------


def judged(code: Code, **fields: Any) -> Judged:
    verdict = Verdict(bytes(16), 3, code, None, 4, 1, 2)
    return Judged(GOOD, verdict, 0.0, 0, 1, False, None, [], **fields)


def test_corrupt_frames_are_kept_and_healed_ones_with_what_was_sent(tmp_path: Path) -> None:
    quarantine = Quarantine(QuarantineFolder(tmp_path, "gw", 1 << 20, FOREVER_S))
    spoiled = (b"spoiled", Verdict(bytes(16), 3, Code.CORRUPT, None, 4, 1, 2))
    for one in (
        judged(Code.OK),
        judged(Code.CORRUPT),
        judged(Code.OK, mended=Mended(1, 0.1), spoiled=spoiled),
        judged(Code.CORRUPT, spoiled=spoiled),
    ):
        quarantine.judged("peer", bytes(16), one)
    quarantine.close()
    (path,) = tmp_path.iterdir()
    assert [(record.message, record.good) for record in read(path)] == [
        (GOOD, b""),
        (b"spoiled", GOOD),
        (GOOD, b""),
    ]
