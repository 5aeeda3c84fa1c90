"""An engine that recognises nothing, at no cost: for benches, and for tests of all else."""

from __future__ import annotations

from collections.abc import Sequence

from transcriber.engines.base import AudioRequest, Outcome, Transcript


class NullEngine:
    """Answers each request with the number of its samples."""

    name = "null"
    concurrency = 1
    max_batch = 64
    realtime_share = 1.0

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Texts such as ``16000 samples``."""
        return [Transcript(f"{request.audio.size} samples") for request in requests]

    def close(self) -> None:
        """Nothing to release."""
