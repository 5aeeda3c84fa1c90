"""RealtimeSTT's recorder without torch and SciPy, of which it needs nothing here.

Its modules import torch for ``torch.multiprocessing``, whose names are Python's own, and to ask for
a CUDA device, which no recorder uses when its engines are shared; and SciPy to resample what is not
at 16 kHz, as all is that a session feeds. So these modules find stand-ins, and only they: an engine
that runs on torch imports torch, and SciPy's functions import it once they are called. Both would
take a transcriber two seconds of CPU time at its start and 250 MB of memory, and an image 500 MB.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import multiprocessing
import sys
from collections.abc import Callable, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, Final

MODULES: Final = (
    "RealtimeSTT.core.voice_activity",
    "RealtimeSTT.core.manual_audio_input",
    "RealtimeSTT.core.runtime",
    "RealtimeSTT.core.initialization",
)
"""Those that import torch or SciPy, each after what it imports itself."""


class _Later(ModuleType):
    """A module of functions that is imported when one of them is called."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(name)

        def call(*arguments: Any, **keywords: Any) -> Any:
            function = getattr(importlib.import_module(self.__name__), name)
            return function(*arguments, **keywords)

        return call


def _stand_ins() -> dict[str, ModuleType]:
    """What the modules use, by name; only what is named here can be imported."""
    processes = ModuleType("torch.multiprocessing")
    names = multiprocessing.__all__
    vars(processes).update({name: getattr(multiprocessing, name) for name in names})
    # Neither has its name: `from torch import X` would look for torch.X among all that is loaded.
    torch, scipy = ModuleType("stand_in_for_torch"), ModuleType("stand_in_for_scipy")
    vars(torch).update(multiprocessing=processes, cuda=SimpleNamespace(is_available=lambda: False))
    signal = _Later("scipy.signal")
    vars(scipy).update(signal=signal)
    return {
        "torch": torch,
        "torch.multiprocessing": processes,
        "scipy": scipy,
        "scipy.signal": signal,
    }


def _importer(stand_ins: dict[str, ModuleType]) -> Any:
    """``__import__``, but for the stand-ins."""

    def import_module(
        name: str,
        globals: Any = None,  # noqa: A002 - as Python calls them
        locals: Any = None,  # noqa: A002
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> ModuleType:
        top = name.partition(".")[0]
        if level or top not in stand_ins:
            return builtins.__import__(name, globals, locals, fromlist or (), level)
        if name not in stand_ins:
            raise ImportError(f"RealtimeSTT's recorder did without {name} so far", name=name)
        return stand_ins[name if fromlist else top]

    return import_module


def import_lightly(names: Sequence[str] = MODULES) -> None:
    """Import these modules of a package; what was imported before stays as it is.

    Raises:
        ImportError: a module is not there, or takes more of torch and SciPy than it did.
    """
    importer = _importer(_stand_ins())
    for name in names:
        if name in sys.modules:
            continue
        spec = importlib.util.find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(f"there is no module {name}", name=name)
        module = importlib.util.module_from_spec(spec)
        vars(module)["__builtins__"] = {**vars(builtins), "__import__": importer}
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
        parent, _, tail = name.rpartition(".")
        setattr(sys.modules[parent], tail, module)
