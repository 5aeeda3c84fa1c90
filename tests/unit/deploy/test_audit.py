"""deploy.audit: what a report of pip-audit comes to."""

from __future__ import annotations

import json

import pytest

from deploy import audit
from deploy.audit import CLEAN, NOT_ASKED, VULNERABLE, read

GOOD = {"name": "websockets", "version": "16.0", "vulns": []}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}
BAD = {
    "name": "requests",
    "version": "1.0",
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["1.1"]}],
}


def report(*packages: object) -> str:
    return json.dumps({"dependencies": packages, "fixes": []})


def test_no_findings_is_clean_and_says_about_how_many_it_asked() -> None:
    result = read(report(GOOD, SKIPPED))
    assert result.status == CLEAN
    assert result.summary == (
        "audit: 1 packages asked about, 0 findings (1 packages are unknown to it)"
    )


def test_a_finding_is_named_with_the_version_that_mends_it() -> None:
    result = read(report(GOOD, BAD))
    assert result.status == VULNERABLE
    assert result.found == ("requests 1.0: PYSEC-1, mended in 1.1",)


def test_an_accepted_finding_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(audit.ACCEPTED, "CVE-1", "a reason")
    assert read(report(BAD)).status == CLEAN


@pytest.mark.parametrize("text", ["", report(SKIPPED)])
def test_a_service_that_does_not_answer_is_never_taken_for_a_clean_bill(text: str) -> None:
    result = read(text)
    assert result.status == NOT_ASKED
    assert "NOT DONE" in result.summary
