from __future__ import annotations

import argparse
import dataclasses
import os

import configargparse
import pytest

from common.options import add_options, from_namespace, parse, range_of, to_environment, variable_of
from common.settings import (
    GatewaySettings,
    StageSettings,
    TranscriberSettings,
    VerifierSettings,
    default_run_dir,
)

STAGES = [GatewaySettings, VerifierSettings, TranscriberSettings]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STT_"):
            monkeypatch.delenv(name)


def gateway(*argv: str) -> GatewaySettings:
    return parse(GatewaySettings, argv, prog="gateway", description="")


def transcriber(*argv: str) -> TranscriberSettings:
    return parse(TranscriberSettings, argv, prog="transcriber", description="")


# -- one declaration, three ways ------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_without_options_everything_has_its_default(stage: type[StageSettings]) -> None:
    assert parse(stage, [], prog="x", description="") == stage()


@pytest.mark.parametrize("stage", STAGES)
def test_every_field_is_an_option_with_a_help_text(stage: type[StageSettings]) -> None:
    for field in dataclasses.fields(stage):
        assert field.metadata["help"], field.name
        assert any(flag.startswith("--") for flag in field.metadata["flags"]), field.name


NUMBERS = {
    field.name: field
    for stage in STAGES
    for field in dataclasses.fields(stage)
    if type(field.default) in (int, float)
}


def of_stage(name: str) -> type[StageSettings]:
    return next(s for s in STAGES if name in {f.name for f in dataclasses.fields(s)})


