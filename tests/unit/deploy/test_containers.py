"""deploy/docker-compose.yml and deploy/Dockerfile fit the stages (no engine is needed for this)."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import pytest
import yaml  # type: ignore[import-untyped]

from common.errors import SettingsError
from common.exposure import check_exposure
from common.options import parse as parse_settings
from common.options import variable_of
from common.settings import (
    EngineStageSettings,
    GatewaySettings,
    StageSettings,
    TranscriberSettings,
    VerifierSettings,
)
from tests.processes import ROOT

DEPLOY: Final = ROOT / "deploy"
STAGES: Final[dict[str, type[StageSettings]]] = {
    "gateway": GatewaySettings,
    "verifier": VerifierSettings,
    "transcriber": TranscriberSettings,
}
LINKS: Final = ("frames", "verdicts", "results")


def services(file: str = "docker-compose.yml") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / file).read_text())["services"]
    return found


def with_defaults(value: object, given: Mapping[str, str] = MappingProxyType({})) -> str:
    """What compose makes of ``${NAME:-default}``; ``given``: the variables that are set."""
    return re.sub(
        r"\$\{(\w+)(?::?-([^}]*))?\}",
        lambda match: given.get(match[1]) or match[2] or "",
        str(value),
    )


def image_environment() -> dict[str, str]:
    text = (DEPLOY / "Dockerfile").read_text()
    return dict(re.findall(r"\b(STT_\w+)=(\S+)", text))


def settings_of(stage: str, monkeypatch: pytest.MonkeyPatch, **given: str) -> StageSettings:
    environment = image_environment() | services()[stage]["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, with_defaults(value, given))
    return parse_settings(STAGES[stage], [], prog=stage, description="")


@pytest.mark.parametrize("stage", STAGES)
def test_a_container_runs_the_stage_that_it_is_named_for(stage: str) -> None:
    assert services()[stage]["command"] == [stage]


@pytest.mark.parametrize("stage", STAGES)
def test_every_variable_is_an_option_of_the_stage(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {variable_of(field) for field in dataclasses.fields(STAGES[stage])}
    assert {*services()[stage]["environment"], *image_environment()} <= known
    settings_of(stage, monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_links_are_tcp_with_keys(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(stage, monkeypatch)
    host = "*" if stage == "gateway" else "gateway"
    assert [settings.endpoint(link) for link in LINKS] == [
        f"tcp://{host}:{port}" for port in (5551, 5552, 5553)
    ]
    assert settings.curve_dir == "/keys"
    assert f"keys-{stage}:/keys:ro" in services()[stage]["volumes"], "and no other role's"


def test_keys_of_hmac_are_the_verifiers_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has one unless it is asked for; the file is in a folder that is mounted for it."""
    settings = settings_of("verifier", monkeypatch)
    assert isinstance(settings, VerifierSettings)
    assert settings.hmac_keys == ""
    given = settings_of("verifier", monkeypatch, STT_HMAC_KEYS="/hmac/hmac-keys")
    assert isinstance(given, VerifierSettings)
    assert given.hmac_keys == "/hmac/hmac-keys"
    mounted = {
        stage: [with_defaults(volume, {"STT_HMAC": "./hmac"}) for volume in service["volumes"]]
        for stage, service in services().items()
    }
    assert [stage for stage in mounted if "./hmac:/hmac:ro" in mounted[stage]] == ["verifier"]


def test_integrity_is_checked_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    gateway = settings_of("gateway", monkeypatch)
    assert isinstance(gateway, GatewaySettings)
    assert gateway.verify_data_integrity
    assert not gateway.reject_corrupted_data
    assert gateway.host == "0.0.0.0"


def test_the_health_check_asks_the_port_that_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of("verifier", monkeypatch)
    text = (DEPLOY / "Dockerfile").read_text()
    assert f"http://127.0.0.1:{settings.metrics_port}/readyz" in text


@pytest.mark.parametrize("stage", STAGES)
def test_a_container_has_no_more_rights_than_it_needs(stage: str) -> None:
    service = services()[stage]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert re.search(r"^USER \d+:\d+$", (DEPLOY / "Dockerfile").read_text(), re.M)


