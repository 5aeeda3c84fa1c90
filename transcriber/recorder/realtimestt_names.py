"""The names within RealtimeSTT that a session's threads see differently, in one table.

They are private to RealtimeSTT, so each is looked at before it is replaced: a release that is not
known, or a name that is not what it was, is refused with one message, and nothing is replaced.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, Final, NamedTuple

from common.errors import SettingsError
from transcriber.recorder import stand_ins
from transcriber.recorder.audio_clock import SessionTime
from transcriber.recorder.light_imports import import_lightly

KNOWN_RELEASES: Final = ("1.1.2",)
PACKAGE: Final = "RealtimeSTT"


class Replacement(NamedTuple):
    """One name of a module of ``RealtimeSTT.core``."""

    module: str
    name: str
    looks: str
    """``module NAME`` for an imported module, ``builtin`` for a name that the module takes from
    Python, else the parameters of a function, as ``recorder, audio``."""
    replace: Callable[[Any], Any]
    """Makes the replacement out of the original."""
    why: str


AUDIO_TIME: Final = "silences are measured in audio, not on the wall"

TABLE: Final[tuple[Replacement, ...]] = (
    *(
        Replacement(module, "time", "module time", lambda _: SessionTime(), AUDIO_TIME)
        for module in ("lifecycle", "realtime", "recording", "voice_activity")
    ),
    Replacement(
        "voice_activity",
        "threading",
        "module threading",
        lambda _: stand_ins.DetectorThreading(),
        "the voice check of a chunk ends before the next chunk, on the same thread",
    ),
    Replacement(
        "initialization",
        "mp",
        "module torch.multiprocessing",
        stand_ins.RecorderMultiprocessing,
        "what stays in one process needs no semaphore files and no tracker process",
    ),
    Replacement(
        "initialization",
        "create_silero_vad_model",
        "backend, silero_use_onnx, onnx_model_path, onnx_threads, sample_rate, chunk_samples, "
        "logger",
        stand_ins.shared_silero,
        "the detector's network is loaded once",
    ),
    Replacement(
        "initialization",
        "run_recording_worker",
        "recorder",
        functools.partial(stand_ins.with_clock, recover=True),
        "the thread runs on its session's clock, and goes on after an error",
    ),
    Replacement(
        "initialization",
        "run_realtime_worker",
        "recorder",
        functools.partial(stand_ins.with_clock, least_sleep_s=stand_ins.PARTIAL_LOOK_S),
        "the thread runs on its session's clock, and looks after partial results less often",
    ),
    Replacement(
        "initialization",
        "_start_worker_threads",
        "recorder",
        stand_ins.started_on_its_feed,
        "the recorder reads its session's feed from its first moment on",
    ),
    Replacement(
        "initialization",
        "_configure_logger",
        "recorder, no_log_file, init_args",
        stand_ins.no_logger_per_recorder,
        "no log handler per recorder",
    ),
    Replacement(
        "recording",
        "submit_transcription_request",
        "recorder, audio, language, use_prompt, options",
        stand_ins.submit_early_for_its_recording,
        "an early transcription belongs to its recording",
    ),
    Replacement(
        "shutdown",
        "gc",
        "module gc",
        lambda _: stand_ins.Collector(),
        "closing one session must not stop all others for a full collection",
    ),
    *(
        Replacement(
            module, "print", "builtin", lambda _: stand_ins.print_nothing, "nothing is printed"
        )
        for module in ("shutdown", "transcription_api")
    ),
)


def check_release(release: str = "") -> None:
    """Refuse a release of RealtimeSTT [the installed one] that this table was not written for.

    Raises:
        SettingsError: says which one to install.
    """
    release = release or importlib.metadata.version(PACKAGE)
    if release not in KNOWN_RELEASES:
        raise SettingsError(
            f"RealtimeSTT {release} is installed, but its recorders are served by replacing names "
            f"within it, and that is known to be right for {', '.join(KNOWN_RELEASES)} only: "
            f"pip install RealtimeSTT=={KNOWN_RELEASES[-1]}"
        )


def check_names(modules: Mapping[str, ModuleType], table: Sequence[Replacement] = TABLE) -> None:
    """See that each name is there and looks as expected.

    Raises:
        SettingsError: names every one that does not.
    """
    wrong = [
        f"{entry.module}.{entry.name} {fault}"
        for entry in table
        if (fault := _fault(modules[entry.module], entry))
    ]
    if wrong:
        raise SettingsError(
            "this RealtimeSTT is not the release that it says it is: " + "; ".join(wrong)
        )


def replace_names(modules: Mapping[str, ModuleType], table: Sequence[Replacement] = TABLE) -> None:
    """Put the replacements in place."""
    for entry in table:
        module = modules[entry.module]
        original = getattr(module, entry.name, getattr(builtins, entry.name, None))
        setattr(module, entry.name, entry.replace(original))


@functools.cache
def install() -> None:
    """Check RealtimeSTT and replace the names, once per process. Imports it: a second or two.

    Raises:
        SettingsError: it is not the RealtimeSTT that the table was written for.
    """
    check_release()
    import_lightly()
    names = sorted({entry.module for entry in TABLE})
    modules = {name: importlib.import_module(f"{PACKAGE}.core.{name}") for name in names}
    check_names(modules)
    replace_names(modules)
    # To the handlers of the process, instead of one more per recorder.
    logging.getLogger("realtimestt").propagate = True


def is_installed() -> bool:
    """Whether the names are replaced."""
    return install.cache_info().currsize > 0


def _fault(module: ModuleType, entry: Replacement) -> str:
    """What is wrong with a name; "" when it looks as expected."""
    kind, _, wanted = entry.looks.partition(" ")
    found = vars(module).get(entry.name)
    if entry.looks == "builtin":
        return "" if found is None else "is a name of the module's own"
    if found is None:
        return "is missing"
    if kind == "module":
        is_it = isinstance(found, ModuleType) and found.__name__ == wanted
        return "" if is_it else f"is not the module {wanted}"
    if not callable(found):
        return "is not a function"
    parameters = ", ".join(inspect.signature(found).parameters)
    return "" if parameters == entry.looks else f"takes ({parameters}), not ({entry.looks})"
