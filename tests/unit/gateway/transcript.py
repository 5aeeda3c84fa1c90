"""Golden transcripts of a protocol: what the client sends, what its session hears, what is said.

One line each: ``> JSON`` is a client's text message, ``> 40 ms`` so much audio in a binary message,
``+ 960`` so many bytes of audio as OpenAI's clients append them, ``* Heard {…}`` what the session
hears, ``@ 12`` the time in seconds (and a tick). What the translator does follows: ``< JSON`` says
it, ``| …`` passes a frame on, ``= name value`` sets a parameter, ``finish``, ``close CODE REASON``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from common.wire import parse_message
from gateway.protocols import base
from gateway.protocols.base import Action, Close, Finish, Pass, Say, Set, Translator

FOLDER: Final = Path(__file__).with_name("transcripts")


def written(action: Action) -> str:
    """An action as a line."""
    match action:
        case Say(message=message):
            return f"< {json.dumps(message, ensure_ascii=False)}"
        case Pass(frame=frame):
            metadata, rate_hz, pcm = parse_message(frame)
            mark = f" {metadata.utterance}" if metadata.utterance else ""
            number = f" {metadata.utterance_number}" if metadata.utterance_number else ""
            return f"| {len(pcm) // 2} samples at {rate_hz} Hz{mark}{number}"
        case Set(name=name, value=value):
            return f"= {name} {json.dumps(value)}"
        case Finish():
            return "finish"
        case Close(code=code, reason=reason):
            return f"close {code} {reason}".rstrip()


def replayed(translator: Translator, text: str) -> str:
    """The transcript that the translator makes of the client's and the session's lines."""
    lines: list[str] = []
    now_s = 0.0

    def add(line: str, actions: list[Action]) -> None:
        lines.append(line)
        lines.extend(map(written, actions))

    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        match kind:
            case ">" if rest.endswith(" ms"):
                data = bytes(int(rest.removesuffix(" ms")) * 32)
                add(line, translator.receive(data, now_s))
            case "+":
                audio = base64.b64encode(bytes(int(rest))).decode()
                event = {"type": "input_audio_buffer.append", "audio": audio}
                add(line, translator.receive(json.dumps(event), now_s))
            case ">":
                add(line, translator.receive(rest, now_s))
            case "*":
                add(line, translator.hear(_heard(rest)))
            case "@":
                now_s = float(rest)
                add(line, translator.tick(now_s))
            case "open":
                add(line, translator.open(now_s))
            case "#" | "":
                lines.append(line)
    return "\n".join(lines) + "\n"


def _heard(text: str) -> Any:
    name, _, arguments = text.partition(" ")
    return getattr(base, name)(**json.loads(arguments or "{}"))


def assert_golden(name: str, translator: Translator) -> None:
    """Compare with a file, line by line."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert replayed(translator, text) == text


def assert_retold(name: str, answer: Callable[[str, str], list[str] | None]) -> None:
    """Compare a transcript of another kind with its file, line by line.

    Args:
        answer: given a line's sign and the rest of it, the lines that follow; None for a line that
            is itself such an answer.
    """
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    lines: list[str] = []
    for line in text.splitlines():
        sign, _, rest = line.partition(" ")
        follows = [] if sign in ("#", "") else answer(sign, rest)
        if follows is not None:
            lines += [line, *follows]
    assert "\n".join(lines) + "\n" == text
