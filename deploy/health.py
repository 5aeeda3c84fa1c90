"""What a running stage says of itself over HTTP."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families

from common.telemetry import STAGE_HEADER
from deploy.figures import Labels, Samples


class Health(NamedTuple):
    """Answer to ``/readyz``: ready or not, and the reason in the stage's own words."""

    ready: bool
    reason: str


class _Answer(NamedTuple):
    status: int
    text: str
    stage: str
    """Who answers, as :data:`common.telemetry.STAGE_HEADER` says it; "" by another program."""


def _get(url: str, path: str, timeout_s: float) -> _Answer:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        text = response.read().decode(errors="replace")
        return _Answer(response.status, text, response.getheader(STAGE_HEADER, ""))
    finally:
        connection.close()


def health(url: str, timeout_s: float = 0.5, pid: int = 0) -> Health:
    """Ask a stage whether it is ready; one that does not answer is not.

    Args:
        pid: of the stage, where it is known: the port may be another program's.
    """
    try:
        answer = _get(url, "/readyz", timeout_s)
    except (OSError, http.client.HTTPException):
        return Health(False, "no answer")
    if pid and answer.stage.rpartition(" ")[2] != str(pid):
        return Health(False, f"another program answers at {url}")
    return Health(answer.status == http.client.OK, answer.text.strip())


def hangs(url: str, pid: int, timeout_s: float = 0.2) -> str:
    """Why a stage that answers is not healthy; "" when it is, and when it does not answer."""
    try:
        answer = _get(url, "/healthz", timeout_s)
    except (OSError, http.client.HTTPException):
        return ""
    unhealthy = answer.status == http.client.SERVICE_UNAVAILABLE
    return answer.text.strip() if unhealthy and answer.stage.endswith(f" {pid}") else ""


def samples(url: str, timeout_s: float = 0.5) -> Samples:
    """Everything that a stage's ``/metrics`` says; nothing when it does not answer."""
    try:
        text = _get(url, "/metrics", timeout_s).text
        return {
            (each.name, Labels(each.labels.items())): each.value
            for family in text_string_to_metric_families(text)
            for each in family.samples
        }
    except (OSError, http.client.HTTPException, ValueError):
        return {}


def sample(url: str, names: tuple[str, ...], timeout_s: float = 0.5) -> float | None:
    """The sum of a metric's samples, by the first of ``names`` that the stage has; else None."""
    try:
        text = _get(url, "/metrics", timeout_s).text
        families = {family.name: family for family in text_string_to_metric_families(text)}
    except (OSError, http.client.HTTPException, ValueError):
        return None
    for name in names:
        if name in families:
            return sum(sample.value for sample in families[name].samples)
    return None
