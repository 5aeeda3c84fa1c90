"""Whisper's log-mel features, computed where there are cores and not where the engine is.

They cost 1 to 20 ms of CPU for 3 to 30 s of audio: one after the other in the engine's thread they
would starve a GPU. Which ones an engine wants it says itself: the number of mel bins, 0 for none.
"""

from __future__ import annotations

import threading
from typing import Any, Final

from transcriber.engines.base import AudioRequest, Features

WINDOW_SAMPLES: Final = 30 * 16_000


class FeatureMaker:
    """Computes the features of requests, on the threads of their sessions.

    Attributes:
        bins: mel bins that the engine wants; 0 for none.
    """

    def __init__(self) -> None:
        self.bins = 0
        self._extractors: dict[int, Any] = {}
        self._lock = threading.Lock()

    def of(self, request: AudioRequest) -> Features | None:
        """The features of a request's audio, (bins, frames); None where there are none to make."""
        bins = self.bins
        if not bins or not 0 < request.audio.size <= WINDOW_SAMPLES:
            return None
        features: Features = self._extractor(bins)(request.audio)[..., :-1]
        return features

    def _extractor(self, bins: int) -> Any:
        with self._lock:
            if bins not in self._extractors:
                from faster_whisper.feature_extractor import FeatureExtractor

                self._extractors[bins] = FeatureExtractor(feature_size=bins)
            return self._extractors[bins]
