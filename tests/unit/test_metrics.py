"""Every labelled series is there from the start: what is absent cannot be alerted on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Counter

from gateway.metrics import REFUSALS, GatewayMetrics
from tests.processes import ROOT
from transcriber.batch_metrics import EngineMetrics
from transcriber.metrics import TranscriberMetrics
from verifier.metrics import Metrics as VerifierMetrics

Stage = GatewayMetrics | VerifierMetrics | TranscriberMetrics | EngineMetrics
STAGES: list[tuple[type[Stage], str]] = [
    (GatewayMetrics, "gateway"),
    (VerifierMetrics, "verifier"),
    (TranscriberMetrics, "transcriber"),
    (EngineMetrics, "transcriber/engine_stage.py"),
]
LITERAL = re.compile(r'metrics\.(\w+)\.labels\("(\w+)"\)')


def sources(place: str) -> Iterator[str]:
    path = ROOT / place
    for file in [path] if path.is_file() else sorted(path.rglob("*.py")):
        yield Path(file).read_text()


def empty_families(registry: CollectorRegistry) -> list[str]:
    return [family.name for family in registry.collect() if not family.samples]


@pytest.mark.parametrize("make", [make for make, _ in STAGES])
def test_no_metric_is_without_a_series_at_the_start(make: type[Stage]) -> None:
    registry = make().registry
    assert empty_families(registry) == []
    Counter("late", "A metric whose series come later", ["why"], registry=registry)
    assert empty_families(registry) == ["late"]


@pytest.mark.parametrize("make, place", STAGES)
def test_the_labels_that_the_code_names_are_among_them(make: type[Stage], place: str) -> None:
    metrics = make()
    for source in sources(place):
        for attribute, label in LITERAL.findall(source):
            metric = getattr(metrics, attribute, None)
            if metric is None:
                continue  # an engine's, in the transcriber's folder
            (family,) = metric.collect()
            values = {value for sample in family.samples for value in sample.labels.values()}
            assert label in values, f"{attribute} has no series for {label}"


def test_every_kind_of_message_that_is_not_taken_is_among_them() -> None:
    (family,) = GatewayMetrics().refused.collect()
    known = {sample.labels["reason"] for sample in family.samples}
    for source in sources("gateway"):
        assert set(re.findall(r'\bRefuse\(\s*"(\w+)"', source)) <= known


def test_every_reason_to_be_refused_at_the_door_is_among_them() -> None:
    found = {
        kind
        for source in sources("gateway")
        for kind in re.findall(r'\bRefusal\(\s*"(\w+)"', source)
    }
    assert found == set(REFUSALS)
