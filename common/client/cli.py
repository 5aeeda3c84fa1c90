"""``stt-stream``: stream an audio file, or raw PCM on standard input, and show what comes back."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ..errors import CommandError
from ..integrity import Algorithm
from ..receipts.statement import Bundle, parse_sentence
from ..wire import MAX_SAMPLE_RATE_HZ, MIN_SAMPLE_RATE_HZ, Parameter
from .audio import AudioFile, AudioFileError
from .control import DEFAULT_CONTROL_URL, ControlClient
from .errors import RejectedError, StreamError
from .frames import OnTheLine, flip_bit
from .sentence_view import OutputFormat, SentenceView
from .standard_input import StandardInput
from .stream import DEFAULT_URL, Stream, connect
from .view import JsonView, LiveView, PlainView, View

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
EXIT_REJECTED: Final = 3
EXIT_NO_SERVER: Final = 4
EXIT_INTERRUPTED: Final = 130

EPILOG: Final = """\
exit status: 0 all was transcribed; 2 wrong usage, or no audio; 3 the server rejected the stream for
corruption; 4 no server, or the connection was lost for good; 130 interrupted (once: what was sent
is transcribed first; twice: at once).

examples:
  stt-stream speech.wav
  stt-stream --fast --json speech.flac
  stt-stream --fast --format srt talk.mp3 > talk.srt
  arecord -t raw -f S16_LE -r 16000 -c 1 | stt-stream -
  ffmpeg -i film.mkv -ac 1 -f wav - | stt-stream -
  stt-stream --corrupt 10 speech.wav     # damage every tenth frame and see it caught
"""


def parser() -> argparse.ArgumentParser:
    """The options."""
    result = argparse.ArgumentParser(
        prog="stt-stream",
        description=(__doc__ or "").partition(": ")[2],
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = result.add_argument
    add(
        "file",
        metavar="FILE|-",
        help="audio file, or - for standard input: raw int16 mono PCM, or a 16-bit WAV file",
    )
    add("--url", default=DEFAULT_URL, help="data port of the server [%(default)s]")
    speed = result.add_mutually_exclusive_group()
    speed.add_argument(
        "--pace", type=_positive, default=1.0, help="times real time, for files [%(default)s]"
    )
    speed.add_argument("--fast", action="store_true", help="as fast as the server takes it")
    add(
        "--rate",
        type=_sample_rate,
        default=16_000,
        help="sample rate of raw PCM (-, *.raw, *.pcm), in Hz [%(default)s]",
    )
    add(
        "--chunk",
        type=_samples,
        default=2048,
        metavar="SAMPLES",
        help="samples per frame [%(default)s]",
    )
    add(
        "--algorithm",
        type=Algorithm,
        choices=list(Algorithm),
        default=Algorithm.ADDITIVE,
        help="checksum algorithm [%(default)s]",
    )
    add("--key-file", type=Path, help="file with the key of hmac-sha256")
    add(
        "--api-key-file",
        type=Path,
        help="file with the API key, for servers that ask for one [STT_API_KEY]",
    )
    add("--ca", default="", metavar="FILE", help="certificates to trust, for wss:// [the system's]")
    fault = result.add_mutually_exclusive_group()
    fault.add_argument(
        "--corrupt", type=_samples, metavar="N", help="damage every Nth frame for good"
    )
    fault.add_argument(
        "--damage",
        type=_samples,
        metavar="N",
        help="damage every Nth frame on its way only: asked for again, it heals",
    )
    add(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="set a parameter of the recorder first",
    )
    add("--control-url", default=DEFAULT_CONTROL_URL, help="control port, for --set [%(default)s]")
    output = result.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print events as JSON lines")
    output.add_argument(
        "--format",
        choices=list(OutputFormat),
        help="print the sentences alone, as they are heard: as text or subtitles; json is --json",
    )
    output.add_argument(
        "--plain", action="store_true", help="print lines, one a frame, even on a terminal"
    )
    add("--quiet", action="store_true", help="with --plain: no lines for good frames")
    add(
        "--receipt",
        type=Path,
        metavar="FILE",
        help="ask for a receipt, write it to FILE and the transcript beside it as FILE.txt",
    )
    add("--audio", action="store_true", help="with --json: the audio of each sentence too")
    return result


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; the exit status is described in the help text."""
    options = parser().parse_args(argv)
    logging.basicConfig(format="stt-stream: %(message)s", level=logging.WARNING)
    logging.getLogger("websockets").setLevel(logging.ERROR)
    try:
        return asyncio.run(_run(options))
    except InterruptedError as error:
        return _complain(error, EXIT_INTERRUPTED)
    except (OSError, ValueError, AudioFileError, CommandError) as error:
        return _complain(error, EXIT_USAGE)
    except KeyboardInterrupt:  # before there was a stream to end
        return EXIT_INTERRUPTED


async def _run(options: argparse.Namespace) -> int:
    # Audio that cannot be read, or a receipt that cannot be written, should not first connect.
    if options.receipt is not None:
        _check_writable(options.receipt)
    source = await StandardInput.open(options.rate) if options.file == "-" else None
    seconds = None if source else _seconds(options)
    key = options.key_file.read_bytes().strip() if options.key_file else b""
    settings = dict(recorder_setting(text) for text in options.set)
    view = _view(options)
    api_key = _api_key(options.api_key_file)
    stream = connect(
        options.url,
        api_key=api_key,
        authorities=options.ca,
        sample_rate_hz=options.rate,
        algorithm=options.algorithm,
        key=key,
        chunk_samples=options.chunk,
        receipt=options.receipt is not None,
        on_event=view.show,
    )
    try:
        async with stream:
            view.attach(stream, seconds)
            try:
                interrupted = await _converse(stream, source, options, settings)
            finally:
                view.close()
        status = EXIT_INTERRUPTED if interrupted else EXIT_OK
    except RejectedError as error:
        status = _complain(error, EXIT_REJECTED)
    except (AudioFileError, CommandError):
        raise
    except (StreamError, TimeoutError) as error:
        status = _complain(error, EXIT_NO_SERVER)
    view.report(stream.report)
    if options.receipt is not None and not _write_receipts(options.receipt, stream.receipts):
        none = StreamError("the server gave no receipt: it does where it runs with --receipts")
        return status or _complain(none, EXIT_NO_SERVER)
    return status


