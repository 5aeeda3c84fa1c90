"""One session's rules: counting, rejecting, reporting, delivering once."""

from __future__ import annotations

from typing import Any

import msgspec

from common import envelope
from common.envelope import Code, OnCorruption, Verdict
from common.errors import MalformedReason
from common.events import (
    Error,
    FramesLost,
    FrameVerdict,
    FullSentence,
    Notice,
    Report,
    ServerEvent,
    to_json,
)
from gateway.rejection import RejectionPolicy
from gateway.session import Session, SessionLimits

PEER = "192.168.1.100:54321"


class Client:
    """A session with what it delivered."""

    def __init__(
        self,
        *,
        tolerated: int = 0,
        reject: bool = True,
        wants_events: bool = False,
        wants_utterances: bool = False,
    ) -> None:
        policy = RejectionPolicy(True, reject, tolerated, OnCorruption.SILENCE)
        self.events: list[ServerEvent | Notice] = []
        self.session = Session(
            peer=PEER,
            wants_events=wants_events,
            wants_utterances=wants_utterances,
            policy=policy,
            limits=SessionLimits(64, 4 << 20, 0.25, 4.0),
        )

    def frames(self, *codes: Code, **fields: Any) -> None:
        """Frames arrive, are sent, and get these verdicts."""
        for code in codes:
            seq = self.session.window.accept(b"message" * 40, 0.0, 0)
            self.session.window.sent(seq, 0.0)
            judged = msgspec.structs.replace(verdict(self.session, seq, code), **fields)
            self.judge(judged, 0.001)

    def judge(self, verdict: Verdict, now_s: float) -> None:
        for judged in self.session.judge(verdict, now_s):
            self.events += judged.events

    def sentence(
        self, text: str, end_sample: int, *, start_sample: int = 0, mark: int = 0, error: str = ""
    ) -> bool:
        """A final result that commits nothing; whether it is new."""
        taken = self.session.take_sentence(
            envelope.Sentence(
                "t",
                self.session.id,
                text,
                start_sample,
                end_sample,
                envelope.Commit(0, 0, 0),
                error=error,
                mark=mark,
            )
        )
        self.events += taken.events
        return taken.is_new

    def of(self, kind: type[ServerEvent]) -> list[ServerEvent | Notice]:
        return [event for event in self.events if isinstance(event, kind)]


def verdict(session: Session, seq: int, code: Code) -> Verdict:
    actual = 87654321 if code is Code.CORRUPT else 12345678
    return Verdict(session.id, seq, code, 100, 100, 12345678, actual, sample_rate_hz=16_000)


def test_first_corrupt_frame_rejects_at_threshold_zero() -> None:
    client = Client(tolerated=0)
    client.frames(Code.OK, Code.CORRUPT)
    assert client.of(Error) == [
        Error(
            "data_corruption",
            "Connection rejected: Checksum mismatch: expected 12345678, got 87654321",
            "disconnect",
        )
    ]


def test_second_corrupt_frame_is_tolerated_at_threshold_two() -> None:
    client = Client(tolerated=2)
    client.frames(Code.CORRUPT, Code.CORRUPT)
    assert not client.session.is_rejected()
    client.frames(Code.CORRUPT)
    assert client.session.is_rejected()


def test_log_only_never_rejects() -> None:
    client = Client(reject=False)
    client.frames(*[Code.CORRUPT] * 100)
    assert not client.session.is_rejected()
    assert client.session.failures == 100


def test_nothing_counts_after_the_rejection() -> None:
    client = Client(tolerated=0)
    client.frames(Code.CORRUPT, Code.CORRUPT, Code.OK)
    assert client.session.failures == 1
    assert len(client.of(Error)) == 1


def test_verdict_that_comes_twice_is_one_failure() -> None:
    client = Client(tolerated=1)
    client.frames(Code.CORRUPT)
    client.judge(verdict(client.session, 0, Code.CORRUPT), 1.0)
    assert client.session.failures == 1
    assert not client.session.is_rejected()


def test_corrupt_frame_overtaken_by_a_good_one_is_counted_in_its_turn() -> None:
    client = Client(tolerated=0, wants_events=True)
    session = client.session
    for _ in range(2):
        session.window.sent(session.window.accept(b"message", 0.0, 0), 0.0)
    client.judge(verdict(session, 1, Code.OK), 0.1)
    assert client.of(FrameVerdict) == []
    client.judge(verdict(session, 0, Code.CORRUPT), 0.1)
    assert [event.verdict for event in client.of(FrameVerdict)] == ["corrupt"]  # type: ignore[union-attr]


def test_stock_client_gets_no_event_types_that_it_does_not_know() -> None:
    client = Client(reject=False)
    client.frames(Code.OK, Code.CORRUPT, Code.UNVERIFIED, audio_sequence=7)
    client.sentence("Hello.", 100)
    assert {event.type for event in client.events} == {"fullSentence"}


def test_malformed_frame_gets_a_typed_error() -> None:
    client = Client(reject=False)
    client.frames(
        Code.CORRUPT, malformed=MalformedReason.NOT_JSON, diagnosis="metadata is not JSON"
    )
    assert client.of(Error) == [
        Error("not_json", "Malformed frame: metadata is not JSON", "continue")
    ]


