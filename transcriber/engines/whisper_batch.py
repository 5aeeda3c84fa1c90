"""Requests of several sessions in one pass through a Whisper model on CTranslate2.

faster-whisper batches the windows of one recording; here each item of the batch is a recording of
its own, with its own language and prompt: one ``encode`` and one ``generate`` for all whose prompts
are equally long. Each item is then judged as faster-whisper judges the window of a single call; one
that would be tried again there (too unlikely, too repetitive), or that has more words than its
length suggests, goes on alone and does not hold up the others.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from faster_whisper.audio import pad_or_trim
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, get_suppressed_tokens

from common.logs import LogBudget
from transcriber.engines.base import AudioRequest, Features, Outcome, Transcript, TranscriptInfo
from transcriber.engines.word_alignment import Item, WordAligner

log = logging.getLogger(__name__)

TOKENS_AT_LEAST: Final = 16
TOKENS_PER_S: Final = 10
"""More than is spoken; what overruns it is transcribed again, alone."""


class Thresholds(NamedTuple):
    """What faster-whisper accepts at temperature 0; these are its defaults."""

    compression_ratio: float = 2.4
    log_probability: float = -1.0
    no_speech: float = 0.6


class Decoded(NamedTuple):
    """One item as a batch decoded it."""

    tokens: list[int]
    log_probability: float
    no_speech: float


class Spoken(NamedTuple):
    """What was said in one recording."""

    text: str
    info: TranscriptInfo
    tokens: list[int]


class WhisperBatch:
    """Transcribes recordings of at most one window (30 s) on a ``faster_whisper.WhisperModel``.

    Decodes as RealtimeSTT has faster-whisper do it: beam search without timestamps.
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
        thresholds: Thresholds | None = None,
    ) -> None:
        self.max_batch = max_batch
        self._model = model
        self._beam_size = beam_size
        self._beam_size_realtime = beam_size_realtime
        self._initial_prompt = initial_prompt
        self._suppress_tokens = list(suppress_tokens)
        self._normalize = normalize
        self._thresholds = thresholds or Thresholds()
        self._tokenizers: dict[str, Any] = {}
        self._aligner = WordAligner(model, self._tokenizer)
        self._complaints = LogBudget(3, 0.1)
        extractor = model.feature_extractor
        self._frames: int = extractor.nb_max_frames
        self._max_samples: int = extractor.n_samples
        # What others may compute for it is of the samples as they are.
        self.feature_bins = 0 if normalize else int(extractor.mel_filters.shape[0])

    def accepts(self, request: AudioRequest) -> bool:
        """Whether the request fits one window."""
        return 0 < request.audio.size <= self._max_samples

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe requests that :meth:`accepts`, all partial or none."""
        outcomes: dict[int, Outcome] = {}
        for indices in self._groups(requests):
            group = self._transcribe_group([requests[index] for index in indices])
            outcomes.update(zip(indices, group, strict=True))
        return [outcomes[index] for index in range(len(requests))]

    def alone(self, request: AudioRequest) -> Spoken:
        """A single call of faster-whisper, with its retries at higher temperatures."""
        segments, info = self._model.transcribe(
            self._samples(request),
            language=request.language,
            beam_size=self._beam(request),
            initial_prompt=self._initial_prompt if request.use_prompt else None,
            suppress_tokens=self._suppress_tokens,
            without_timestamps=True,
            condition_on_previous_text=False,
            compression_ratio_threshold=self._thresholds.compression_ratio,
            log_prob_threshold=self._thresholds.log_probability,
            no_speech_threshold=self._thresholds.no_speech,
        )
        said = list(segments)
        return Spoken(
            " ".join(segment.text for segment in said).strip(),
            TranscriptInfo(info.language, info.language_probability),
            [token for segment in said for token in segment.tokens],
        )

    def decode(
        self, requests: Sequence[AudioRequest], languages: Sequence[str], encoded: Any
    ) -> list[Decoded]:
        """What the model makes of encoded requests whose prompts are equally long."""
        tokenizers = [self._tokenizer(language) for language in languages]
        prompts = [
            self._prompt(tokenizer, request)
            for tokenizer, request in zip(tokenizers, requests, strict=True)
        ]
        results = self._model.model.generate(
            encoded,
            prompts,
            beam_size=self._beam(requests[0]),
            max_length=self._max_length(prompts[0], requests),
            return_scores=True,
            return_no_speech_prob=True,
            suppress_blank=True,
            suppress_tokens=get_suppressed_tokens(tokenizers[0], self._suppress_tokens),
            sampling_temperature=0.0,
        )
        return [_decoded(result) for result in results]

    def _transcribe_group(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        made = [self._features_of(request) for request in requests]
        encoded = self._model.encode(
            np.stack([pad_or_trim(features, self._frames) for features in made])
        )
        infos = self._languages(requests, encoded)
        unknown: dict[int, Exception] = {}
        languages = []
        for index, info in enumerate(infos):
            language = info.language or "en"
            try:
                self._tokenizer(language)
            except ValueError as error:  # a language that Whisper does not know
                unknown[index] = error
                # The encoder's output keeps its rows; what becomes of this one is thrown away.
                language = "en"
            languages.append(language)
        room = self._room(requests)
        spoken = [
            unknown.get(index)
            or self._judged(requests[index], infos[index], languages[index], decoded, room)
            for index, decoded in enumerate(self.decode(requests, languages, encoded))
        ]
        items = [
            Item(
                each.tokens if request.word_timestamps and isinstance(each, Spoken) else [],
                language,
                min(features.shape[-1], self._frames),
            )
            for request, each, language, features in zip(
                requests, spoken, languages, made, strict=True
            )
        ]
        return [
            Transcript(each.text, each.info, {"words": words} if words else {})
            if isinstance(each, Spoken)
            else each
            for each, words in zip(spoken, self._words(items, encoded), strict=True)
        ]

    def _words(self, items: Sequence[Item], encoded: Any) -> list[list[dict[str, Any]]]:
        """When the words were said; a model that cannot tell says the text all the same."""
        try:
            return self._aligner.words(items, encoded)
        except RuntimeError as error:
            if self._complaints.allow(time.monotonic()):
                log.warning("the times of words cannot be had of this model: %s", error)
            return [[] for _ in items]

    def _judged(
        self,
        request: AudioRequest,
        info: TranscriptInfo,
        language: str,
        decoded: Decoded,
        room: int,
    ) -> Spoken | Exception:
        """The text of an item, from a call of its own if the batch's is not good enough."""
        text = self._tokenizer(language).decode(decoded.tokens).strip()
        if not request.realtime:  # a partial is soon replaced by a better one
            limits = self._thresholds
            is_unlikely = decoded.log_probability < limits.log_probability
            if is_unlikely and decoded.no_speech > limits.no_speech:
                return Spoken("", info, [])
            is_repetitive = get_compression_ratio(text) > limits.compression_ratio
            if is_unlikely or is_repetitive or len(decoded.tokens) >= room - 1:
                try:
                    return self.alone(request)
                except Exception as error:  # of this request alone
                    return error
        return Spoken(text, info, decoded.tokens)

    def _groups(self, requests: Sequence[AudioRequest]) -> Iterable[list[int]]:
        """Indices of requests whose start-of-transcript token stands at the same position."""
        with_prompt = [i for i, request in enumerate(requests) if self._previous(request)]
        without = [i for i, request in enumerate(requests) if not self._previous(request)]
        return [indices for indices in (with_prompt, without) if indices]

    def _beam(self, request: AudioRequest) -> int:
        return self._beam_size_realtime if request.realtime else self._beam_size

    def _room(self, requests: Sequence[AudioRequest]) -> int:
        """Tokens that the longest of the requests may have."""
        longest_s = max(request.audio.size for request in requests) / 16_000
        return TOKENS_AT_LEAST + math.ceil(TOKENS_PER_S * longest_s)

    def _max_length(self, prompt: list[int], requests: Sequence[AudioRequest]) -> int:
        # CTranslate2 leaves half of it to the text, or what the prompt leaves, whichever is less.
        room = self._room(requests)
        return min(int(self._model.max_length), max(2 * room, len(prompt) + room))

    def _samples(self, request: AudioRequest) -> Any:
        audio = request.audio
        if self._normalize:
            peak = float(np.abs(audio).max())
            audio = audio / peak * np.float32(0.95) if peak > 0 else audio
        return audio

    def _features_of(self, request: AudioRequest) -> Features:
        found = request.features
        if found is None:
            # Without the last frame, as faster-whisper does it: it belongs to the padding.
            found = self._model.feature_extractor(self._samples(request))[..., :-1]
        return found

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

    def _previous(self, request: AudioRequest) -> str:
        return (self._initial_prompt or "") if request.use_prompt else ""

    def _prompt(self, tokenizer: Any, request: AudioRequest) -> list[int]:
        text = self._previous(request)
        # As a single call encodes it.
        previous = tokenizer.encode(" " + text.strip()) if text else []
        prompt: list[int] = self._model.get_prompt(tokenizer, previous, without_timestamps=True)
        return prompt


def _decoded(result: Any) -> Decoded:
    tokens = result.sequences_ids[0]
    # The score is the mean over the tokens; faster-whisper counts the end as one more.
    log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
    return Decoded(tokens, log_probability, result.no_speech_prob)
