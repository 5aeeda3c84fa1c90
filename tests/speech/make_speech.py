"""Makes the WAV files and sentences.json again: `python -m tests.speech.make_speech`.

Needs the `flite` command (Debian: apt-get install flite). The files are kept in the repository, so
tests do not need it. A sentence that is not recognised word for word stops the run.
"""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path
from typing import Final

from pocketsphinx import Decoder

FOLDER: Final = Path(__file__).parent
SPOKEN: Final = {
    "book": "she reads a book before dinner",
    "bread": "they bought fresh bread and butter",
    "bridge": "the new bridge was opened in september",
    "city": "my brother works in the city",
    "coffee": "i would like a cup of coffee",
    "dog": "our neighbor has a big black dog",
    "experiment": "the experiment was a complete success",
    "garden": "the children are playing in the garden",
    "home": "there is no place like home",
    "mountains": "snow covered the mountains last winter",
    "music": "music makes people happy",
    "numbers": "one two three four five six seven",
    "prices": "oil prices fell sharply last week",
    "river": "he walked along the river every evening",
    "ship": "the ship sailed across the ocean",
    "train": "the train leaves at nine in the morning",
}
_SILENCE: Final = bytes(2 * 12_000)  # 0.75 s


def synthesize(text: str, path: Path) -> bytes:
    """Speaks `text` into a WAV file; returns its PCM, int16 LE mono at 16 kHz."""
    subprocess.run(["flite", "-voice", "kal16", "-t", text, "-o", str(path)], check=True)
    with wave.open(str(path)) as wav:
        form = (wav.getframerate(), wav.getnchannels(), wav.getsampwidth())
        if form != (16_000, 1, 2):
            raise ValueError(f"{path}: expected 16 kHz mono 16-bit, got {form}")
        pcm: bytes = wav.readframes(wav.getnframes())
    return pcm


def recognise(decoder: Decoder, pcm: bytes) -> str:
    """What pocketsphinx hears in `pcm` with 0.75 s of silence on both sides."""
    decoder.start_utt()
    decoder.process_raw(_SILENCE + pcm + _SILENCE, full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def main() -> int:
    decoder = Decoder(cmn="batch", loglevel="FATAL")
    rows = {}
    for name, spoken in SPOKEN.items():
        pcm = synthesize(spoken, FOLDER / f"{name}.wav")
        recognised = recognise(decoder, pcm)
        print(f"{name}: {recognised}")
        if recognised != spoken:
            print(f"expected: {spoken}", file=sys.stderr)
            return 1
        rows[name] = {"spoken": spoken, "recognised": recognised, "samples": len(pcm) // 2}
    (FOLDER / "sentences.json").write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