@pytest.mark.parametrize("name", NUMBERS)
def test_every_number_has_a_range_that_holds_its_default(name: str) -> None:
    low, high = range_of(NUMBERS[name])
    default: float = getattr(of_stage(name)(), name)
    assert low is not None
    assert high is not None
    assert low <= default <= high


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["below", "above", "nan"])
def test_a_number_outside_its_range_is_refused(
    name: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    field = NUMBERS[name]
    low, high = range_of(field)
    assert low is not None
    assert high is not None
    text = {"below": str(low - 1), "above": str(high + 1), "nan": "nan"}[value]
    stage = of_stage(name)
    with pytest.raises(SystemExit) as caught:
        parse(stage, [field.metadata["flags"][0], text], prog="x", description="")
    assert caught.value.code == 2
    complaint = capsys.readouterr().err.splitlines()[-1]
    assert field.metadata["flags"][0] in complaint
    assert "allowed are" in complaint or "is not a" in complaint


@pytest.mark.parametrize("stage", STAGES)
def test_no_flag_stands_for_two_options(stage: type[StageSettings]) -> None:
    flags = [flag for field in dataclasses.fields(stage) for flag in field.metadata["flags"]]
    assert len(flags) == len(set(flags))


@pytest.mark.parametrize("stage", STAGES)
def test_help_names_every_option_and_exits_0(
    stage: type[StageSettings], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse(stage, ["--help"], prog="x", description="")
    assert caught.value.code == 0
    text = capsys.readouterr().out
    for field in dataclasses.fields(stage):
        assert field.metadata["flags"][0] in text
        assert variable_of(field) in text


def test_a_flag_wins_over_the_environment_and_that_over_the_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert gateway().data_port == 8012
    monkeypatch.setenv("STT_DATA_PORT", "9000")
    assert gateway().data_port == 9000
    assert gateway("--data_port", "9001").data_port == 9001


@pytest.mark.parametrize(
    "argv, field, value",
    [
        (["--data_port", "1"], "data_port", 1),
        (["--data-port", "1"], "data_port", 1),
        (["--data", "1"], "data_port", 1),
        (["-d", "1"], "data_port", 1),
        (["-c", "1"], "control_port", 1),
        (["--control_port", "1"], "control_port", 1),
        (["--verify-data-integrity"], "verify_data_integrity", True),
        (["--reject-corrupted-data"], "reject_corrupted_data", True),
        (["--corruption-threshold", "3"], "corruption_threshold", 3),
        (["--use_extended_logging"], "use_extended_logging", True),
        (["--debug"], "debug", True),
        (["--on-corruption", "drop"], "on_corruption", "drop"),
        (["--retransmit-min", "0.1"], "retransmit_min_s", 0.1),
    ],
)
def test_the_gateways_flags_are_spelled_as_documented(
    argv: list[str], field: str, value: object
) -> None:
    assert getattr(gateway(*argv), field) == value


@pytest.mark.parametrize(
    "argv, field, value",
    [
        (["--model", "large-v2"], "model", "large-v2"),
        (["-m", "tiny"], "model", "tiny"),
        (["-r", "base"], "rt_model", "base"),
        (["--language", "de"], "language", "de"),
        (["--suppress_tokens", "1", "2"], "suppress_tokens", (1, 2)),
        (["--suppress_tokens"], "suppress_tokens", ()),
        (["--no-silero_deactivity_detection"], "silero_deactivity_detection", False),
        (["--silero_deactivity_detection"], "silero_deactivity_detection", True),
        (["--enable_realtime_transcription", "false"], "enable_realtime_transcription", False),
        (["--enable_realtime_transcription", "True"], "enable_realtime_transcription", True),
        (["--enable_realtime_transcription=0"], "enable_realtime_transcription", False),
    ],
)
def test_the_transcribers_flags_are_those_of_the_stock_server(
    argv: list[str], field: str, value: object
) -> None:
    assert getattr(transcriber(*argv), field) == value


@pytest.mark.parametrize(
    "argv, complaint",
    [
        (["--data_port", "abc"], "--data_port"),
        (["--nonsense"], "--nonsense"),
        (["--on-corruption", "maybe"], "maybe"),
        (["--verif"], "--verif"),
    ],
)
def test_a_bad_option_is_named_and_exits_2(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        gateway(*argv)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_switch_takes_true_or_false_only(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        transcriber("--enable_realtime_transcription", "maybe")
    assert "true or false is expected, not 'maybe'" in capsys.readouterr().err


def test_a_bad_value_in_the_environment_exits_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STT_DATA_PORT", "abc")
    with pytest.raises(SystemExit) as caught:
        gateway()
    assert caught.value.code == 2
    assert "abc" in capsys.readouterr().err


# -- from one process's options to another's environment ------------------------------------------


def namespace(*argv: str) -> argparse.Namespace:
    parser = configargparse.ArgumentParser()
    add_options(parser, *STAGES)
    result: argparse.Namespace = parser.parse_args(list(argv))
    return result


def test_options_that_stages_share_are_added_once() -> None:
    everything = namespace("--debug")
    for stage in STAGES:
        assert from_namespace(stage, everything).debug


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--debug", "--data_port", "9000", "--heartbeat", "0.25"],
        ["--verify-data-integrity", "--corruption-threshold", "2"],
        ["--suppress_tokens", "1", "2", "--initial_prompt", "with, commas = and [brackets] 'x'"],
        ["--suppress_tokens"],
        ["--no-silero_deactivity_detection", "--lang", ""],
        ["--enable_realtime_transcription", "false", "--lang", "de"],
        ["--openwakeword_model_paths", "/a path", "/b"],
        ["--initial_prompt", ""],
        ["--run-dir", "/tmp/über"],
    ],
)
def test_the_environment_carries_every_option_to_a_stage(
    argv: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = namespace(*argv)
    environment = to_environment(everything, *STAGES)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    for stage in STAGES:
        assert parse(stage, [], prog="x", description="") == from_namespace(stage, everything)


def test_defaults_are_not_put_into_the_environment() -> None:
    assert to_environment(namespace(), *STAGES) == {}


# -- endpoints ------------------------------------------------------------------------------------


def test_links_are_ipc_in_the_run_dir_unless_named() -> None:
    settings = StageSettings(run_dir="/tmp/x", frames="tcp://host:1")
    assert settings.endpoint("verdicts") == "ipc:///tmp/x/verdicts.sock"
    assert settings.endpoint("frames") == "tcp://host:1"


def test_the_default_run_dir_is_the_users_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    assert default_run_dir() == "/run/user/7/stt"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert default_run_dir().rpartition("-")[2].isdecimal()


def test_settings_can_be_shared_by_all_sessions() -> None:
    """They cannot be changed, and hold nothing that can."""
    for stage in STAGES:
        hash(stage())
    with pytest.raises(dataclasses.FrozenInstanceError):
        StageSettings().debug = True  # type: ignore[misc]
