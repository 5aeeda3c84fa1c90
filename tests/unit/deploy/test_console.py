"""deploy.console: the lines of all stages in one stream."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.console import MAX_LINE_BYTES, Console, JsonStyle, LineBuffer, TextStyle, Tone


def test_lines_cut_anywhere_come_out_whole_and_stages_do_not_mix() -> None:
    buffer = LineBuffer()
    assert buffer.feed("a", b"one\ntw") == ["one"]
    assert buffer.feed("b", b"other\r\n") == ["other"]
    assert buffer.feed("a", b"o\n\xc3") == ["two"]
    assert buffer.feed("a", b"\xa4\n") == ["ä"]


def test_an_ended_stage_shows_what_it_left_without_a_line_break() -> None:
    buffer = LineBuffer()
    buffer.feed("a", b"last words")
    assert buffer.end("a") == ["last words"]
    assert buffer.end("a") == []


def test_output_without_line_breaks_is_not_kept_forever() -> None:
    buffer = LineBuffer()
    assert buffer.feed("a", b"x" * (MAX_LINE_BYTES + 1)) == ["x" * (MAX_LINE_BYTES + 1)]


def test_names_are_aligned() -> None:
    style = TextStyle(colour=False)
    lines = [style.stage_line(name, "text") for name in ("gateway", "verifier-1", "transcriber-1")]
    assert lines == [
        "gateway       | text",
        "verifier-1    | text",
        "transcriber-1 | text",
    ]


def test_colour_marks_the_name_and_not_the_stages_own_text() -> None:
    line = TextStyle(colour=True).stage_line("gateway", "text")
    assert line.startswith("\x1b[36mgateway")
    assert line.endswith("\x1b[0m text")


def test_json_lines_get_the_stages_name_and_keep_their_facts() -> None:
    line = JsonStyle().stage_line("verifier-2", '{"stage": "verifier", "frames": 3}')
    assert json.loads(line) == {"stage": "verifier-2", "frames": 3}


@pytest.mark.parametrize("text", ["Traceback (most recent call last):", "[1, 2]", '"text"', ""])
def test_other_lines_become_the_message_of_a_json_line(text: str) -> None:
    entry = json.loads(JsonStyle().stage_line("gateway", text))
    assert (entry["stage"], entry["message"]) == ("gateway", text)


def test_own_json_lines_carry_level_and_facts() -> None:
    entry = json.loads(JsonStyle().own_line("it died", Tone.BAD, died="verifier-1"))
    assert entry["level"] == "error"
    assert entry["stage"] == "stt-server"
    assert entry["died"] == "verifier-1"


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 6 * 4096)
    os.set_blocking(reader, False)
    yield reader, writer
    os.close(reader)
    os.close(writer)


def drain(reader: int) -> str:
    parts = []
    while True:
        try:
            parts.append(os.read(reader, 1 << 16))
        except BlockingIOError:
            return b"".join(parts).decode()


def test_a_reader_that_stalls_delays_nobody_and_learns_what_it_missed(
    pipe: tuple[int, int],
) -> None:
    reader, writer = pipe
    console = Console(writer, "text")
    for number in range(100):  # four times as much as the pipe takes
        console.stage_output("gateway", b"x" * 1000 + b" %d\n" % number)
    assert 0 < drain(reader).count("\n") < 100
    console.stage_output("gateway", b"again\n")
    missed, line = drain(reader).splitlines()[-2:]
    assert "lines dropped" in missed
    assert line == "gateway       | again"


def test_a_line_that_was_cut_off_does_not_swallow_the_next(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    console = Console(writer, "text")
    console.stage_output("gateway", b"x" * 60_000 + b"\n")
    assert not drain(reader).endswith("\n")
    console.stage_output("gateway", b"next\n")
    assert drain(reader).splitlines()[-1] == "gateway       | next"


def test_a_reader_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Console(writer, "text").say("nobody hears this")
    os.close(writer)


def test_nothing_is_coloured_where_no_terminal_is(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    Console(writer, "text").say("ready", Tone.GOOD)
    assert drain(reader) == "stt-server    | ready\n"
