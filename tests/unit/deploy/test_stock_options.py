"""Every option of RealtimeSTT's stt-server is accepted, by the same names, with its default."""

from __future__ import annotations

import argparse
import ast
import importlib.util
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from deploy.command_line import start_parser

OTHER_DEFAULTS: Final = {
    "--model": "the embedded engine, unless a model is named",
    "--device": "cuda where there is one",
    "--root": "None and empty mean the same",
    "--openwakeword_model_paths": "None and empty mean the same",
    "--silence_timing": "store_true that is always true: cannot be switched off there",
}


class Stock(NamedTuple):
    """One ``add_argument`` call of RealtimeSTT's server, as far as it is made of constants."""

    flags: tuple[str, ...]
    options: dict[str, Any]


def stock_options() -> list[Stock]:
    spec = importlib.util.find_spec("RealtimeSTT_server")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    source = Path(spec.submodule_search_locations[0]) / "stt_server.py"
    found = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "add_argument":
            flags = tuple(str(ast.literal_eval(argument)) for argument in node.args)
            options = {}
            for keyword in node.keywords:
                try:
                    options[str(keyword.arg)] = ast.literal_eval(keyword.value)
                except ValueError:
                    options[str(keyword.arg)] = ast.unparse(keyword.value)
            found.append(Stock(flags, options))
    return found


STOCK: Final = stock_options()


def parser_actions() -> dict[str, argparse.Action]:
    return {flag: act for act in start_parser()._actions for flag in act.option_strings}


def test_the_stock_parser_was_found() -> None:
    assert len(STOCK) > 40


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.flags[-1])
def test_all_names_of_a_stock_option_are_one_option_here(stock: Stock) -> None:
    actions = parser_actions()
    assert set(stock.flags) <= set(actions)
    assert len({id(actions[flag]) for flag in stock.flags}) == 1


@pytest.mark.parametrize("stock", STOCK, ids=lambda stock: stock.flags[-1])
def test_a_stock_option_takes_as_many_values_here(stock: Stock) -> None:
    action = parser_actions()[stock.flags[-1]]
    takes_none = stock.options.get("action") == "store_true"
    # What is on by default may be followed by `false` here.
    assert (action.nargs == 0 or (action.nargs == "?" and action.default is True)) == takes_none
    if "nargs" in stock.options:
        assert action.nargs == stock.options["nargs"]


@pytest.mark.parametrize(
    "stock",
    [s for s in STOCK if s.options.get("type") in ("int", "float", "str")],
    ids=lambda stock: stock.flags[-1],
)
def test_a_stock_options_default_is_the_same(stock: Stock) -> None:
    action = parser_actions()[stock.flags[-1]]
    if action.default is argparse.SUPPRESS or set(stock.flags) & set(OTHER_DEFAULTS):
        return
    default = stock.options["default"]
    if default == "DEACTIVITY_SILENCE_CONFIRMATION_DURATION":
        default = 0.16
    if isinstance(action.default, tuple):
        default = tuple(default)
    assert action.default == default


def test_options_without_effect_are_accepted_with_the_reason() -> None:
    arguments = start_parser().parse_args(["-i", "3", "--logchunks", "--write", "x.wav"])
    assert [text.split(":")[0] for text in arguments.warnings] == [
        "-i has no effect",
        "--logchunks has no effect",
        "--write has no effect",
    ]


def test_no_warning_without_such_an_option() -> None:
    assert start_parser().parse_args([]).warnings == ()
