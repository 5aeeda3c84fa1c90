"""RealtimeSTT's names: looked at before they are replaced, and all of them or none."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import pytest

from common.errors import SettingsError
from transcriber.recorder.realtimestt_names import (
    KNOWN_RELEASES,
    TABLE,
    Replacement,
    check_names,
    check_release,
    replace_names,
)


def marked(original: Any) -> Any:
    return ("instead of", original)


def worker(recorder: Any, patience_s: float) -> None:
    """A function of some module."""


def entry(name: str, looks: str) -> Replacement:
    return Replacement("core", name, looks, marked, "a test")


ENTRIES = [
    entry("time", "module time"),
    entry("worker", "recorder, patience_s"),
    entry("print", "builtin"),
]


@pytest.fixture
def core() -> ModuleType:
    module = ModuleType("core")
    vars(module).update(time=time, worker=worker)
    return module


def test_names_that_look_as_expected_are_replaced_by_what_is_made_of_them(core: ModuleType) -> None:
    check_names({"core": core}, ENTRIES)
    replace_names({"core": core}, ENTRIES)
    for name, original in (("time", time), ("worker", worker), ("print", print)):
        assert getattr(core, name) == ("instead of", original)


@pytest.mark.parametrize(
    "name, value, complaint",
    [
        ("time", None, "core.time is missing"),
        ("time", time.monotonic, "core.time is not the module time"),
        ("worker", None, "core.worker is missing"),
        ("worker", 5, "core.worker is not a function"),
        ("worker", lambda recorder: None, r"takes \(recorder\), not \(recorder, patience_s\)"),
        ("print", print, "core.print is a name of the module's own"),
    ],
)
def test_a_name_that_is_not_what_it_was_is_named(
    name: str, value: Any, complaint: str, core: ModuleType
) -> None:
    vars(core)[name] = value
    with pytest.raises(SettingsError, match=complaint):
        check_names({"core": core}, ENTRIES)


def test_all_that_is_wrong_is_said_at_once(core: ModuleType) -> None:
    del vars(core)["time"], vars(core)["worker"]
    with pytest.raises(SettingsError, match=r"core\.time is missing; core\.worker is missing"):
        check_names({"core": core}, ENTRIES)


@pytest.mark.parametrize("release", ["1.1.1", "1.2.0", "2.0"])
def test_a_release_that_is_not_known_is_refused_with_what_to_install(release: str) -> None:
    with pytest.raises(SettingsError, match=f"{release} is installed.*RealtimeSTT==1.1.2"):
        check_release(release)


def test_the_release_that_is_installed_is_known() -> None:
    for release in KNOWN_RELEASES:
        check_release(release)
    check_release()


def test_no_name_is_replaced_twice_and_each_says_why() -> None:
    names = [(entry.module, entry.name) for entry in TABLE]
    assert len(names) == len(set(names))
    assert all(entry.why for entry in TABLE)
