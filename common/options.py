"""How an option is declared, once: a flag, an environment variable, a default and a range.

A field ``data_port`` declared with :func:`option` is settable as each of its flags, or as
``STT_DATA_PORT``; flags win. A value outside its range is refused by whoever parses it: each stage,
and ``deploy/stt-server`` before it starts any.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import configargparse

from common.errors import SettingsError

ENVIRONMENT_PREFIX: Final = "STT_"
_TRUTH: Final = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}
S = TypeVar("S")


def option(
    default: Any,
    *flags: str,
    help: str,  # noqa: A002
    low: float | None = None,
    high: float | None = None,
    variable: str = "",
    **argparse_kwargs: Any,
) -> Any:
    """Declare one option as a dataclass field.

    Args:
        default: its value when neither flag nor environment names it; a tuple for several values.
        flags: as on the command line; the first long one names it in messages.
        help: one sentence; the default is appended.
        low: least value of a number.
        high: greatest value of a number.
        variable: its environment variable without ``STT_`` [the field's name in upper case].
        argparse_kwargs: passed to ``add_argument``; the type defaults to that of ``default``.
    """
    metadata = {
        "flags": flags,
        "help": help,
        "range": (low, high),
        "variable": variable,
        "argparse": argparse_kwargs,
    }
    return dataclasses.field(default=default, metadata=metadata)


def add_options(parser: argparse.ArgumentParser, *declarations: type) -> None:
    """Add the options of settings classes to a parser; one shared by several is added once."""
    seen: set[str] = set()
    for declaration in declarations:
        for field in dataclasses.fields(declaration):
            if field.name in seen or "flags" not in field.metadata:
                continue
            seen.add(field.name)
            parser.add_argument(*field.metadata["flags"], **_argument(field))


def variable_of(field: dataclasses.Field[Any]) -> str:
    """The environment variable of an option."""
    return ENVIRONMENT_PREFIX + (field.metadata["variable"] or field.name.upper())


def range_of(field: dataclasses.Field[Any]) -> tuple[float | None, float | None]:
    """Least and greatest value of an option; None where there is no limit."""
    low, high = field.metadata["range"]
    return low, high


def _argument(field: dataclasses.Field[Any]) -> dict[str, Any]:
    default = field.default
    keywords: dict[str, Any] = {
        "dest": field.name,
        "default": default,
        "help": field.metadata["help"],
        "env_var": variable_of(field),
        **field.metadata["argparse"],
    }
    if isinstance(default, bool):
        keywords.setdefault("action", "store_true" if not default else Switch)
    elif "type" not in keywords:
        keywords["type"] = type(default)
        if range_of(field) != (None, None):
            keywords["type"] = _within(type(default), *range_of(field))
        keywords.setdefault("metavar", {int: "N", float: "X"}.get(type(default), "TEXT"))
    if "choices" in keywords:
        keywords.pop("metavar", None)
    if not isinstance(default, bool) and default not in ("", ()) and "[" not in keywords["help"]:
        keywords["help"] += f" [{default}]"
    return keywords


class Switch(argparse.Action):
    """An option that can be on or off: ``--x``, ``--x false`` or ``--no-x``."""

    def __init__(self, option_strings: Sequence[str], dest: str, **keywords: Any) -> None:
        off = [f"--no-{flag[2:]}" for flag in option_strings if flag.startswith("--")]
        # ConfigArgParse gives the environment's value to the last one.
        super().__init__([*off, *option_strings], dest, nargs="?", metavar="BOOL", **keywords)

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        on = _TRUTH.get("true" if values is None else str(values).lower())
        if on is None:
            raise argparse.ArgumentError(self, f"true or false is expected, not {values!r}")
        negated = option_string is not None and option_string.startswith("--no-")
        setattr(namespace, self.dest, on is not negated)


def parse(
    declaration: type[S], argv: Sequence[str] | None = None, *, prog: str, description: str
) -> S:
    """Settings of one stage from the command line and the environment.

    Exits with status 2 and a message on a bad option, as argparse does.
    """
    parser = configargparse.ArgumentParser(
        prog=prog,
        description=description,
        allow_abbrev=False,
    )
    add_options(parser, declaration)
    return from_namespace(declaration, parser.parse_args(argv))


def from_namespace(declaration: type[S], namespace: argparse.Namespace) -> S:
    """Settings of one class out of parsed arguments that may hold more."""
    names = {field.name for field in dataclasses.fields(declaration)}  # type: ignore[arg-type]
    values = {k: v for k, v in vars(namespace).items() if k in names}
    return declaration(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})


def to_environment(namespace: argparse.Namespace, *declarations: type) -> dict[str, str]:
    """Environment that makes stages take the values of ``namespace`` that differ from defaults."""
    environment: dict[str, str] = {}
    for declaration in declarations:
        for field in dataclasses.fields(declaration):
            value = getattr(namespace, field.name, None)
            value = tuple(value) if isinstance(value, list) else value
            if value is None or value == field.default:
                continue
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if isinstance(value, tuple):
                text = "[" + ", ".join(str(item) for item in value) + "]"
            environment[variable_of(field)] = text
    return environment


def _within(kind: type, low: float | None, high: float | None) -> Callable[[str], Any]:
    """A type of ``argparse`` that takes numbers from ``low`` to ``high``."""
    least = float("-inf") if low is None else low
    most = float("inf") if high is None else high

    def parse_number(text: str) -> Any:
        try:
            value = kind(text)
        except ValueError:
            what = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"{text!r} is not a {what}") from None
        if not least <= value <= most:  # NaN is in no range
            raise argparse.ArgumentTypeError(
                f"{text} given, allowed are {least:.12g} to {most:.12g}"
            )
        return value

    return parse_number


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Refuse an option outside ``low`` to ``high``.

    Raises:
        SettingsError: names the option and the range.
    """
    if not low <= value <= high:
        raise SettingsError(f"{name} is {value}, allowed are {low} to {high}")
