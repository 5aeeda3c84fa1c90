"""RealtimeSTT's recorder without torch, of which it needs nothing here.

Two of its modules import torch: for ``torch.multiprocessing``, whose names are Python's own, and to
ask for a CUDA device, which no recorder uses when its engines are shared. So these two find
stand-ins, and only they: an engine that runs on torch imports torch. It would take a transcriber
more than a second of CPU time at its start and 180 MB of memory, and an image 400 MB.
"""

from __future__ import annotations

import builtins
import importlib
import importlib.util
import multiprocessing
import sys
from collections.abc import Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, Final

MODULES: Final = ("RealtimeSTT.core.runtime", "RealtimeSTT.core.initialization")
"""Those that import torch, each after what it imports itself."""


def _stand_in() -> ModuleType:
    """What they use of torch."""
    processes = ModuleType("torch.multiprocessing")
    vars(processes).update(
        {name: getattr(multiprocessing, name) for name in multiprocessing.__all__}
    )
    # Not called torch: `from torch import X` would look for torch.X among all that is loaded.
    torch = ModuleType("stand_in_for_torch")
    vars(torch).update(multiprocessing=processes, cuda=SimpleNamespace(is_available=lambda: False))
    return torch


def _importer(torch: ModuleType) -> Any:
    """``__import__``, but torch is the stand-in."""

    def import_module(name: str, *others: Any, **named: Any) -> ModuleType:
        if name.partition(".")[0] != "torch":
            return builtins.__import__(name, *others, **named)
        if name not in ("torch", "torch.multiprocessing"):
            raise ImportError(f"RealtimeSTT's recorder did without {name} so far", name=name)
        return torch

    return import_module


def import_without_torch(names: Sequence[str] = MODULES) -> None:
    """Import these modules of a package; what was imported before stays as it is.

    Raises:
        ImportError: a module is not there, or takes more of torch than it did.
    """
    importer = _importer(_stand_in())
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
