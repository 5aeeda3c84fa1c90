from __future__ import annotations

import io
import json

import msgspec
import pytest
from rich.console import Console

from common.client.events import ClientEvent
from common.client.stream import connect
from common.client.view import (
    JsonView,
    LiveView,
    PlainView,
    notice_line,
    progress,
    report_tables,
    verdict_line,
)
from common.events import (
    Error,
    Failure,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Healed,
    Notice,
    Realtime,
    Report,
    RetentionLimited,
    SessionStarted,
    TranscriberChanged,
    TranscriptionStart,
)

OK = FrameVerdict(3, "ok", 0.84, 2048, 2048, 77, 77)
TRUNCATED = FrameVerdict(
    4, "corrupt", 1.0, 2048, 2042, 77, 70, diagnosis="truncated by 6 samples", failures=2
)
REPORT = Report(
    frames=10,
    audio_seconds=1.28,
    ok=9,
    unverified=0,
    corrupt=1,
    failures=[Failure(4, 2048, 2042, 77, 70, "truncated by 6 samples")],
    lost=1,
    repeated=2,
    reordered=3,
    retransmissions=4,
    replays=5,
    sentences=6,
    verdict_latency_ms={"p50": 0.5, "p99": 12.34},
)


def started(*, resumed: bool = False, verify: bool = True) -> SessionStarted:
    return SessionStarted("secret", 7, 5, resumed, 64, verify)


@pytest.mark.parametrize(
    "event, line",
    [
        (OK, "[OK] frame 3: length 2048, checksum 77 (0.8 ms)"),
        (FrameVerdict(5, "unverified", 1.0), "[--] frame 5: unverified"),
        (
            FrameVerdict(0, "unverified", 1.0, diagnosis="a WAV header"),
            "[--] frame 0: a WAV header",
        ),
        (
            msgspec.structs.replace(OK, diagnosis="a WAV header"),
            "[OK] frame 3: length 2048, checksum 77 (0.8 ms); a WAV header",
        ),
        (
            FrameVerdict(6, "corrupt", 1.0, 9, 8, likely="truncated by 1 samples", failures=1),
            "[FAIL] frame 6: length expected 9, got 8; probably truncated by 1 samples (failure 1)",
        ),
        (
            TRUNCATED,
            "[FAIL] frame 4: length expected 2048, got 2042; checksum expected 77, got 70; "
            "truncated by 6 samples (failure 2)",
        ),
        (
            FrameVerdict(6, "corrupt", 1.0, diagnosis="metadata is not JSON", failures=1),
            "[FAIL] frame 6: metadata is not JSON (failure 1)",
        ),
        (FrameVerdict(7, "corrupt", 1.0, failures=1), "[FAIL] frame 7: corrupt (failure 1)"),
    ],
)
def test_a_verdict_is_one_line(event: FrameVerdict, line: str) -> None:
    assert verdict_line(event) == line


@pytest.mark.parametrize(
    "event, line",
    [
        (started(), ""),
        (started(resumed=True), "[NOTE] session resumed at frame 7 of it"),
        (
            started(verify=False),
            "[NOTE] the server does not verify (start it with --verify-data-integrity)",
        ),
        (FramesLost("lost", 5, 7), "[WARNING] frames lost: expected frame 5, got 7"),
        (RetentionLimited("session", 1, "at the bound"), "[WARNING] at the bound"),
        (TranscriberChanged("open"), "[NOTE] transcriber: open"),
        (TranscriberChanged("open", 3), "[NOTE] transcriber: open, 3 frames replayed"),
        (Error("data_corruption", "bad", "disconnect"), "[ERROR] data_corruption: bad"),
        (Notice("recording_start"), ""),
        (Realtime("a"), ""),
    ],
)
def test_other_events_are_one_line_or_none(event: ClientEvent, line: str) -> None:
    assert notice_line(event) == line


