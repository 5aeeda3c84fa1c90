"""From the gateway's events to what a translator hears."""

from __future__ import annotations

from common.events import Error, FullSentence, Notice, Realtime, WordTime
from gateway.heard import Ear
from gateway.protocols.base import Partial, Refused, SpeechStarted, SpeechStopped, Utterance, Word


def test_each_event_is_heard_as_what_it_means() -> None:
    ear = Ear()
    assert ear.hear(Notice("recording_start", 500)) == SpeechStarted(500)
    assert ear.hear(Notice("recording_stop", 900)) == SpeechStopped(900)
    assert ear.hear(Notice("vad_start", 900)) is None
    assert ear.hear(Realtime("so far", 700)) == Partial("so far", 700)
    assert ear.hear(FullSentence("All.", 0, 100, 900, 3)) == Utterance("All.", 100, 900, 3)
    timed = FullSentence("One two.", 0, 100, 900, words=(WordTime("one", 100, 300, 0.5),))
    assert ear.hear(timed) == Utterance("One two.", 100, 900, words=(Word("one", 100, 300, 0.5),))
    assert ear.hear(Error("data_corruption", "why", "disconnect")) == (
        Refused("data_corruption", "why")
    )
    assert ear.hear(Error("too_large", "why", "continue")) is None


def test_a_failure_belongs_to_the_utterance_that_follows_it() -> None:
    ear = Ear()
    assert ear.hear(Error("transcription_failed", "it stumbled", "continue")) is None
    assert ear.hear(FullSentence("", 0, 0, 900)) == Utterance("", 0, 900, error="it stumbled")
    assert ear.hear(FullSentence("Next.", 0, 900, 990)) == Utterance("Next.", 900, 990)
