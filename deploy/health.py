"""What a running stage says of itself over HTTP."""

from __future__ import annotations

import http.client
from typing import NamedTuple
from urllib.parse import urlsplit

from prometheus_client.parser import text_string_to_metric_families


class Health(NamedTuple):
    """Answer to ``/readyz``: ready or not, and the reason in the stage's own words."""

    ready: bool
    reason: str


def _get(url: str, path: str, timeout_s: float) -> tuple[int, str]:
    address = urlsplit(url)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout_s)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode(errors="replace")
    finally:
        connection.close()


def health(url: str, timeout_s: float = 0.5) -> Health:
    """Ask a stage whether it is ready; one that does not answer is not."""
    try:
        status, text = _get(url, "/readyz", timeout_s)
    except (OSError, http.client.HTTPException):
        return Health(False, "no answer")
    return Health(status == http.client.OK, text.strip())


def sample(url: str, names: tuple[str, ...], timeout_s: float = 0.5) -> float | None:
    """The sum of a metric's samples, by the first of ``names`` that the stage has; else None."""
    try:
        _, text = _get(url, "/metrics", timeout_s)
        families = {family.name: family for family in text_string_to_metric_families(text)}
    except (OSError, http.client.HTTPException, ValueError):
        return None
    for name in names:
        if name in families:
            return sum(sample.value for sample in families[name].samples)
    return None
