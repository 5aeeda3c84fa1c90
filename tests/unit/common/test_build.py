"""Every stage says what runs and what its process uses."""

from __future__ import annotations

import tomllib

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from common.build import describe, version
from tests.processes import ROOT


def test_the_version_is_the_projects() -> None:
    assert version() == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_build_and_process_are_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFIED_STT_REVISION", "abc123")
    registry = CollectorRegistry()
    describe(registry, "verifier")
    labels = {"stage": "verifier", "version": version(), "revision": "abc123"}
    assert registry.get_sample_value("stt_build_info", labels) == 1
    assert b"process_resident_memory_bytes" in generate_latest(registry)
    assert registry.get_sample_value("process_start_time_seconds")