def test_only_the_gateway_is_published_and_only_on_this_machine() -> None:
    published = {name for name, service in services().items() if "ports" in service}
    assert published == {"gateway"}
    ports = [with_defaults(port) for port in services()["gateway"]["ports"]]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def exposed(monkeypatch: pytest.MonkeyPatch, **given: str) -> GatewaySettings:
    settings = settings_of("gateway", monkeypatch, **given)
    assert isinstance(settings, GatewaySettings)
    check_exposure(settings)
    return settings


def test_published_on_this_machine_it_asks_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = exposed(monkeypatch)
    assert (settings.host, settings.published_host) == ("0.0.0.0", "127.0.0.1")


@pytest.mark.parametrize(
    "given, missing",
    [
        ({}, "TLS.*API keys"),
        ({"STT_TLS_CERT": "/access/c.pem", "STT_TLS_KEY": "/access/k.pem"}, "API keys"),
        ({"STT_API_KEYS": "/access/api-keys"}, "TLS"),
    ],
)
def test_published_further_it_refuses_without_tls_and_keys(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], missing: str
) -> None:
    with pytest.raises(SettingsError, match=f"(?s){missing}"):
        exposed(monkeypatch, STT_PUBLISH="0.0.0.0", **given)


def test_published_further_with_both_it_starts_with_the_files_that_are_mounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {
        "STT_PUBLISH": "192.0.2.7",
        "STT_ACCESS": "./access",
        "STT_TLS_CERT": "/access/certificate.pem",
        "STT_TLS_KEY": "/access/key.pem",
        "STT_API_KEYS": "/access/api-keys",
    }
    settings = exposed(monkeypatch, **given)
    volumes = [with_defaults(volume, given) for volume in services()["gateway"]["volumes"]]
    assert "./access:/access:ro" in volumes
    for path in (settings.tls_cert, settings.tls_key, settings.api_keys):
        assert path.startswith("/access/")
    ports = [with_defaults(port, given) for port in services()["gateway"]["ports"]]
    beyond = [port for port in ports if not port.startswith("127.0.0.1:")]
    assert [int(port.rpartition(":")[2]) for port in beyond] == [
        settings.api_port,
        settings.control_port,
        settings.data_port,
    ]


def test_the_gpu_override_changes_the_transcriber_alone() -> None:
    override = services("docker-compose.gpu.yml")
    assert set(override) == {"transcriber"}
    (device,) = override["transcriber"]["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]


def test_the_image_holds_every_package_and_what_the_set_up_reads() -> None:
    kept = set(re.findall(r"^!(.+)$", (DEPLOY / "Dockerfile.dockerignore").read_text(), re.M))
    packages = {"common", "gateway", "verifier", "transcriber"}
    assert kept == packages | {"deploy", "pyproject.toml", "README.md", "LICENSE"}


@pytest.mark.parametrize("file", ["Dockerfile", "docker-compose.yml", "docker-compose.gpu.yml"])
def test_no_index_address_is_written_down(file: str) -> None:
    assert "http" not in Path(DEPLOY / file).read_text().replace("http://127.0.0.1", "")


def test_an_engine_of_its_own_is_a_part_of_the_transcribers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    added, transcriber = services("docker-compose.engines.yml"), services()["transcriber"]
    engine = added["engine"]
    assert engine["command"] == ["transcriber.engines"]
    same = (
        *("image", "init", "read_only", "tmpfs", "cap_drop", "security_opt", "restart"),
        *("stop_grace_period", "pids_limit", "logging", "depends_on", "networks", "volumes"),
    )
    assert {name: engine[name] for name in same} == {name: transcriber[name] for name in same}
    for name, value in (image_environment() | engine["environment"]).items():
        monkeypatch.setenv(name, with_defaults(value))
    settings = parse_settings(EngineStageSettings, [], prog="engine", description="")
    port = settings.engine_endpoint.removeprefix("tcp://*:")
    assert added["transcriber"]["environment"] == {"STT_ENGINES_AT": f"tcp://engine:{port}"}
