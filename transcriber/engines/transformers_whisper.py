"""Whisper on torch, by transformers: requests of several sessions in one pass.

For GPUs that CTranslate2 has no wheel for, and models that were not converted. The rules are those
of :mod:`transcriber.engines.whisper_batch`: one ``encode`` for all, one ``generate`` for those with
equally long prompts; each item is judged for itself, and one that would be tried again goes on
alone. Loading is in :mod:`transcriber.engines.transformers_engine`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from faster_whisper.transcribe import get_compression_ratio
from transformers import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput

from transcriber.engines.base import AudioRequest, Features, Outcome, Transcript, TranscriptInfo
from transcriber.engines.features import WINDOW_SAMPLES, FeatureMaker
from transcriber.engines.whisper_batch import TOKENS_AT_LEAST, TOKENS_PER_S, Thresholds

TEMPERATURES: Final = (0.2, 0.4, 0.6, 0.8, 1.0)
"""At which what is not good enough is tried again, alone."""
FLOOR: Final = 2.0
"""Whisper's features reach this far below their peak: what silence has."""


class Decoded(NamedTuple):
    """One item as a call decoded it."""

    tokens: list[int]
    log_probability: float
    """Mean over its tokens; 0 for partials, of which nobody asks."""
    is_cut: bool
    """It ran out of room."""


