"""deploy.plan: what a system consists of, and supervisord's configuration for it."""

from __future__ import annotations

import configparser
import json
import socket
from pathlib import Path

import msgspec
import pytest

from common.errors import SettingsError
from deploy import plan as plans
from deploy.plan import GATEWAY, TRANSCRIBER, VERIFIER, Plan, Stage


def make(run_dir: str = "/run/stt", verifiers: int = 2) -> Plan:
    plan = Plan(
        run_dir=run_dir,
        server_pid=42,
        host="0.0.0.0",
        control_port=8011,
        data_port=8012,
        metrics_host="127.0.0.1",
        drain_s=10.0,
        stages=(Stage(GATEWAY, GATEWAY, 8013),),
    )
    return plan.scaled(TRANSCRIBER, 1, lambda port: port).scaled(VERIFIER, verifiers, int)


def names(plan: Plan) -> list[str]:
    return [stage.name for stage in plan.stages]


def test_scaling_up_appends_the_next_numbers_and_ports() -> None:
    plan = make(verifiers=2).scaled(VERIFIER, 4, lambda port: port)
    assert [s.name for s in plan.of_kind(VERIFIER)] == [f"verifier-{n}" for n in (1, 2, 3, 4)]
    ports = [stage.metrics_port for stage in plan.stages]
    assert len(set(ports)) == len(ports)


def test_scaling_down_removes_the_highest_numbers() -> None:
    assert names(make(verifiers=3).scaled(VERIFIER, 1, int)) == [
        "gateway",
        "transcriber-1",
        "verifier-1",
    ]


def test_scaling_to_nothing_and_back_starts_from_one() -> None:
    plan = make().scaled(VERIFIER, 0, int).scaled(VERIFIER, 1, int)
    assert names(plan)[-1] == "verifier-1"


def test_the_first_gateway_has_no_number_and_the_others_are_told_theirs() -> None:
    plan = msgspec.structs.replace(make(), share_ports=True).scaled(GATEWAY, 3, int)
    assert [stage.name for stage in plan.of_kind(GATEWAY)] == ["gateway", "gateway-2", "gateway-3"]
    assert plan.gateway.name == "gateway"
    config = plans.supervisord_config(plan)
    assert [f'STT_SLOT="{slot}"' in config for slot in (1, 2, 3, 4)] == [True, True, True, False]
    assert "STT_SLOT" not in plans.supervisord_config(make()), "an only one has its usual endpoints"
    assert len(plan.scaled(GATEWAY, 1, int).of_kind(GATEWAY)) == 1


def test_each_stage_is_a_program_of_its_own_with_its_metrics_port() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(plans.supervisord_config(make()))
    programs = [name for name in parser.sections() if name.startswith("program:")]
    assert sorted(programs) == [
        "program:gateway",
        "program:transcriber-1",
        "program:verifier-1",
        "program:verifier-2",
    ]
    assert parser["program:gateway"]["environment"] == 'STT_METRICS_PORT="8013"'
    assert parser["program:gateway"]["command"].endswith("-P -m gateway")


def test_whoever_feeds_a_stage_is_stopped_before_it() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(plans.supervisord_config(make(verifiers=1)))
    gateway, verifier, transcriber = (
        parser.getint(f"program:{name}", "priority")
        for name in ("gateway", "verifier-1", "transcriber-1")
    )
    assert gateway > verifier > transcriber  # supervisord stops the highest first


def test_a_stage_gets_longer_to_stop_than_it_takes_to_drain() -> None:
    parser = configparser.RawConfigParser()
    parser.read_string(plans.supervisord_config(make()))
    assert parser.getint("program:gateway", "stopwaitsecs") > 10


def test_a_percent_sign_in_the_run_dir_survives_supervisords_expansion() -> None:
    assert "file=/run/100%%/control.sock" in plans.supervisord_config(make("/run/100%"))


@pytest.mark.parametrize("run_dir", ["/run/a ;b", "/run/a\nb"])
def test_a_run_dir_that_supervisord_would_misread_is_refused(run_dir: str) -> None:
    with pytest.raises(SettingsError, match="may not contain"):
        plans.supervisord_config(make(run_dir))


def test_a_saved_plan_is_loaded_again(tmp_path: Path) -> None:
    plan = make(str(tmp_path))
    plans.save(plan)
    assert plans.load(tmp_path) == plan
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {plans.PLAN_FILE, plans.CONFIG_FILE, plans.TARGETS_FILE}


def test_what_to_scrape_is_written_down_for_prometheus(tmp_path: Path) -> None:
    plan = make(str(tmp_path))
    plans.save(plan)
    groups = json.loads((tmp_path / "targets.json").read_text())
    assert [group["labels"]["name"] for group in groups] == names(plan)
    assert groups[0] == {
        "targets": [f"127.0.0.1:{plan.gateway.metrics_port}"],
        "labels": {"stage": "gateway", "name": "gateway"},
    }


def test_loading_where_nothing_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no system runs in"):
        plans.load(tmp_path)


def test_a_plan_of_another_form_is_an_error_with_its_path(tmp_path: Path) -> None:
    (tmp_path / plans.PLAN_FILE).write_text('{"run_dir": 3}')
    with pytest.raises(SettingsError, match=r"system\.json"):
        plans.load(tmp_path)


def test_the_next_free_port_is_neither_taken_nor_listened_on() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        busy = listener.getsockname()[1]
        find = plans.next_free_port("127.0.0.1", taken=[busy + 1])
        assert find(busy) > busy + 1


def test_any_free_port_differs_from_call_to_call() -> None:
    find = plans.any_free_port("127.0.0.1")
    ports = {find(0) for _ in range(5)}
    assert len(ports) > 1
    assert all(1024 < port < 65_536 for port in ports)


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::"])
def test_a_wildcard_address_is_reached_over_loopback(host: str) -> None:
    assert plans.reachable(host) == "127.0.0.1"


def test_a_named_address_is_reached_as_it_is() -> None:
    assert plans.reachable("10.1.2.3") == "10.1.2.3"


def test_an_engine_is_a_program_of_its_own_that_stops_after_its_transcribers() -> None:
    config = configparser.RawConfigParser(strict=True)
    config.read_string(plans.supervisord_config(make().scaled("engine", 1, lambda port: port)))
    engine, transcriber = (config[f"program:{name}-1"] for name in ("engine", TRANSCRIBER))
    assert engine["command"].endswith("-m transcriber.engines")
    assert int(engine["priority"]) < int(transcriber["priority"])
