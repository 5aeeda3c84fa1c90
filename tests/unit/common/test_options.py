"""One declaration gives a flag, an environment variable, a default and a range."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import pytest

from common.errors import SettingsError
from common.options import check_range, option, parse, range_of, variable_of


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """One option of each sort."""

    count: int = option(2, "-n", "--count", help="how many", low=1, high=8)
    share: float = option(0.5, "--share", help="how much", low=0, high=1)
    free: int = option(7, "--free", help="any number")
    words: tuple[str, ...] = option((), "--words", nargs="*", type=str, help="several")
    named: str = option("", "--named", help="a text", variable="OTHER")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("STT_"):
            monkeypatch.delenv(name)


def parsed(*argv: str) -> Options:
    return parse(Options, argv, prog="x", description="")


FIELDS = {field.name: field for field in dataclasses.fields(Options)}


def test_the_ends_of_a_range_are_taken() -> None:
    assert parsed("-n", "1").count == 1
    assert parsed("-n", "8", "--share", "1").count == 8
    assert parsed("--share", "0").share == 0


@pytest.mark.parametrize(
    "argv, complaint",
    [
        (["-n", "0"], "argument -n/--count: 0 given, allowed are 1 to 8"),
        (["--count", "9"], "9 given, allowed are 1 to 8"),
        (["--count", "1.5"], "'1.5' is not a whole number"),
        (["--share", "-0.1"], "-0.1 given, allowed are 0 to 1"),
        (["--share", "nan"], "nan given, allowed are 0 to 1"),
        (["--share", "much"], "'much' is not a number"),
    ],
)
def test_what_lies_outside_is_refused_by_name(
    argv: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed(*argv)
    assert caught.value.code == 2
    assert complaint in capsys.readouterr().err


def test_a_range_holds_for_the_environment_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STT_COUNT", "99")
    with pytest.raises(SystemExit):
        parsed()
    assert "allowed are 1 to 8" in capsys.readouterr().err


def test_a_number_without_a_range_is_any() -> None:
    assert parsed("--free", "-1000000").free == -1_000_000
    assert range_of(FIELDS["free"]) == (None, None)


def test_several_values_are_a_tuple() -> None:
    assert parsed("--words", "a", "b").words == ("a", "b")
    assert parsed("--words").words == ()


def test_a_variable_may_have_a_name_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STT_OTHER", "x")
    assert parsed().named == "x"
    assert variable_of(FIELDS["named"]) == "STT_OTHER"
    assert variable_of(FIELDS["count"]) == "STT_COUNT"


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_a_range_is_checked_and_told(value: float) -> None:
    with pytest.raises(SettingsError, match=r"--x is .*, allowed are 0 to 1"):
        check_range("--x", value, 0, 1)


@pytest.mark.parametrize("value", [0, 0.5, 1])
def test_the_ends_of_a_range_are_allowed(value: Any) -> None:
    check_range("--x", value, 0, 1)
