"""How long a pause ends a sentence, judged by its partial result, as ``stt-server`` does it."""

from __future__ import annotations

from typing import Final

from common.recognition_settings import RecorderSettings

_SENTENCE_ENDS: Final = (".", "!", "?", "。")


class SilenceTiming:
    """Follows the partial results of one session."""

    def __init__(self, options: RecorderSettings) -> None:
        self._options = options
        self._before = ""

    def pause_after(self, text: str) -> float:
        """Seconds of silence that end the recording, now that ``text`` is its partial result."""
        before, self._before = self._before, text
        if _is_incomplete(text):
            return self._options.mid_sentence_detection_pause
        ends = text.endswith(_SENTENCE_ENDS) and before.endswith(_SENTENCE_ENDS)
        if ends and not _is_incomplete(before):
            return self._options.end_of_sentence_detection_pause
        return self._options.unknown_sentence_detection_pause

    def restart(self) -> None:
        """A sentence is complete."""
        self._before = ""


def _is_incomplete(text: str) -> bool:
    return text.endswith("...") or text[:-1].endswith("...")
