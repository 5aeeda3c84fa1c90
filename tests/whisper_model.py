"""A tiny Whisper with random weights, made offline in a few seconds, 2 MB.

It babbles a few letters, always the same for the same audio and others for other audio: enough to
test the code that loads and runs faster-whisper models, without a download. Another one knows
several languages, and babbles short words.
Command line: `python -m tests.whisper_model DIR` makes both, `DIR/english` and `DIR/multilingual`.
"""

from __future__ import annotations

import fcntl
import os
import string
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import pytest

_SEED: Final = 7
_WIDTH: Final = 64
LANGUAGES: Final = ("en", "de", "fr", "es", "it")
_END: Final = "<|endoftext|>"
_MARKERS: Final = (
    _END,
    "<|startoftranscript|>",
    *(f"<|{language}|>" for language in LANGUAGES),
    "<|translate|>",
    "<|transcribe|>",
    "<|startoflm|>",
    "<|startofprev|>",
    "<|nospeech|>",
    "<|notimestamps|>",  # timestamps follow it, as faster-whisper expects
)
_TIMESTAMPS: Final = 1501  # 0.00 to 30.00 s in steps of 0.02 s
_BYTES: Final = 256
_MULTILINGUAL: Final = ""
"""The token by which CTranslate2 knows a model that knows several languages."""
_BEGINNINGS: Final = tuple(f"Ġ{letter}" for letter in string.ascii_lowercase)
"""First letters of words: what no encoder yields, as there are no merges."""


def tiny_whispers(factory: pytest.TempPathFactory) -> Path:
    """A folder with both models, which whoever of a test run's workers comes first makes.

    In a process of its own: torch and transformers would stay in a worker's memory.
    """
    ours = factory.getbasetemp()
    folder = (ours.parent if "PYTEST_XDIST_WORKER" in os.environ else ours) / "tiny-whispers"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            making = folder.with_suffix(".making")
            command = [sys.executable, "-m", "tests.whisper_model", str(making)]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=200)
            making.rename(folder)
    return folder


def build_tiny_whisper(directory: Path, multilingual: bool = False) -> Path:
    """Writes a CTranslate2 Whisper model into `directory` and returns it.

    The directory may exist; it can then be given to faster-whisper (and so to RealtimeSTT) as the
    model's path. Needs `transformers` and `tokenizers`; touches no network.
    """
    from ctranslate2.converters import TransformersConverter
    from transformers import WhisperFeatureExtractor

    with tempfile.TemporaryDirectory(prefix="tiny-whisper-") as scratch:
        build_tiny_transformers(Path(scratch), multilingual)
        WhisperFeatureExtractor().save_pretrained(scratch)
        extractor = Path(scratch, "preprocessor_config.json")
        if not extractor.exists():  # the name that transformers 5 gives it
            Path(scratch, "processor_config.json").rename(extractor)
        converter = TransformersConverter(
            scratch, copy_files=["tokenizer.json", "preprocessor_config.json"]
        )
        converter.convert(str(directory), force=True)
    return directory


def build_tiny_transformers(
    directory: Path, multilingual: bool = False, window_s: int = 30
) -> Path:
    """Writes the same model as transformers loads it into `directory`, and returns it.

    Args:
        window_s: audio that it hears at once; the less, the cheaper it is to run.
    """
    vocabulary = _save_tokenizer(str(directory), multilingual)
    _save_weights(str(directory), vocabulary, window_s)
    return directory


def _save_tokenizer(scratch: str, multilingual: bool) -> dict[str, int]:
    """Writes a byte-level tokenizer with Whisper's markers; returns its vocabulary."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = sorted(pre_tokenizers.ByteLevel.alphabet())
    if multilingual:
        tokens += [*_BEGINNINGS, _MULTILINGUAL]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(marker, special=True) for marker in _MARKERS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=_END, eos_token=_END, unk_token=_END, pad_token=_END
    )
    fast.save_pretrained(scratch)
    return dict(tokenizer.get_vocab())


def _save_weights(scratch: str, vocabulary: dict[str, int], window_s: int) -> None:
    """Writes a random Whisper whose output is steered towards letters and an early end."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    torch.manual_seed(_SEED)
    end = vocabulary[_END]
    config = WhisperConfig(
        vocab_size=len(vocabulary) + _TIMESTAMPS,
        d_model=_WIDTH,
        max_source_positions=50 * window_s,
        encoder_layers=2,
        decoder_layers=2,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=2 * _WIDTH,
        decoder_ffn_dim=2 * _WIDTH,
        init_std=0.3,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=vocabulary["<|startoftranscript|>"],
    )
    model = WhisperForConditionalGeneration(config)

    said = [*string.ascii_lowercase, *_BEGINNINGS]
    letters = [vocabulary[token] for token in said if token in vocabulary]
    decoder, output = model.model.decoder, model.proj_out.weight
    with torch.no_grad():
        # Audio and position outweigh the previous letter, so that the text does not run in circles;
        # clear-cut decisions keep faster-whisper from falling back to random sampling.
        for layer in decoder.layers:
            layer.encoder_attn.out_proj.weight *= 16
        decoder.embed_positions.weight *= 4
        decoder.layer_norm.weight *= 10
        output[letters] /= output[letters].norm(dim=1, keepdim=True) / 2
        # Dimension 0 is constant after the last layer norm: there a token's weight is its bias.
        decoder.layer_norm.weight[0] = 0.0
        decoder.layer_norm.bias[0] = 1.0
        output[:, 0] = -500.0
        output[letters, 0] = 0.0
        # Dimension 1 grows with the position: the end comes after ten to twenty letters.
        decoder.embed_positions.weight[:, 1] = 10.0 * (torch.arange(448) - 10)
        output[:, 1] = 0.0
        output[end] = 0.0
        output[end, 1] = 8.0
    languages = {f"<|{name}|>": vocabulary[f"<|{name}|>"] for name in LANGUAGES}
    model.generation_config = GenerationConfig(
        **({"lang_to_id": languages} if _MULTILINGUAL in vocabulary else {}),
        suppress_tokens=sorted(set(range(_BYTES)) - set(letters)),
        begin_suppress_tokens=[end],
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=vocabulary["<|startoftranscript|>"],
    )
    model.save_pretrained(scratch)


if __name__ == "__main__":
    for name in ("english", "multilingual"):
        print(build_tiny_whisper(Path(sys.argv[1], name), name == "multilingual"))