def test_lost_repeated_and_reordered_frames_are_reported() -> None:
    client = Client(wants_events=True)
    for number in (0, 1, 4, 3, 3, 5):
        client.frames(Code.OK, audio_sequence=number)
    kinds = [event.kind for event in client.of(FramesLost)]  # type: ignore[union-attr]
    assert kinds == ["lost", "reordered", "repeated"]
    report = client.session.report()
    assert (report.lost, report.reordered, report.repeated) == (1, 1, 1)


def test_stale_buffer_is_diagnosed() -> None:
    client = Client(reject=False, wants_events=True)
    client.frames(Code.OK)
    client.frames(Code.CORRUPT, actual_checksum=12345678, expected_checksum=5)
    assert "stale" in client.of(FrameVerdict)[-1].diagnosis  # type: ignore[union-attr]


def test_sentence_that_a_replay_repeats_is_delivered_once() -> None:
    client = Client()
    assert client.sentence("One.", 100)
    assert not client.sentence("One.", 100)
    assert client.sentence("Two.", 200)
    assert client.of(FullSentence) == [FullSentence("One."), FullSentence("Two.")]


def test_empty_sentence_is_not_shown() -> None:
    client = Client()
    assert client.sentence("", 100)
    assert client.events == []


def test_who_asked_for_events_is_told_where_in_the_audio_a_sentence_is() -> None:
    client = Client(wants_events=True)
    client.sentence("One.", 48_000, start_sample=16_160)
    (shown,) = client.of(FullSentence)
    assert isinstance(shown, FullSentence)
    assert (shown.text, shown.committed, shown.start_ms, shown.end_ms) == ("One.", 0, 1010, 3000)
    assert shown.provenance is not None
    assert (shown.provenance.start_sample, shown.provenance.end_sample) == (16_160, 48_000)


def test_a_stock_client_gets_nothing_but_the_text() -> None:
    client = Client()
    client.sentence("One.", 48_000, start_sample=16_160, mark=1)
    assert [to_json(event) for event in client.events] == ['{"type":"fullSentence","text":"One."}']


def test_what_a_mark_ended_is_delivered_once_and_known_by_the_mark() -> None:
    client = Client(wants_events=True)
    assert client.sentence("One.", 16_000)
    assert client.sentence("", 16_000, start_sample=16_000, mark=1)
    assert not client.sentence("", 16_512, start_sample=16_000, mark=1)
    assert client.sentence("Two.", 32_000, start_sample=16_000, mark=2)
    assert not client.sentence("Two.", 32_000, start_sample=16_000, mark=2)
    shown = [(e.text, e.utterance) for e in client.of(FullSentence)]  # type: ignore[union-attr]
    assert shown == [("One.", 0), ("", 1), ("Two.", 2)]
    assert [e.text for e in client.session.missed_sentences(1)] == ["", "Two."]


def test_who_wants_every_utterance_hears_of_the_empty_and_the_failed_ones_in_order() -> None:
    client = Client(wants_utterances=True)
    client.sentence("", 16_000)
    client.sentence("", 32_000, start_sample=16_000, error="the engine stumbled")
    assert client.events == [
        FullSentence("", 0, 0, 1000),
        Error("transcription_failed", "the engine stumbled", "continue"),
        FullSentence("", 0, 1000, 2000),
    ]


def test_event_that_a_replay_repeats_is_old() -> None:
    session = Client().session
    assert session.note_event("recording_start", 512)
    assert not session.note_event("recording_start", 512)
    assert session.note_event("recording_stop", 512)
    assert session.note_event("recording_start", 1024)


def test_client_that_comes_back_gets_the_sentences_that_it_missed() -> None:
    client = Client()
    for number in range(5):
        client.sentence(f"Sentence {number}.", number)
    session = client.session
    assert [event.text for event in session.missed_sentences(3)] == ["Sentence 3.", "Sentence 4."]
    assert session.missed_sentences(5) == []
    assert session.missed_sentences(9) == []


def test_failures_before_a_replay_are_counted_for_the_fresh_recorder() -> None:
    client = Client(tolerated=5)
    client.frames(Code.CORRUPT, Code.OK, Code.CORRUPT)
    assert client.session.failures_before_replay == 0


def test_report_says_what_became_of_the_frames() -> None:
    client = Client(tolerated=9)
    client.frames(Code.OK, Code.OK, Code.UNVERIFIED, Code.CORRUPT)
    client.sentence("Hello.", 100)
    report = client.session.report()
    assert isinstance(report, Report)
    assert (report.frames, report.ok, report.unverified, report.corrupt) == (4, 2, 1, 1)
    assert report.sentences == 1
    assert report.failures[0].sequence == 3
    assert set(report.verdict_latency_ms) == {"p50", "p95", "p99"}


def test_session_ids_are_128_random_bits() -> None:
    assert len({Client().session.key for _ in range(100)}) == 100
    assert len(Client().session.id) == 16
