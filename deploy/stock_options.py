"""Options of RealtimeSTT's ``stt-server`` that have no meaning here: accepted, with a warning."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, Final, NamedTuple


class StockOption(NamedTuple):
    """One option of RealtimeSTT 1.1.2's ``stt-server`` and why it does nothing here."""

    flags: tuple[str, ...]
    takes_value: bool
    why: str


WITHOUT_EFFECT: Final = (
    StockOption(
        ("-i", "--input-device", "--input-device-index"),
        True,
        "the server has no microphone, audio comes from its clients",
    ),
    StockOption(
        ("-W", "--write"),
        True,
        "every client has a recorder of its own; --tap-dir DIR writes what each one heard",
    ),
    StockOption(("--debug_websockets",), False, "--debug covers the WebSockets"),
    StockOption(("--logchunks",), False, "--use_extended_logging logs every frame"),
    StockOption(("--silero_use_onnx",), False, "Silero VAD always runs on ONNX here"),
    StockOption(
        ("--handle_buffer_overflow",),
        False,
        "audio is never discarded: a client that is too fast is read more slowly",
    ),
    StockOption(
        ("--allowed_latency_limit",),
        True,
        "audio is never discarded: a client that is too fast is read more slowly",
    ),
)


class _Ignore(argparse.Action):
    def __init__(self, *args: Any, why: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._why = why

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        earlier = getattr(namespace, "warnings", ())
        namespace.warnings = (*earlier, f"{option_string} has no effect: {self._why}")


def add_stock_options(parser: argparse.ArgumentParser) -> None:
    """Accept the options of :data:`WITHOUT_EFFECT`; ``warnings`` of the namespace collects them."""
    group = parser.add_argument_group(
        "accepted for compatibility", "options of RealtimeSTT's stt-server without effect here"
    )
    parser.set_defaults(warnings=())
    for stock in WITHOUT_EFFECT:
        group.add_argument(
            *stock.flags,
            dest=argparse.SUPPRESS,
            default=argparse.SUPPRESS,
            action=_Ignore,
            nargs=None if stock.takes_value else 0,
            metavar="VALUE" if stock.takes_value else None,
            why=stock.why,
            help=stock.why,
        )
