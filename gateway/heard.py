"""What a translator hears of a session, out of the gateway's events."""

from __future__ import annotations

from common.events import Error, FullSentence, Notice, Realtime
from gateway.outbox import Queued
from gateway.protocols.base import (
    Heard,
    Partial,
    Refused,
    SpeechStarted,
    SpeechStopped,
    Utterance,
    Word,
)


class Ear:
    """Follows the events of one session that wants to hear of every utterance."""

    def __init__(self) -> None:
        self._failure = ""

    def hear(self, event: Queued) -> Heard | None:
        """What an event means to a translator; None for those that mean nothing."""
        match event:
            case Notice(type="recording_start"):
                return SpeechStarted(event.at_ms or 0)
            case Notice(type="recording_stop"):
                return SpeechStopped(event.at_ms or 0)
            case Realtime():
                return Partial(event.text, event.at_ms or 0)
            case Error(error="transcription_failed"):  # the utterance follows, without text
                self._failure = event.message
                return None
            case Error(action="disconnect"):
                return Refused(event.error, event.message)
            case FullSentence():
                failure, self._failure = self._failure, ""
                start_ms, end_ms = event.start_ms or 0, event.end_ms or 0
                words = tuple(
                    Word(word.word, word.start_ms, word.end_ms, word.probability)
                    for word in event.words
                )
                return Utterance(event.text, start_ms, end_ms, event.utterance, failure, words)
            case _:
                return None
