"""A Whisper with random weights, made on the spot on whatever device torch has: for benches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch
from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

from transcriber.engines.base import AudioRequest, Outcome, Transcript
from transcriber.engines.transformers_whisper import TransformersWhisper

TOKENS: Final = 20
"""Of each text: a sentence of three seconds."""
_START: Final = 50_258
_END: Final = 50_257

LARGE_V3_TURBO: Final = {
    "d_model": 1_280,
    "encoder_layers": 32,
    "decoder_layers": 4,
    "encoder_attention_heads": 20,
    "decoder_attention_heads": 20,
    "encoder_ffn_dim": 5_120,
    "decoder_ffn_dim": 5_120,
}
TINY: Final = {
    "d_model": 64,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
}


class Numbers:
    """In place of a tokenizer: a text is the numbers of its tokens."""

    def decode(self, tokens: Sequence[int], **_: Any) -> str:
        """As numbers, parted by blanks."""
        return " ".join(map(str, tokens))

    def get_vocab(self) -> dict[str, int]:
        """The markers of a prompt, where large-v3 has them."""
        return {"<|notimestamps|>": 50_364}


def device() -> str:
    """Where it runs."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def build(*, tiny: bool, max_batch: int = 64, tokens: int = TOKENS) -> TransformersWhisper:
    """An engine of that shape, greedy, whose texts have ``tokens`` tokens each."""
    torch.manual_seed(11)
    config = WhisperConfig(
        vocab_size=51_866,
        num_mel_bins=128,
        decoder_start_token_id=_START,
        bos_token_id=_END,
        eos_token_id=_END,
        pad_token_id=_END,
        **(TINY if tiny else LARGE_V3_TURBO),
    )
    where = device()
    with torch.device(where):
        model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=_END, eos_token_id=_END, pad_token_id=_END, decoder_start_token_id=_START
    )
    model = model.to(torch.float16 if where == "cuda" else torch.float32).eval()
    return TransformersWhisper(
        model,
        Numbers(),
        beam_size=1,
        beam_size_realtime=1,
        max_batch=max_batch,
        forced_tokens=tokens,
    )


class SampleCounter:
    """Runs the model, and answers with the number of samples, by which the bench knows ages."""

    name = "random-whisper"
    concurrency = 1
    realtime_share = 1.0

    def __init__(self, engine: TransformersWhisper) -> None:
        self.max_batch = engine.max_batch
        self.feature_bins = engine.feature_bins
        self._engine = engine

    def transcribe(self, requests: Sequence[AudioRequest]) -> list[Outcome]:
        """Texts such as ``16000 samples``."""
        return [
            outcome
            if isinstance(outcome, Exception)
            else Transcript(f"{request.audio.size} samples")
            for request, outcome in zip(requests, self._engine.transcribe(requests), strict=True)
        ]

    def close(self) -> None:
        """The model goes with its last reference."""
