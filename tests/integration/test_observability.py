"""deploy/observability on a real Prometheus that scraped a real run; costs about 25 seconds.

One system and one Prometheus serve all tests: a sentence, a corrupt frame, then questions.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
import pytest

from common.client import connect, flip_bit
from deploy.observe import OBSERVABILITY
from tests.integration.fake_stages import assert_all_gone
from tests.processes import ROOT, StageProcess, Stages, free_port, wait_until
from tests.speech import load, silence

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (shutil.which("prometheus") and shutil.which("promtool")),
        reason="no prometheus and promtool (Debian: prometheus; deploy/set-up services)",
    ),
]
DASHBOARD: Final[dict[str, Any]] = json.loads((OBSERVABILITY / "dashboard.json").read_text())
QUERIES: Final = [
    (f"{panel['title']} {target['refId']}", target["expr"])
    for panel in DASHBOARD["panels"]
    for target in panel.get("targets", [])
]
MAY_BE_EMPTY: Final = frozenset(
    {"Refused messages, unreadable frames B", "Bounds that clients met A"}
)
"""Series whose labels are known only once something happens."""


class Prometheus:
    """Asks a running Prometheus."""

    def __init__(self, port: int) -> None:
        self._base = f"http://127.0.0.1:{port}"

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer."""
        query = urllib.parse.urlencode(parameters)
        with urllib.request.urlopen(f"{self._base}{path}?{query}", timeout=10) as response:
            return json.load(response)["data"]

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """Series of an expression, now."""
        found: list[dict[str, Any]] = self.get("/api/v1/query", query=expression)["result"]
        return found


async def _talk(url: str) -> None:
    async with asyncio.timeout(60), connect(url) as stream:
        await stream.send(silence(0.5) + load("bridge") + silence(0.5))
        await stream.send(silence(0.5), corrupt=flip_bit)
        await stream.send(silence(1.0))
        await stream.finish()


class System(NamedTuple):
    """A running system and the Prometheus that scrapes it."""

    run_dir: Path
    url: str
    prometheus: Prometheus


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """`make observe`, which is to leave nothing."""
    with Stages() as stages:
        run_dir = stages.run_dir / "run"
        data, metrics, port = free_port(), free_port(), free_port()
        observe = StageProcess(
            [
                *(sys.executable, "-m", "deploy.observe", "--verify-data-integrity"),
                *("--prometheus-port", str(port), "--scrape-interval", "1"),
                *("--run-dir", str(run_dir), "--engine", "null", "--metrics-port", str(metrics)),
                *("--api-port", "0"),
                *("--data_port", str(data), "--control_port", str(free_port())),
            ]
        )
        stages.processes.append(observe)
        observe.wait_for_line(r"\| READY", 120.0)
        observe.wait_for_line("^observe: Prometheus answers", 60.0)
        pids = [each.pid for each in psutil.Process(observe.pid).children(recursive=True)]
        prometheus = Prometheus(port)

        def scraped(expression: str) -> bool:
            try:
                return bool(prometheus.ask(expression))
            except OSError:
                return False

        wait_until(lambda: scraped('count(up{job="stt"} == 1) == 4'), "all are scraped", 60.0, 0.2)
        asyncio.run(_talk(f"ws://127.0.0.1:{data}"))
        done = (
            "sum(rate(stt_transcriber_final_latency_seconds_count[30s])) > 0",
            'sum(rate(stt_gateway_verdicts_total{verdict="corrupt"}[30s])) > 0',
            'count_over_time(stt_gateway_corrupt_frames_total{address="127.0.0.1"}[30s]) > 1',
        )
        for expression in done:
            wait_until(lambda: scraped(expression), expression, 60.0, 0.2)  # noqa: B023
        yield System(run_dir, f"ws://127.0.0.1:{data}", prometheus)
        observe.signal(signal.SIGINT)
        assert observe.wait() == 0
        assert_all_gone(pids)
        assert not run_dir.exists()


@pytest.fixture
def prometheus(system: System) -> Prometheus:
    return system.prometheus


@pytest.mark.parametrize("title, expression", QUERIES, ids=[title for title, _ in QUERIES])
def test_a_query_of_the_dashboard_finds_series(
    prometheus: Prometheus, title: str, expression: str
) -> None:
    found = prometheus.ask(expression.replace("$__rate_interval", "30s"))
    assert found or title in MAY_BE_EMPTY


def test_status_watches_rates_and_latencies(system: System) -> None:
    command = [str(ROOT / "deploy" / "stt-server"), "status", "--watch", "--json"]
    watch = StageProcess([*command, "--interval", "0.5", "--run-dir", str(system.run_dir)])
    try:
        watch.wait_for_line("frames_per_s", 20.0)
        after = len(watch.lines)
        asyncio.run(_talk(system.url))
        watch.wait_for_line(r'"gateway".*"corrupt_per_s": (?!0\.0|null)', 20.0, after=after)
        watch.wait_for_line(r'"transcriber-1".*"latency_p95_s": \d', 20.0, after=after)
        watch.signal(signal.SIGINT)
        assert watch.wait() == 130
    finally:
        watch.kill()


def test_targets_carry_their_stage_and_name(prometheus: Prometheus) -> None:
    names = {series["metric"]["name"]: series["metric"]["stage"] for series in prometheus.ask("up")}
    assert names == {
        "gateway": "gateway",
        "verifier-1": "verifier",
        "verifier-2": "verifier",
        "transcriber-1": "transcriber",
    }


def test_every_alert_is_loaded_and_none_fires_on_a_sound_system(prometheus: Prometheus) -> None:
    (group,) = prometheus.get("/api/v1/rules")["groups"]
    assert {rule["health"] for rule in group["rules"]} == {"ok"}
    firing = [rule["name"] for rule in group["rules"] if rule["state"] == "firing"]
    assert firing == []


def test_every_metric_of_the_alerts_exists(prometheus: Prometheus) -> None:
    named = set(re.findall(r"\b(?:stt|process)_\w+", (OBSERVABILITY / "alerts.yml").read_text()))
    assert named
    assert [name for name in sorted(named) if not prometheus.ask(name)] == []


def test_promtool_finds_no_fault_in_what_the_stages_expose(prometheus: Prometheus) -> None:
    for target in prometheus.get("/api/v1/targets")["activeTargets"]:
        with urllib.request.urlopen(target["scrapeUrl"], timeout=10) as response:
            done = _promtool("check", "metrics", text=response.read().decode())
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), target["labels"]["name"]


def test_the_alert_rules_do_what_their_tests_say() -> None:
    done = _promtool("test", "rules", str(OBSERVABILITY / "alerts_test.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_test() -> None:
    alerts = re.findall(r"alert: (\w+)", (OBSERVABILITY / "alerts.yml").read_text())
    tested = (OBSERVABILITY / "alerts_test.yml").read_text()
    assert alerts
    assert [name for name in alerts if f"alertname: {name}\n" not in tested] == []


def _promtool(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["promtool", *arguments],
        cwd=Path(OBSERVABILITY),
        input=text,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
