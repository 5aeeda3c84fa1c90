"""Requests of several sessions in one pass through a Whisper model on CTranslate2.

faster-whisper batches the windows of one recording; here each item of the batch is a recording of
its own, with its own language and prompt: one ``encode`` and one ``generate`` for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_suppressed_tokens

from transcriber.engines.base import AudioRequest, Outcome, Transcript, TranscriptInfo


class WhisperBatch:
    """Transcribes recordings of at most one window (30 s) on a ``faster_whisper.WhisperModel``.

    Decodes as RealtimeSTT has faster-whisper do it: beam search without timestamps, temperature 0.
    """

    def __init__(
        self,
        model: Any,
        *,
        beam_size: int,
        beam_size_realtime: int,
        initial_prompt: str | None,
        suppress_tokens: Sequence[int],
        max_batch: int,
        normalize: bool = False,
    ) -> None:
        self.max_batch = max_batch
        self._model = model
        self._beam_size = beam_size
        self._beam_size_realtime = beam_size_realtime
        self._initial_prompt = initial_prompt
        self._suppress_tokens = list(suppress_tokens)
        self._normalize = normalize
        self._tokenizers: dict[str, Any] = {}
        extractor = model.feature_extractor
        self._frames: int = extractor.nb_max_frames
        self._max_samples: int = extractor.n_samples

    def accepts(self, request: AudioRequest) -> bool:
        """Whether the request fits one window and needs no word timestamps."""
        return 0 < request.audio.size <= self._max_samples and not request.word_timestamps

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe requests that :meth:`accepts`, all partial or none."""
        features = np.stack([self._features(request) for request in requests])
        encoded = self._model.encode(features)
        languages = self._languages(requests, encoded)
        outcomes: dict[int, Outcome] = {}
        prompts: list[list[int]] = []
        tokenizers: list[Any] = []
        for index, (request, info) in enumerate(zip(requests, languages, strict=True)):
            try:
                tokenizer = self._tokenizer(info.language or "en")
            except ValueError as error:  # a language that Whisper does not know
                outcomes[index] = error
                # The encoder's output keeps its rows; what becomes of this one is thrown away.
                tokenizer = self._tokenizer("en")
            tokenizers.append(tokenizer)
            prompts.append(self._prompt(tokenizer, request))
        results = self._model.model.generate(
            encoded,
            prompts,
            beam_size=self._beam_size_realtime if requests[0].realtime else self._beam_size,
            max_length=self._model.max_length,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizers[0], self._suppress_tokens),
            sampling_temperature=0.0,
        )
        for index, (tokenizer, result) in enumerate(zip(tokenizers, results, strict=True)):
            text = tokenizer.decode(result.sequences_ids[0]).strip()
            outcomes.setdefault(index, Transcript(text, languages[index]))
        return [outcomes[index] for index in range(len(requests))]

    def _features(self, request: AudioRequest) -> Any:
        audio = request.audio
        if self._normalize:
            peak = float(np.abs(audio).max())
            audio = audio / peak * np.float32(0.95) if peak > 0 else audio
        # Without the last frame, as faster-whisper does it: it belongs to the padding.
        return pad_or_trim(self._model.feature_extractor(audio)[..., :-1], self._frames)

    def _languages(self, requests: Sequence[AudioRequest], encoded: Any) -> list[TranscriptInfo]:
        if not self._model.model.is_multilingual:
            return [TranscriptInfo("en", 1.0)] * len(requests)
        infos = [TranscriptInfo(request.language, 1.0) for request in requests]
        if all(request.language for request in requests):
            return infos
        for index, found in enumerate(self._model.model.detect_language(encoded)):
            if not requests[index].language:
                token, probability = found[0]
                infos[index] = TranscriptInfo(token[2:-2], probability)
        return infos

    def _tokenizer(self, language: str) -> Any:
        if language not in self._tokenizers:
            self._tokenizers[language] = Tokenizer(
                self._model.hf_tokenizer,
                self._model.model.is_multilingual,
                task="transcribe",
                language=language,
            )
        return self._tokenizers[language]

    def _prompt(self, tokenizer: Any, request: AudioRequest) -> list[int]:
        previous: list[int] = []
        if request.use_prompt and self._initial_prompt:
            previous = tokenizer.encode(self._initial_prompt)
        prompt: list[int] = self._model.get_prompt(tokenizer, previous, without_timestamps=True)
        return prompt
