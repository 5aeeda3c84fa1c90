"""deploy/kubernetes is valid, and says the same as the code, the compose file and the README."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from common.curve import Role, make_keys
from common.exposure import check_exposure
from common.links import LinkEnd
from common.options import parse
from common.settings import (
    EngineStageSettings,
    GatewaySettings,
    StageSettings,
    TranscriberSettings,
    VerifierSettings,
)
from deploy.command_line import SystemSettings
from gateway.metrics import GatewayMetrics
from tests.processes import ROOT
from tests.unit.deploy.manifests import (
    KUBERNETES,
    OVERLAYS,
    Manifest,
    base,
    compose,
    container_of,
    pods,
    rendered,
    variables,
)

VERSION = "1.31"
SETTINGS: dict[str, type[StageSettings]] = {
    "gateway": GatewaySettings,
    "verifier": VerifierSettings,
    "transcriber": TranscriberSettings,
}
LINK_PORT = re.compile(r"tcp://[^:]+:(\d+)")
README = (ROOT / "README.md").read_text()


def shared() -> dict[str, str]:
    """The variables of all stages."""
    (settings,) = [m["data"] for m in base() if m["kind"] == "ConfigMap"]
    return dict(settings)


def container(stage: str) -> Manifest:
    return container_of(pods(base())[stage])


def named_ports(stage: str) -> dict[str, int]:
    return {port["name"]: port["containerPort"] for port in container(stage)["ports"]}


def links(environment: dict[str, str]) -> dict[str, int]:
    """Ports of link endpoints, by variable."""
    return {
        name: int(found[1])
        for name, text in environment.items()
        if (found := LINK_PORT.match(text))
    }


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_manifest_is_valid(overlay: str) -> None:
    import kubernetes_validate  # seconds, for whoever collects the tests

    manifests = rendered(KUBERNETES / "overlays" / overlay)
    assert len(manifests) > 10
    for manifest in manifests:
        if manifest["kind"] != "ScaledObject":  # KEDA's, whose schema is not Kubernetes'
            kubernetes_validate.validate(manifest, VERSION, strict=True)


def test_an_unknown_field_would_be_noticed() -> None:
    import kubernetes_validate

    (gateway,) = [m for m in rendered(KUBERNETES / "base") if m["kind"] == "ConfigMap"]
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate({**gateway, "dtaa": {}}, VERSION, strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_variable_is_an_option_of_its_stage(overlay: str) -> None:
    stages = pods(rendered(KUBERNETES / "overlays" / overlay))
    engine = stages.pop("engine", None)
    assert (engine is not None) == (overlay == "engines")
    assert stages.keys() == SETTINGS.keys()
    for stage, pod in stages.items():
        known = {f"STT_{name.upper()}" for name in SETTINGS[stage].__dataclass_fields__}
        assert variables(container_of(pod)).keys() <= known | {"TMPDIR"}, stage
        assert container_of(pod)["args"] == [stage]
    everybody = {
        f"STT_{name.upper()}" for s in SETTINGS.values() for name in s.__dataclass_fields__
    }
    assert shared().keys() <= everybody


@pytest.mark.parametrize("stage", SETTINGS)
def test_links_have_the_ports_of_the_compose_file_and_of_the_readme(stage: str) -> None:
    ports = links(variables(container(stage)))
    composed = links(compose()["services"][stage]["environment"])
    assert ports
    assert ports.items() <= composed.items()
    (command,) = re.findall(rf"^\.venv/bin/python -m {stage} +--curve-dir.*$", README, re.M)
    flags = dict(re.findall(r"--(\w+) tcp://[^:]+:(\d+)", command))
    assert {f"STT_{flag.upper()}": int(port) for flag, port in flags.items()} == ports


def test_clients_and_scrapes_reach_the_ports_that_the_code_serves() -> None:
    settings = GatewaySettings()
    ports = named_ports("gateway")
    assert (ports["control"], ports["data"]) == (settings.control_port, settings.data_port)
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    assert f"STT_METRICS_PORT={ports['metrics']} " in dockerfile
    assert {named_ports(stage)["metrics"] for stage in SETTINGS} == {ports["metrics"]}
    published = [str(port) for port in compose()["services"]["gateway"]["ports"]]
    assert [int(port.rpartition(":")[2]) for port in published] == [
        *(ports["api"], ports["control"], ports["data"], ports["metrics"])
    ]
    composed = compose()["services"]["gateway"]["environment"]
    assert ports["api"] == SystemSettings().api_port
    assert int(variables(container("gateway"))["STT_API_PORT"]) == ports["api"]
    assert int(composed["STT_API_PORT"]) == ports["api"]


def test_a_container_names_each_variable_volume_and_folder_once() -> None:
    """A cluster refuses what names one twice, or takes the last; the validator says nothing."""
    for pod in pods(base()).values():
        one = container_of(pod)
        for items, key in (
            (one.get("env", []), "name"),
            (one["ports"], "name"),
            (one.get("volumeMounts", []), "mountPath"),
            (pod.get("volumes", []), "name"),
        ):
            names = [item[key] for item in items]
            assert len(set(names)) == len(names), names


def test_the_files_that_clients_send_at_once_find_room() -> None:
    defaults = GatewaySettings()
    (disk,) = [v for v in pods(base())["gateway"]["volumes"] if v["name"] == "uploads"]
    assert variables(container("gateway"))["TMPDIR"] == "/uploads"
    gib = int(disk["emptyDir"]["sizeLimit"].removesuffix("Gi"))
    assert defaults.max_uploads * defaults.max_upload_bytes < gib << 30
    composed = compose()["services"]["gateway"]  # there they are in memory
    values = {
        name: int(str(composed["environment"][name]).rpartition("-")[2].rstrip("}"))
        for name in ("STT_MAX_UPLOADS", "STT_MAX_UPLOAD_BYTES")
    }
    files = values["STT_MAX_UPLOADS"] * values["STT_MAX_UPLOAD_BYTES"]
    assert composed["mem_limit"] == "${STT_GATEWAY_MEMORY:-2g}"
    assert files + defaults.retain_total_bytes < 2 << 30


def test_services_lead_to_the_gateways_ports() -> None:
    for service in (m["spec"] for m in base() if m["kind"] == "Service"):
        assert service["selector"] == {"app.kubernetes.io/name": "gateway"}
        for port in service["ports"]:
            assert port["port"] == named_ports("gateway")[port["targetPort"]]


def test_the_network_allows_the_links_of_the_table_and_no_others() -> None:
    # Engines run within their transcribers there.
    binds = [end for end in LinkEnd if end.binds and end is not LinkEnd.ENGINE_IN]
    binding = {end: end.name.rpartition("_")[0].lower() for end in binds}
    table = {(str(end.peer), str(end.role), link) for end, link in binding.items()}
    outwards: set[tuple[str, str, str]] = set()
    inwards: set[tuple[str, str, str]] = set()
    for policy in (m for m in base() if m["kind"] == "NetworkPolicy"):
        stage = policy["metadata"]["name"]
        if stage not in SETTINGS:
            continue
        for direction, found in (("ingress", inwards), ("egress", outwards)):
            for rule in policy["spec"].get(direction, []):
                for peer in rule.get("from", rule.get("to", [])):
                    other = peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"]
                    ends = (other, stage) if direction == "ingress" else (stage, other)
                    found |= {(*ends, port["port"]) for port in rule["ports"]}
    assert inwards == table
    assert outwards == table


def test_a_stop_is_given_the_time_that_it_needs() -> None:
    drain_s = float(shared()["STT_DRAIN_S"])
    for stage, pod in pods(base()).items():
        hook = container_of(pod).get("lifecycle", {}).get("preStop", {})
        pause_s = float(hook["exec"]["command"][1]) if hook else 0.0
        assert pod["terminationGracePeriodSeconds"] > drain_s + pause_s, stage
    for stage in SETTINGS:
        grace = compose()["services"][stage]["stop_grace_period"]
        assert float(grace.removesuffix("s")) > SETTINGS[stage]().drain_s


@pytest.mark.parametrize("stage", SETTINGS)
def test_a_pod_has_no_more_rights_than_it_needs(stage: str) -> None:
    pod = pods(base())[stage]
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    user = pod["securityContext"]["runAsUser"]
    assert re.search(rf"^USER {user}:{user}$", dockerfile, re.M)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    security = container(stage)["securityContext"]
    assert security["readOnlyRootFilesystem"] is True
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("stage", SETTINGS)
def test_the_mounted_keys_are_laid_out_as_they_are_made(stage: str, tmp_path: Path) -> None:
    folder = make_keys(tmp_path) / Role(stage)
    (keys,) = [volume for volume in pods(base())[stage]["volumes"] if volume["name"] == "keys"]
    paths = {item["path"] for item in keys["secret"]["items"]}
    made = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert made - {"own.key"} == paths
    mounts = {mount["name"]: mount["mountPath"] for mount in container(stage)["volumeMounts"]}
    assert mounts["keys"] == shared()["STT_CURVE_DIR"]
    assert mounts["keys"] == compose()["services"][stage]["environment"]["STT_CURVE_DIR"]
    assert mounts["tmp"] == "/tmp"


def test_keys_of_hmac_are_optional_and_the_verifiers_alone() -> None:
    """Their secret says itself where its file is, so that without it no variable names one."""
    volumes = {
        stage: [volume for volume in pods(base())[stage]["volumes"] if volume["name"] == "hmac"]
        for stage in SETTINGS
    }
    assert [stage for stage in SETTINGS if volumes[stage]] == ["verifier"]
    secret = volumes["verifier"][0]["secret"]
    (given,) = [each for each in container("verifier")["env"] if each["name"] == "STT_HMAC_KEYS"]
    named = given["valueFrom"]["secretKeyRef"]
    assert (secret["optional"], named["optional"]) == (True, True)
    assert secret["secretName"] == named["name"]
    mounts = {each["name"]: each["mountPath"] for each in container("verifier")["volumeMounts"]}
    readme = (ROOT / "deploy" / "kubernetes" / "README.md").read_text()
    assert f"--from-literal={named['key']}={mounts['hmac']}/hmac-keys" in readme


@pytest.mark.parametrize("stage", SETTINGS)
def test_the_stage_takes_its_settings(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    image = dict(re.findall(r"\b(STT_\w+)=(\S+)", dockerfile))
    for name, value in (image | shared() | variables(container(stage))).items():
        monkeypatch.setenv(name, value)
    settings = parse(SETTINGS[stage], [], prog=stage, description="")
    if isinstance(settings, GatewaySettings):
        check_exposure(settings)  # raises where it would not be safe
        assert "gateway.stt.svc" in settings.server_names


def test_a_gateway_holds_what_it_retains() -> None:
    limit = container("gateway")["resources"]["limits"]["memory"]
    assert limit.endswith("Gi")
    retained = int(variables(container("gateway"))["STT_RETAIN_TOTAL_BYTES"])
    assert retained < int(limit.removesuffix("Gi")) * 2**30


def test_autoscalers_and_budgets_name_stages() -> None:
    for manifest in base():
        if manifest["kind"] == "HorizontalPodAutoscaler":
            assert manifest["spec"]["scaleTargetRef"]["name"] in SETTINGS
        if manifest["kind"] == "PodDisruptionBudget":
            labels = manifest["spec"]["selector"]["matchLabels"]
            assert labels["app.kubernetes.io/name"] in SETTINGS


def test_keda_scales_what_the_autoscaler_would_and_by_metrics_that_there_are() -> None:
    """Its own schema is not to be had here: names and types are those of its documentation."""
    manifests = rendered(KUBERNETES / "overlays" / "keda")
    assert {
        m["spec"]["scaleTargetRef"]["name"]
        for m in manifests
        if m["kind"] == "HorizontalPodAutoscaler"
    } == {"verifier"}
    (scaled,) = [m for m in manifests if m["kind"] == "ScaledObject"]
    (replaced,) = [
        m["spec"]
        for m in base()
        if m["kind"] == "HorizontalPodAutoscaler" and m["metadata"]["name"] == "transcriber"
    ]
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    spec = scaled["spec"]
    assert spec.keys() == {
        *("scaleTargetRef", "pollingInterval", "minReplicaCount", "maxReplicaCount"),
        *("fallback", "advanced", "triggers"),
    }
    assert spec["scaleTargetRef"] == replaced["scaleTargetRef"]
    assert spec["minReplicaCount"] == replaced["minReplicas"]
    assert spec["maxReplicaCount"] == replaced["maxReplicas"]
    advanced = spec["advanced"]["horizontalPodAutoscalerConfig"]
    assert advanced["behavior"] == replaced["behavior"]
    (trigger,) = spec["triggers"]
    assert (trigger["type"], trigger["metricType"]) == ("prometheus", "AverageValue")
    assert all(isinstance(value, str) for value in trigger["metadata"].values())
    assert trigger["metadata"]["threshold"] == "48"
    exported = generate_latest(GatewayMetrics().registry).decode()
    for metric in re.findall(r"stt_\w+", trigger["metadata"]["query"]):
        assert f"\n{metric} 0.0\n" in exported


def test_engines_are_reached_where_they_listen(monkeypatch: pytest.MonkeyPatch) -> None:
    manifests = rendered(KUBERNETES / "overlays" / "engines")
    stages = pods(manifests)
    engine, transcriber = (container_of(stages[name]) for name in ("engine", "transcriber"))
    (service,) = [
        m["spec"]
        for m in manifests
        if (m["kind"], m["metadata"]["name"]) == ("Service", "engine-links")
    ]
    ports = {port["name"]: port["containerPort"] for port in engine["ports"]}
    assert engine["args"] == ["transcriber.engines"]
    assert variables(engine)["STT_ENGINE_ENDPOINT"] == f"tcp://*:{ports['engine']}"
    assert variables(transcriber)["STT_ENGINES_AT"] == f"tcp://engine-links:{ports['engine']}"
    assert service["clusterIP"] == "None"  # each transcriber asks all of them
    assert service["selector"] == {"app.kubernetes.io/name": "engine"}
    assert [port["port"] for port in service["ports"]] == [ports["engine"]]
    policies = {m["metadata"]["name"]: m["spec"] for m in manifests if m["kind"] == "NetworkPolicy"}
    asks = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "transcriber"}}}
    assert policies["engine"]["ingress"] == [
        {"from": [asks], "ports": [{"protocol": "TCP", "port": "engine"}]}
    ]
    asked = {"podSelector": {"matchLabels": {"app.kubernetes.io/name": "engine"}}}
    assert {"to": [asked], "ports": [{"protocol": "TCP", "port": "engine"}]} in (
        policies["transcriber"]["egress"]
    )
    image = dict(re.findall(r"\b(STT_\w+)=(\S+)", (ROOT / "deploy" / "Dockerfile").read_text()))
    for name, value in (image | shared() | variables(engine)).items():
        monkeypatch.setenv(name, value)
    settings = parse(EngineStageSettings, [], prog="engine", description="")
    assert settings.engine_name == "pocketsphinx"