class TransformersWhisper:
    """Transcribes recordings of at most one window (30 s), several in a call.

    Args:
        model: a ``WhisperForConditionalGeneration`` where it is to run.
        tokenizer: the model's.
        forced_tokens: each text has exactly so many, whatever the model says: for benches.
    """

    name = "transformers_whisper"
    concurrency = 1

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        beam_size: int = 5,
        beam_size_realtime: int = 3,
        initial_prompt: str = "",
        max_batch: int = 16,
        realtime_share: float = 1.0,
        thresholds: Thresholds | None = None,
        forced_tokens: int = 0,
    ) -> None:
        self.max_batch = max_batch
        self.realtime_share = realtime_share
        self.feature_bins = int(model.config.num_mel_bins)
        self._model = model
        self._tokenizer = tokenizer
        self._beams = {False: beam_size, True: beam_size_realtime}
        self._initial_prompt = initial_prompt
        self._thresholds = thresholds or Thresholds()
        self._forced_tokens = forced_tokens
        self._features = FeatureMaker()
        self._features.bins = self.feature_bins
        self._frames = 2 * int(model.config.max_source_positions)
        self._positions = int(model.config.max_target_positions)
        self._start = int(model.config.decoder_start_token_id)
        self._end = int(model.config.eos_token_id)
        self._languages = self._known_languages()

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Transcribe ``requests``, all partial or none, together those whose prompts allow it."""
        outcomes: dict[int, Outcome] = {}
        with torch.inference_mode():
            for indices in self._groups(requests, outcomes):
                group = self._transcribe_group([requests[index] for index in indices])
                outcomes.update(zip(indices, group, strict=True))
        return [outcomes[index] for index in range(len(requests))]

    def close(self) -> None:
        """The model goes with its last reference."""

    def _groups(
        self, requests: Sequence[AudioRequest], outcomes: dict[int, Outcome]
    ) -> list[list[int]]:
        """Indices of requests with equally long prompts; what cannot be done is an outcome."""
        groups: dict[bool, list[int]] = {}
        for index, request in enumerate(requests):
            if not 0 < request.audio.size <= WINDOW_SAMPLES:
                seconds = request.audio.size / 16_000
                outcomes[index] = ValueError(f"{seconds:.1f} s of audio: one window has 30")
            elif request.language and self._languages and request.language not in self._languages:
                outcomes[index] = ValueError(f"the model does not know language {request.language}")
            else:
                groups.setdefault(request.use_prompt, []).append(index)
        return list(groups.values())

    def _transcribe_group(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        encoded = self._encode(requests)
        infos, silences = self._look(requests, encoded)
        prompts = [
            self._prompt(request, info) for request, info in zip(requests, infos, strict=True)
        ]
        room = self._room(requests)
        return [
            self._judged(request, info, silence, prompt, decoded, encoded[index : index + 1])
            for index, (request, info, silence, prompt, decoded) in enumerate(
                zip(
                    requests,
                    infos,
                    silences,
                    prompts,
                    self._decode(encoded, prompts, room, requests[0].realtime),
                    strict=True,
                )
            )
        ]

    def _judged(
        self,
        request: AudioRequest,
        info: TranscriptInfo,
        silence: float,
        prompt: list[int],
        decoded: Decoded,
        encoded: torch.Tensor,
    ) -> Outcome:
        """The text of an item, from calls of its own if the batch's is not good enough."""
        if request.realtime or self._forced_tokens:
            return self._transcript(decoded, info)
        limits = self._thresholds
        if decoded.log_probability < limits.log_probability and silence > limits.no_speech:
            return Transcript("", info)
        if decoded.is_cut:
            decoded = self._decode(encoded, [prompt], self._positions, realtime=False)[0]
        for temperature in TEMPERATURES:
            if self._is_good(decoded):
                break
            decoded = self._decode(encoded, [prompt], self._positions, False, temperature)[0]
        return self._transcript(decoded, info)

    def _is_good(self, decoded: Decoded) -> bool:
        text = self._text(decoded)
        is_repetitive = bool(text) and (
            get_compression_ratio(text) > self._thresholds.compression_ratio
        )
        return decoded.log_probability >= self._thresholds.log_probability and not is_repetitive

    def _encode(self, requests: Sequence[AudioRequest]) -> torch.Tensor:
        features = np.stack([self._padded(request) for request in requests])
        inputs = torch.from_numpy(features).to(self._model.device, self._model.dtype)
        hidden: torch.Tensor = self._model.get_encoder()(inputs).last_hidden_state
        return hidden

    def _padded(self, request: AudioRequest) -> Features:
        """The features of a whole window, silent after the audio."""
        found = request.features
        if found is None:
            found = self._features.of(request)
        assert found is not None
        missing = self._frames - found.shape[-1]
        silence = float(found.max()) - FLOOR
        padded: Features = np.pad(
            found[:, : self._frames], ((0, 0), (0, max(0, missing))), constant_values=silence
        )
        return padded

    def _look(
        self, requests: Sequence[AudioRequest], encoded: torch.Tensor
    ) -> tuple[list[TranscriptInfo], list[float]]:
        """Each item's language, and how likely it is that nobody speaks."""
        infos = [TranscriptInfo(request.language or "en", 1.0) for request in requests]
        must_detect = bool(self._languages) and not all(request.language for request in requests)
        if requests[0].realtime and not must_detect:
            return infos, [0.0] * len(requests)
        start = torch.full((len(requests), 1), self._start, device=encoded.device)
        logits = (
            self._model(
                encoder_outputs=BaseModelOutput(last_hidden_state=encoded), decoder_input_ids=start
            )
            .logits[:, -1]
            .float()
        )
        silent = self._token("<|nospeech|>", "<|nocaptions|>")
        silences = logits.softmax(-1)[:, silent].tolist() if silent else [0.0] * len(requests)
        if must_detect:
            names = list(self._languages)
            chances = logits[:, list(self._languages.values())].softmax(-1)
            best = chances.max(-1)
            for index, request in enumerate(requests):
                if not request.language:
                    language = names[int(best.indices[index])]
                    infos[index] = TranscriptInfo(language, float(best.values[index]))
        return infos, silences

    def _decode(
        self,
        encoded: torch.Tensor,
        prompts: Sequence[list[int]],
        room: int,
        realtime: bool,
        temperature: float = 0.0,
    ) -> list[Decoded]:
        beams = 1 if temperature else self._beams[realtime]
        length = len(prompts[0])
        most = self._forced_tokens or min(room, self._positions - length)
        config = GenerationConfig.from_dict(self._model.generation_config.to_dict())
        config.update(
            num_beams=beams,
            do_sample=bool(temperature),
            temperature=temperature or None,
            max_new_tokens=most,
            min_new_tokens=self._forced_tokens or None,
            max_length=None,
            return_dict_in_generate=True,
            output_scores=not realtime and not self._forced_tokens,
            forced_decoder_ids=None,
        )
        found = GenerationMixin.generate(
            self._model,
            generation_config=config,
            encoder_outputs=BaseModelOutput(last_hidden_state=encoded),
            decoder_input_ids=torch.tensor(prompts, device=encoded.device),
        )
        log_probabilities = [0.0] * len(prompts)
        if found.get("scores"):
            steps = self._model.compute_transition_scores(
                found.sequences,
                found.scores,
                found.get("beam_indices"),
                normalize_logits=beams == 1,
            )
            log_probabilities = _means(steps)
        rows = found.sequences[:, length:].tolist()
        return [
            self._decoded(row, log_probability, most)
            for row, log_probability in zip(rows, log_probabilities, strict=True)
        ]

    def _decoded(self, row: list[int], log_probability: float, most: int) -> Decoded:
        ended = self._end in row
        tokens = row[: row.index(self._end)] if ended else row
        return Decoded(tokens, log_probability, is_cut=not ended and len(row) >= most)

    def _prompt(self, request: AudioRequest, info: TranscriptInfo) -> list[int]:
        """As Whisper was trained: what came before, then the task."""
        prompt: list[int] = []
        if request.use_prompt and self._initial_prompt:
            words = self._tokenizer.encode(
                " " + self._initial_prompt.strip(), add_special_tokens=False
            )
            previous = self._token("<|startofprev|>")
            prompt += [*([previous] if previous else []), *words[-(self._positions // 2 - 1) :]]
        prompt.append(self._start)
        if self._languages:
            prompt.append(self._languages[info.language or "en"])
            prompt.append(self._token("<|transcribe|>") or self._start)
        no_timestamps = self._token("<|notimestamps|>")
        return [*prompt, no_timestamps] if no_timestamps else prompt

    def _room(self, requests: Sequence[AudioRequest]) -> int:
        longest_s = max(request.audio.size for request in requests) / 16_000
        return TOKENS_AT_LEAST + math.ceil(TOKENS_PER_S * longest_s)

    def _transcript(self, decoded: Decoded, info: TranscriptInfo) -> Transcript:
        return Transcript(self._text(decoded), info)

    def _text(self, decoded: Decoded) -> str:
        text: str = self._tokenizer.decode(decoded.tokens, skip_special_tokens=True)
        return text.strip()

    def _token(self, *names: str) -> int | None:
        """The number of the first of these markers that the model has."""
        vocabulary = self._tokenizer.get_vocab()
        return next((vocabulary[name] for name in names if name in vocabulary), None)

    def _known_languages(self) -> dict[str, int]:
        """Tokens of languages by their codes; none of a model that knows English only."""
        found = getattr(self._model.generation_config, "lang_to_id", None) or {}
        return {name.strip("<|>"): number for name, number in found.items()}


def _means(steps: torch.Tensor) -> list[float]:
    """Mean over each row's tokens: what follows the end counts as 0 and not as a token."""
    counted = (steps != 0) & torch.isfinite(steps)
    sums = torch.where(counted, steps, torch.zeros_like(steps)).sum(-1)
    means: list[float] = (sums / counted.sum(-1).clamp(min=1)).tolist()
    return means
