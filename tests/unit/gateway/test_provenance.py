"""Which frames a sentence lies in, and how they were judged."""

from __future__ import annotations

from common.receipts.statement import Heard, Judgement, Provenance
from gateway.provenance import ProvenanceLog


def log_of(*frames: tuple[Judgement, Heard], samples: int = 1_000) -> ProvenanceLog:
    log = ProvenanceLog(100)
    for seq, (judgement, heard) in enumerate(frames):
        log.judged(seq, samples, 16_000, judgement, heard, "additive")
    return log


def of(log: ProvenanceLog, start: int, end: int) -> Provenance:
    return log.of(start, end, "engine", "model")


OK = (Judgement.OK, Heard.AS_RECEIVED)
SILENCE = (Judgement.CORRUPT, Heard.SILENCE)


def test_a_sentence_counts_the_samples_of_the_frames_that_it_lies_in() -> None:
    log = log_of(
        OK,
        OK,
        (Judgement.UNVERIFIED, Heard.AS_RECEIVED),
        (Judgement.HEALED, Heard.AS_RECEIVED),
        (Judgement.CORRUPT, Heard.AS_RECEIVED),
        SILENCE,
        OK,
    )
    assert of(log, 1_500, 5_800) == Provenance(
        start_sample=1_500,
        end_sample=5_800,
        start_ms=93,
        end_ms=362,
        first_frame=1,
        last_frame=5,
        verified=500,
        unverified=1_000,
        healed=1_000,
        corrupt=1_000,
        silence=800,
        missing=0,
        lost_frames=0,
        algorithm="additive",
        engine="engine",
        model="model",
        replayed=False,
    )


def test_frames_of_which_nothing_is_heard_take_no_time_and_are_counted_where_they_were() -> None:
    log = log_of(OK, (Judgement.CORRUPT, Heard.NOTHING), OK)
    found = of(log, 500, 1_500)
    assert (found.first_frame, found.last_frame) == (0, 2)
    assert (found.verified, found.missing) == (1_000, 1_000)
    assert of(log, 1_200, 2_000).missing == 0
    log = log_of(OK)
    log.judged(1, 0, 0, Judgement.MISSING, Heard.AS_RECEIVED, "")
    log.judged(2, 1_000, 16_000, *OK, "additive")
    assert of(log, 0, 2_000).lost_frames == 1


def test_neighbours_that_only_touch_a_sentence_are_not_its_frames() -> None:
    found = of(log_of(OK, OK, OK), 1_000, 2_000)
    assert (found.first_frame, found.last_frame) == (1, 1)


def test_other_rates_are_counted_in_samples_at_16_khz() -> None:
    log = ProvenanceLog(10)
    log.judged(0, 441, 44_100, *OK, "crc32c")
    log.judged(1, 320, 16_000, *OK, "additive")
    found = of(log, 0, 480)
    assert found.verified == 480
    assert found.algorithm == "crc32c, additive"


def test_a_sentence_that_was_sent_to_a_second_recorder_says_so() -> None:
    log = log_of(OK, OK, OK)
    log.replayed(2)
    assert of(log, 0, 1_000).replayed
    assert not of(log, 2_100, 3_000).replayed


def test_what_no_sentence_can_lie_in_is_forgotten_and_the_number_kept_is_bounded() -> None:
    log = log_of(OK, OK, OK)
    log.forget(2_000)
    assert len(log) == 1
    assert of(log, 0, 1_000).first_frame == -1
    log = ProvenanceLog(2)
    for seq in range(5):
        log.judged(seq, 1_000, 16_000, *OK, "")
    assert len(log) == 2
    assert of(log, 0, 5_000).first_frame == 3
