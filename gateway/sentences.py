"""One session's final results: each shown once, and the latest kept for a client that lost some."""

from __future__ import annotations

from collections import deque
from typing import Final

from common.envelope import Sentence
from common.events import FullSentence, WordTime
from common.receipts.statement import Provenance
from gateway.window import RECORDER_RATE_HZ, START
from gateway.witness import Witness

REMEMBERED_SENTENCES: Final = 64
SAMPLES_PER_MS: Final = RECORDER_RATE_HZ // 1000


class Sentences:
    """Takes in what recorders send, repetitions by a replay among it.

    Args:
        wants_events: the client asked for integrity events.
        wants_utterances: it is told of every utterance, also of those without text.
        witness: says of each what it was heard in; None where nobody asks.

    Attributes:
        count: how many were shown.
    """

    def __init__(
        self, *, wants_events: bool, wants_utterances: bool, witness: Witness | None
    ) -> None:
        self.count = 0
        self._wants_events = wants_events
        self._wants_utterances = wants_utterances
        self._witness = witness
        self._latest: deque[FullSentence] = deque(maxlen=REMEMBERED_SENTENCES)
        self._last_end = -1
        self._last_mark = 0

    def is_new(self, sentence: Sentence) -> bool:
        """Note a final result; whether it is new. What a mark ended is known by the mark."""
        if sentence.mark:
            is_new = sentence.mark > self._last_mark
            self._last_mark = max(self._last_mark, sentence.mark)
        else:
            is_new = sentence.end_sample > self._last_end
        self._last_end = max(self._last_end, sentence.end_sample)
        return is_new

    def show(self, sentence: Sentence) -> FullSentence | None:
        """The event for a new one; None if it is not for this client."""
        marked = sentence.mark and self._wants_events
        if not (sentence.text or self._wants_utterances or marked):
            return None
        shown = self._event(sentence)
        self._latest.append(shown)
        self.count += 1
        return shown

    def _event(self, sentence: Sentence) -> FullSentence:
        if not (self._wants_events or self._wants_utterances):
            return FullSentence(sentence.text)
        commit = sentence.commit if self._wants_events else START
        provenance, record = None, ""
        if self._witness is not None and sentence.text:
            provenance, record = self._witness.sentence(sentence)
        return FullSentence(
            sentence.text,
            commit.seq,
            sentence.start_sample // SAMPLES_PER_MS,
            sentence.end_sample // SAMPLES_PER_MS,
            sentence.mark,
            commit.skip_samples,
            commit.run_samples,
            commit.sample,
            provenance,
            record,
            self._words(sentence) if self._wants_utterances else (),
        )

    @staticmethod
    def _words(sentence: Sentence) -> tuple[WordTime, ...]:
        return tuple(
            WordTime(
                word.text,
                word.start_sample // SAMPLES_PER_MS,
                word.end_sample // SAMPLES_PER_MS,
                word.probability,
            )
            for word in sentence.words
        )

    def missed(self, received: int) -> list[FullSentence]:
        """Those that a client which counted ``received`` of them has not seen."""
        missing = min(max(0, self.count - received), len(self._latest))
        return list(self._latest)[-missing:] if missing else []

    def provenance(self) -> list[Provenance]:
        """Of the latest sentences, oldest first."""
        return [shown.provenance for shown in self._latest if shown.provenance is not None]
