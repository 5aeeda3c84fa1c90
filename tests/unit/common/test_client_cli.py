from __future__ import annotations

from pathlib import Path

import pytest

from common.client.cli import EXIT_USAGE, every_nth, main, parser, recorder_setting
from common.client.frames import FrameBuilder
from common.integrity import Algorithm


def test_every_nth_message_is_damaged() -> None:
    message = FrameBuilder().build(bytes(8), number=0, sample_rate_hz=16_000, timestamp_ms=0)
    corrupt = every_nth(3)
    assert [corrupt(message) == message for _ in range(7)] == [
        True,
        True,
        False,
        True,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "text, name, value",
    [
        ("silero_sensitivity=0.4", "silero_sensitivity", 0.4),
        ("use_microphone=false", "use_microphone", False),
        ("language=en", "language", "en"),
        ("initial_prompt=a=b", "initial_prompt", "a=b"),
    ],
)
def test_a_setting_is_json_or_a_bare_word(text: str, name: str, value: object) -> None:
    assert recorder_setting(text) == (name, value)


def test_options_have_the_defaults_of_a_microphone_s_file() -> None:
    options = parser().parse_args(["speech.wav"])
    assert options.url == "ws://127.0.0.1:8012"
    assert options.pace == 1.0
    assert options.algorithm is Algorithm.ADDITIVE


@pytest.mark.parametrize(
    "arguments",
    [
        ["--pace", "2", "--fast", "a.wav"],
        ["--rate", "100", "-"],
        ["--corrupt", "0", "a.wav"],
        ["--algorithm", "md5", "a.wav"],
        ["--json", "--plain", "a.wav"],
    ],
)
def test_contradictions_and_absurd_values_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parser().parse_args(arguments)
    assert caught.value.code == 2
    assert "stt-stream: error: argument" in capsys.readouterr().err


@pytest.mark.parametrize("name, why", [("", "Is a directory"), ("none/talk", "is no directory")])
def test_where_no_receipt_can_be_written_nothing_is_sent(
    name: str, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nobody = "ws://127.0.0.1:9"
    assert main(["--url", nobody, "--receipt", str(tmp_path / name), "missing.wav"]) == EXIT_USAGE
    assert why in capsys.readouterr().err
