"""deploy.command_line: options to plan, options to environment, subcommands beside options."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from common.errors import SettingsError
from common.options import parse
from common.settings import GatewaySettings, TranscriberSettings
from deploy.command_line import main, make_plan, stage_environment, start_parser
from deploy.plan import GATEWAY, TRANSCRIBER, VERIFIER, Plan
from tests.processes import free_port


def plan_of(*argv: str) -> Plan:
    return make_plan(start_parser().parse_args(argv))


def environment_of(*argv: str, inherited: dict[str, str] | None = None) -> dict[str, str]:
    arguments = start_parser().parse_args(argv)
    return stage_environment(arguments, make_plan(arguments), inherited or {})


def test_by_default_there_are_a_gateway_two_verifiers_and_a_transcriber() -> None:
    plan = plan_of()
    assert [len(plan.of_kind(kind)) for kind in (GATEWAY, VERIFIER, TRANSCRIBER)] == [1, 2, 1]
    assert (plan.control_port, plan.data_port) == (8011, 8012)


def test_metrics_ports_follow_the_gateways_and_none_is_used_twice() -> None:
    plan = plan_of("--verifiers", "3", "-d", "8014")
    ports = [stage.metrics_port for stage in plan.stages]
    assert len({*ports, 8011, 8014}) == len(ports) + 2
    assert plan.gateway.metrics_port == min(ports) >= 8013


def test_a_metrics_port_that_was_asked_for_is_taken_as_it_is() -> None:
    assert plan_of("--metrics-port", "9100").gateway.metrics_port == 9100


def test_an_api_port_that_was_asked_for_is_taken_as_it_is_and_none_is_none() -> None:
    assert plan_of("--api-port", "9100").api_port == 9100
    assert environment_of("--api-port", "9100")["STT_API_PORT"] == "9100"
    assert plan_of("--api-port", "0").api_port == 0


def test_the_usual_api_port_gives_way_to_whoever_has_it() -> None:
    with socket.socket() as taken:
        try:
            taken.bind(("127.0.0.1", 8010))
            taken.listen()
        except OSError:
            pass  # somebody has it already
        plan = plan_of()
    assert plan.api_port > 8013
    assert plan.api_port not in [stage.metrics_port for stage in plan.stages]


@pytest.mark.parametrize("flag", ["--verifiers", "--transcribers"])
@pytest.mark.parametrize("count", ["-1", "65"])
def test_absurd_numbers_of_stages_are_refused(
    flag: str, count: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        plan_of(f"{flag}={count}")
    assert f"argument {flag}: {count} given" in capsys.readouterr().err


def test_one_endpoint_cannot_serve_two_transcribers() -> None:
    with pytest.raises(SettingsError, match="--audio"):
        plan_of("--transcribers", "2", "--audio", "tcp://*:7001")


def test_the_documents_options_reach_the_stage_that_they_concern(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    environment = environment_of(
        *("--model", "tiny", "--control_port", "9011", "--data_port", "9012"),
        *("--verify-data-integrity", "--reject-corrupted-data", "--corruption-threshold", "2"),
        *("--use_extended_logging", "--debug"),
    )
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    gateway = parse(GatewaySettings, [], prog="gateway", description="")
    transcriber = parse(TranscriberSettings, [], prog="transcriber", description="")
    assert (gateway.control_port, gateway.data_port) == (9011, 9012)
    assert gateway.verify_data_integrity
    assert gateway.reject_corrupted_data
    assert gateway.corruption_threshold == 2
    assert gateway.use_extended_logging
    assert gateway.debug
    assert transcriber.model == "tiny"


@pytest.mark.parametrize(
    "argv",
    [
        ("--suppress_tokens", "-1", "5"),
        ("--openwakeword_model_paths", "/a b.onnx", "/c.onnx"),
        ("--no-enable_realtime_transcription",),
        ("--initial_prompt", ""),
        ("--initial_prompt", 'He said: "100 % [sure]", and left'),
        ("--lang", ""),
        ("--early_transcription_on_silence", "0"),
    ],
)
def test_a_recorder_option_arrives_as_it_was_given(
    argv: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = parse(TranscriberSettings, [*argv, "--run-dir", "/r"], prog="t", description="")
    for name, value in environment_of(*argv, "--run-dir", "/r").items():
        monkeypatch.setenv(name, value)
    assert parse(TranscriberSettings, [], prog="t", description="") == wanted


def test_a_flag_that_equals_the_default_beats_the_inherited_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STT_DATA_PORT", "9999")
    environment = environment_of("-d", "8012", inherited={"STT_DATA_PORT": "9999", "HOME": "/h"})
    assert "STT_DATA_PORT" not in environment
    assert environment["HOME"] == "/h"


def test_the_inherited_environment_counts_where_no_flag_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STT_DATA_PORT", "9999")
    assert environment_of(inherited={"STT_DATA_PORT": "9999"})["STT_DATA_PORT"] == "9999"


def test_stages_do_not_share_a_metrics_port() -> None:
    assert "STT_METRICS_PORT" not in environment_of("--metrics-port", "9100")


def test_the_run_dir_is_absolute_for_every_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert environment_of("--run-dir", "here")["STT_RUN_DIR"] == str(tmp_path / "here")


def test_a_bad_option_is_told_in_one_line_with_status_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--verifiers", "99"])
    complaint = capsys.readouterr().err
    assert "stt-server: error: argument --verifiers: 99 given, allowed are 0 to 64" in complaint
    assert complaint.count("\n") <= 2


@pytest.mark.parametrize(
    "option, value",
    [
        ("--corruption-threshold", "-1"),
        ("--drain-timeout", "-4"),
        ("--stall", "61"),
        ("--transcriber-sessions", "0"),
        ("--webrtc_sensitivity", "4"),
    ],
)
def test_a_value_that_one_stage_would_refuse_is_refused_before_any_starts(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--run-dir", str(tmp_path), option, value])
    assert option in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_an_unknown_option_shows_the_short_usage(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--no-such-option"])
    assert capsys.readouterr().err.count("\n") <= 2


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--run-dir", "x", "status"], "a command comes first: stt-server status …"),
        (["statuss"], "did you mean status?"),
        (["--verify-data-integriti"], "did you mean --verify-data-integrity?"),
        (["--modle=tiny"], "did you mean --model?"),
        (["qqqq"], "unrecognized arguments: qqqq\n"),
    ],
)
def test_what_comes_near_to_an_unknown_argument_is_named(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("command", ["status", "stop", "scale verifiers 2"])
def test_steering_where_nothing_runs_says_so(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*command.split(), "--run-dir", str(tmp_path)]) == 2
    assert f"no system runs in {tmp_path}" in capsys.readouterr().err


def test_several_gateways_need_ports_and_endpoints_that_they_can_share() -> None:
    def plan(*options: str) -> Plan:
        return make_plan(start_parser().parse_args(["--gateways", "2", *options]))

    ports = ("--data_port", str(free_port()), "--control_port", str(free_port()))
    assert [stage.name for stage in plan(*ports).of_kind("gateway")] == ["gateway", "gateway-2"]
    assert plan(*ports).share_ports
    with pytest.raises(SettingsError, match="one gateway's endpoints"):
        plan(*ports, "--frames", "tcp://*:1")
    with pytest.raises(SettingsError, match="name one to share"):
        plan("--data_port", "0")
    with socket.socket() as other:  # of a system that shares its ports, too
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(SettingsError, match="which another program uses"):
            plan(*ports, "--control_port", str(other.getsockname()[1]))


def test_transcribers_ask_the_engine_processes_that_are_started() -> None:
    plan = plan_of("--engines", "2", "--transcribers", "3")
    assert [stage.name for stage in plan.of_kind("engine")] == ["engine-1", "engine-2"]
    assert environment_of("--engines", "2")["STT_ENGINES_AT"] == "run-dir"
    there = environment_of("--engines", "1", "--engines-at", "tcp://gpu:5556")
    assert there["STT_ENGINES_AT"] == "tcp://gpu:5556"


def test_without_engine_processes_each_transcriber_has_its_engine() -> None:
    assert not plan_of().of_kind("engine")
    assert "STT_ENGINES_AT" not in environment_of()
