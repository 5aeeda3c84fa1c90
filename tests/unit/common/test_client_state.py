from __future__ import annotations

from common.client.buffer import ResendBuffer
from common.client.state import StreamState
from common.events import (
    Acknowledged,
    End,
    Failure,
    FrameVerdict,
    FullSentence,
    Healed,
    Report,
    Resend,
    SessionStarted,
)


def started(*, resumed: bool, next_sequence: int = 0, session: str = "a") -> SessionStarted:
    return SessionStarted(session, next_sequence, 0, resumed, 64, verify=True)


def streaming(frames: int) -> StreamState:
    state = StreamState(ResendBuffer(1 << 20), None)
    state.begin(started(resumed=False))
    for number in range(frames):
        state.buffer.append(bytes([number]))
        state.buffer.take()
    return state


def verdict(sequence: int, word: str = "ok", failures: int = 0) -> FrameVerdict:
    return FrameVerdict(sequence, word, 1.0, failures=failures)


def test_each_frame_is_counted_once_even_if_a_new_session_checks_it_again() -> None:
    state = streaming(4)
    for sequence in range(3):
        state.receive(verdict(sequence, "corrupt" if sequence == 1 else "ok", failures=1))
    state.receive(Acknowledged(3, 1))
    state.begin(started(resumed=False, session="b"))
    seen = [state.receive(verdict(sequence)) for sequence in range(3)]  # frames 1, 2 and 3
    assert [event.sequence for event in seen if isinstance(event, FrameVerdict)] == [1, 2, 3]
    assert (state.verdicts.ok, state.verdicts.corrupt, state.verdicts.total) == (3, 1, 4)
    assert state.session == "b"
    assert state.resent_frames == 3


def test_a_verdict_of_a_kind_unknown_here_is_not_counted() -> None:
    state = streaming(1)
    state.receive(verdict(0, "suspicious"))
    assert state.verdicts.total == 0


def test_reports_and_acknowledgements_carry_the_client_s_numbers() -> None:
    state = streaming(5)
    state.receive(Acknowledged(5, 3))
    state.begin(started(resumed=False))
    assert state.receive(Acknowledged(2, 1)) == Acknowledged(5, 4)
    failure = Failure(1, 1, 2, 3, 4, "")
    state.receive(Report(2, 0.1, 1, 0, 1, [failure], 0, 0, 0, 0, 0, 0, {}))
    assert state.report is not None
    assert state.report.failures[0].sequence == 4


def test_sentences_are_counted_per_session() -> None:
    state = streaming(2)
    state.receive(FullSentence("one"))
    state.begin(started(resumed=True, next_sequence=2))
    assert state.sentences == 1
    state.begin(started(resumed=False))
    assert state.sentences == 0


def test_a_session_that_ended_needs_no_replay_of_what_it_took_in() -> None:
    state = streaming(5)
    state.receive(Report(3, 0.1, 3, 0, 0, [], 0, 0, 0, 0, 0, 0, {}))
    state.receive(End())
    assert state.ended
    assert not state.all_taken_in
    state.leave_session()
    assert (state.ended, state.session) == (False, None)
    state.begin(started(resumed=False, session="b"))
    assert state.resent_frames == 2
    assert [state.buffer.take(), state.buffer.take()] == [bytes([3]), bytes([4])]
    state.receive(Report(2, 0.1, 2, 0, 0, [], 0, 0, 0, 0, 0, 0, {}))
    state.receive(End())
    assert state.all_taken_in


def test_requests_to_send_again_are_answered_and_healed_frames_counted() -> None:
    state = streaming(2)
    assert state.receive(Resend(1, 1)) == Resend(1, 1)
    assert not state.replies
    state.receive(Resend(2, 1))
    assert list(state.replies) == ['{"type":"not_sent","sequence":2}']
    state.receive(Healed(1, 1, 12.0))
    assert state.verdicts.healed == 1


def test_a_server_that_asks_again_is_sent_no_more_than_a_window() -> None:
    state = StreamState(ResendBuffer(1 << 20), None)
    state.begin(SessionStarted("a", 0, 0, False, 64, True, resend=True))
    assert state.buffer.window == 64
    state.begin(started(resumed=False))
    assert state.buffer.window is None
