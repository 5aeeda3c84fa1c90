"""``stt-verify``: check a receipt offline, with a public key, against audio and transcript."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import SttError
from ..wire import printable
from .chain import examine_chain
from .checking import Finding, prove
from .signing import KeyFileError, PublicKey, load_public
from .statement import Bundle, ReceiptError, parse_bundle

EXIT_HOLDS: Final = 0
EXIT_DIFFERS: Final = 1
EXIT_UNREADABLE: Final = 2
RAW: Final = (".pcm", ".raw")
BLOCK_SAMPLES: Final = 1 << 16

EPILOG: Final = """\
exit status: 0 all that was looked at is as the server stated; 1 something is not; 2 it could not
be looked at (a file that cannot be read, no key).

examples:
  stt-verify --key receipts.pub talk.receipt
  stt-verify --key keys/ talk.receipt talk.wav talk.txt
  stt-verify --prove-frame 17 frame17.receipt talk.receipt   # one frame, without the others
  stt-verify --key receipts.pub frame17.receipt frame17.pcm
  stt-verify --key receipts.pub talk.receipt talk.receipt.2 talk.wav   # a gateway died between
"""


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(
        prog="stt-verify",
        description=(__doc__ or "").partition(": ")[2],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add("receipt", type=Path, metavar="RECEIPT", help="file that stt-stream --receipt wrote")
    add(
        "files",
        type=Path,
        metavar="[RECEIPT …] [AUDIO] [TRANSCRIPT]",
        nargs="*",
        help="receipts of the sessions that went on with the stream; what was streamed: an audio "
        "file, or raw int16 mono samples as .pcm or .raw; the text, one sentence a line",
    )
    add(
        "--key",
        type=Path,
        action="append",
        default=[],
        metavar="FILE|DIR",
        help="public key of the server, or a folder with its keys, old ones included (*.pub)",
    )
    one = result.add_mutually_exclusive_group()
    for kind in ("frame", "sentence"):
        one.add_argument(
            f"--prove-{kind}",
            nargs=2,
            metavar=("N", "OUT"),
            help=f"write a receipt of one {kind} to OUT, which shows nothing of the others",
        )
    add("--json", action="store_true", help="print what was found as JSON")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is described in the help text."""
    options = parser().parse_args(argv)
    try:
        return _run(options)
    except (OSError, ValueError, RecursionError, SttError) as error:
        print(f"stt-verify: {printable(str(error))}", file=sys.stderr)
        return EXIT_UNREADABLE


def _run(options: argparse.Namespace) -> int:
    bundle = _bundle(options.receipt)
    more, audio, transcript = _sorted(options.files)
    for kind in ("frame", "sentence"):
        if wanted := getattr(options, f"prove_{kind}"):
            number, out = wanted
            if not number.isdecimal():
                raise ReceiptError(f"--prove-{kind} expects a number, got {number!r}")
            Path(out).write_bytes(msgspec.json.encode(prove(bundle, kind, int(number))))
            return EXIT_HOLDS
    keys: dict[str, PublicKey] = {}
    for path in options.key:
        keys |= load_public(path)
    if not keys:
        raise KeyFileError("name the server's public key with --key")
    findings = examine_chain(
        [bundle, *more],
        keys,
        samples_of(audio) if audio else None,
        transcript.read_bytes() if transcript else None,
    )
    _show(findings, as_json=options.json)
    return EXIT_HOLDS if all(finding.holds for finding in findings) else EXIT_DIFFERS


def _sorted(files: Sequence[Path]) -> tuple[list[Bundle], Path | None, Path | None]:
    """The further receipts, the audio and the transcript among the files after the first.

    Raises:
        ReceiptError: a file looks like a receipt and is none, or there are too many.
    """
    count = 0
    while count < len(files) and files[count].suffix not in RAW and _may_be_receipt(files[count]):
        count += 1
    audio, transcript, *others = [*files[count:], None, None]
    if any(others):
        raise ReceiptError(f"{files[count]} is no receipt, and {len(files) - count} files follow")
    return [_bundle(file) for file in files[:count]], audio, transcript


def _bundle(path: Path) -> Bundle:
    """The receipt in a file.

    Raises:
        ReceiptError: it holds none; the message names it.
    """
    try:
        return parse_bundle(path.read_bytes())
    except ReceiptError as error:
        raise ReceiptError(f"{path} is {error}") from None


def _may_be_receipt(path: Path) -> bool:
    """Whether it is JSON, as no audio is."""
    with path.open("rb") as file:
        return file.read(64).lstrip().startswith(b"{")


def _show(findings: Sequence[Finding], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps([finding._asdict() for finding in findings], indent=2))
        return
    for finding in findings:
        print(f"[{'OK' if finding.holds else 'FAIL'}] {printable(finding.text)}")


def samples_of(path: Path) -> bytes:
    """int16 LE mono samples of an audio file, as ``stt-stream`` would send them.

    Raises:
        OSError, AudioFileError: it cannot be read.
    """
    if path.suffix in RAW:
        return path.read_bytes()
    from ..client.audio import AudioFile

    with AudioFile(path) as audio:
        return b"".join(audio.blocks(BLOCK_SAMPLES))


if __name__ == "__main__":
    sys.exit(main())