def test_plain_output_has_verdicts_text_and_report() -> None:
    out = io.StringIO()
    view = PlainView(out)
    for event in (started(), OK, Realtime("she"), FullSentence("She reads."), TRUNCATED):
        view.show(event)
    assert [line[:12] for line in out.getvalue().splitlines()] == [
        "[OK] frame 3",
        "[TEXT] She r",
        "[FAIL] frame",
    ]
    view.report(REPORT)
    text = out.getvalue()
    for fact in ("1.3 s", "1 / 2 / 3", "p50 0.5, p99 12.3 ms", "2048 → 2042", "77 → 70"):
        assert fact in text
    assert "secret" not in text


def test_quiet_output_leaves_out_good_frames_only() -> None:
    out = io.StringIO()
    view = PlainView(out, quiet=True)
    view.show(OK)
    view.show(TRUNCATED)
    assert out.getvalue().startswith("[FAIL] frame 4")


def test_json_output_is_one_event_a_line() -> None:
    out = io.StringIO()
    view = JsonView(out)
    view.show(OK)
    view.show(REPORT)
    view.report(REPORT)
    first, second = (json.loads(line) for line in out.getvalue().splitlines())
    assert (first["type"], first["sequence"]) == ("verdict", 3)
    assert (second["type"], second["corrupt"]) == ("report", 1)


async def test_the_live_view_shows_the_strip_the_counts_and_the_partial_text() -> None:
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=80, color_system="standard")
    view = LiveView(console)
    view.attach(connect(), 10.0)
    for event in (OK, TRUNCATED, Realtime("she reads"), Notice("vad_start")):
        view.show(event)
    view.show(FullSentence("She reads a book."))
    view.show(Realtime("before"))
    view.close()
    text = out.getvalue()
    assert "\x1b[32m█" in text
    assert "\x1b[31m█" in text
    assert "She reads a book." in text
    assert "before" in text
    assert "truncated by 6 samples" in text


def test_the_audio_of_a_sentence_is_shown_only_to_who_asks() -> None:
    event = TranscriptionStart.of(bytes(1000))
    for audio in (False, True):
        out = io.StringIO()
        JsonView(out, audio=audio).show(event)
        shown = json.loads(out.getvalue())
        assert shown["type"] == "transcription_start"
        assert ("audio_bytes_base64" in shown) is audio


def test_the_counts_of_a_report_add_up_also_after_a_rejection() -> None:
    def rows(report: Report) -> dict[str, str]:
        (summary, *_) = report_tables(report)
        names, values = (list(column.cells) for column in summary.columns)
        return dict(zip(map(str, names), map(str, values), strict=True))

    rejected = rows(msgspec.structs.replace(REPORT, frames=63))
    parts = ("ok", "unverified", "corrupt", "not judged, after a rejection")
    assert int(rejected["frames"]) == sum(int(rejected[part]) for part in parts) == 63
    assert "not judged, after a rejection" not in rows(REPORT)


@pytest.mark.parametrize(
    "sent_s, total_s, elapsed_s, shown",
    [
        (0.0, 60.0, 0.0, "0.0 of 60.0 s at 0.0x, 0 s left"),
        (12.0, 60.0, 12.0, "12.0 of 60.0 s at 1.0x, 48 s left"),
        (30.0, 60.0, 2.0, "30.0 of 60.0 s at 15.0x, 2 s left"),
        (3.0, None, 3.0, "3.0 s at 1.0x"),
    ],
)
def test_the_live_view_says_how_far_it_is(
    sent_s: float, total_s: float | None, elapsed_s: float, shown: str
) -> None:
    assert progress(sent_s, total_s, elapsed_s) == shown


def test_a_healed_frame_has_a_line_of_its_own() -> None:
    assert notice_line(Healed(17, 2, 12.3)) == (
        "[HEALED] frame 17 arrived as sent at attempt 2, 12 ms late"
    )