def _check_writable(path: Path) -> None:
    """Before any audio is sent.

    Raises:
        OSError: no receipt can be written there.
    """
    folder = path.parent
    if path.is_dir():
        why = "Is a directory"
    elif not folder.is_dir():
        why = f"{folder} is no directory"
    elif not os.access(path if path.exists() else folder, os.W_OK):
        why = "Permission denied"
    else:
        return
    raise OSError(f"cannot write the receipt to {path}: {why}")


def _write_receipts(path: Path, bundles: list[Bundle]) -> bool:
    """Write each session's receipt and transcript; whether there was one."""
    for number, bundle in enumerate(bundles):
        # More than one only where a lost session was followed by another.
        file = path if not number else path.with_name(f"{path.name}.{number + 1}")
        file.write_bytes(msgspec.json.encode(bundle))
        texts = [parse_sentence(leaf).text for leaf in bundle.sentence_leaves()]
        transcript = "".join(f"{text}\n" for text in texts)
        file.with_name(f"{file.name}.txt").write_text(transcript, encoding="utf-8")
    return bool(bundles)


def _seconds(options: argparse.Namespace) -> float | None:
    with AudioFile(options.file, raw_rate_hz=options.rate) as audio:
        return audio.info.seconds or None


def _api_key(path: Path | None) -> str:
    """Not an option of its own: others on the machine see a command's arguments."""
    return path.read_text().strip() if path else os.environ.get("STT_API_KEY", "")


async def _converse(
    stream: Stream,
    source: StandardInput | None,
    options: argparse.Namespace,
    settings: dict[str, Parameter],
) -> bool:
    """Send everything and hear everything; whether it was cut short by an interrupt."""
    if settings:
        async with ControlClient(
            options.control_url,
            session=stream.session,
            api_key=_api_key(options.api_key_file),
            authorities=options.ca,
        ) as control:
            for name, value in settings.items():
                await control.set_parameter(name, value)
    sender = asyncio.create_task(_send(stream, source, options), name="sender")
    closed = asyncio.create_task(stream.wait_closed(), name="closed")
    loop, me = asyncio.get_running_loop(), asyncio.current_task()
    assert me is not None

    def interrupt() -> None:  # once: end the stream properly; twice: leave
        if not sender.cancel():
            me.cancel()

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        await asyncio.wait([sender, closed], return_when=asyncio.FIRST_COMPLETED)
        if sender.done() and not sender.cancelled():
            sender.result()
        await stream.finish()
        return sender.cancelled()
    except asyncio.CancelledError:
        raise InterruptedError("interrupted") from None
    finally:
        loop.remove_signal_handler(signal.SIGINT)
        for task in (sender, closed):
            task.cancel()
        await asyncio.gather(sender, closed, return_exceptions=True)


async def _send(stream: Stream, source: StandardInput | None, options: argparse.Namespace) -> None:
    corrupt = every_nth(options.corrupt) if options.corrupt else None
    if options.damage:
        corrupt = OnTheLine(every_nth(options.damage))
    if source is None:
        pace = None if options.fast else options.pace
        if not await stream.send_file(options.file, pace=pace, corrupt=corrupt):
            raise AudioFileError(f"there is no audio in {options.file}")
        return
    async for pcm in source.blocks(options.chunk):
        await stream.send(pcm, sample_rate_hz=source.sample_rate_hz, corrupt=corrupt)
    if not stream.frames:
        raise AudioFileError("there is no audio on standard input")


def every_nth(n: int) -> Callable[[bytes], bytes]:
    """A corruption that flips a bit in every ``n``-th message."""
    count = 0

    def corrupt(message: bytes) -> bytes:
        nonlocal count
        count += 1
        return message if count % n else flip_bit(message, 3)

    return corrupt


def _view(options: argparse.Namespace) -> View:
    if options.json or options.format == OutputFormat.JSON:
        return JsonView(audio=options.audio)
    if options.format:
        return SentenceView(OutputFormat(options.format))
    if options.plain or not sys.stdout.isatty():
        return PlainView(quiet=options.quiet or not options.plain)
    return LiveView()


def recorder_setting(text: str) -> tuple[str, Parameter]:
    """Name and value of ``NAME=VALUE``; the value is JSON, or a string as it stands.

    Raises:
        ValueError: there is no ``=``.
    """
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"--set expects NAME=VALUE, got {text!r}")
    try:
        parsed: Parameter = json.loads(value)
    except ValueError:
        parsed = value  # a bare word is a string
    return name, parsed


def _complain(error: Exception, status: int) -> int:
    print(f"stt-stream: {error}", file=sys.stderr)
    return status


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _samples(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not at least 1")
    return value


def _sample_rate(text: str) -> int:
    value = int(text)
    if not MIN_SAMPLE_RATE_HZ <= value <= MAX_SAMPLE_RATE_HZ:
        raise argparse.ArgumentTypeError(
            f"{text} is not from {MIN_SAMPLE_RATE_HZ} to {MAX_SAMPLE_RATE_HZ}"
        )
    return value
