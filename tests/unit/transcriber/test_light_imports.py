"""Modules that need nothing of torch and SciPy are imported without them, and only they."""

from __future__ import annotations

import importlib
import multiprocessing
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from transcriber.recorder.light_imports import import_lightly

PACKAGE = "asks_for_torch"
Write = Callable[[str], None]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes the one module of a package that can be imported."""
    folder = tmp_path / PACKAGE
    folder.mkdir()
    (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()

    def write(source: str) -> None:
        (folder / "core.py").write_text(source)

    yield write
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def imported() -> ModuleType:
    import_lightly([f"{PACKAGE}.core"])
    return importlib.import_module(f"{PACKAGE}.core")


def test_multiprocessing_is_pythons_and_there_is_no_cuda(module: Write) -> None:
    module("import torch\nimport torch.multiprocessing as mp\nfrom json import dumps\n")
    core = imported()
    assert core.mp.__name__ == "torch.multiprocessing", "as the table of names expects it"
    for name in ("Event", "Queue", "Value", "Process", "get_start_method", "set_start_method"):
        assert getattr(core.mp, name) == getattr(multiprocessing, name)
    assert not core.torch.cuda.is_available()
    assert core.dumps([1]) == "[1]"
    assert core.torch is not sys.modules.get("torch")
    assert vars(sys.modules[PACKAGE])["core"] is core


def test_functions_of_scipy_are_its_own_once_they_are_called(module: Write) -> None:
    module("from scipy import signal\nfrom scipy.signal import resample\n")
    core = imported()
    assert type(core.signal).__module__ == "transcriber.recorder.light_imports"
    real = importlib.import_module("scipy.signal")
    ramp = np.arange(8.0)
    assert np.array_equal(core.resample(ramp, 4), real.resample(ramp, 4))
    shorter = core.signal.resample_poly(ramp, 1, 2)
    assert np.array_equal(shorter, real.resample_poly(ramp, 1, 2))


@pytest.mark.parametrize(
    "more, complaint",
    [
        ("from torch import nn", "cannot import name 'nn'"),
        ("import torch.nn", "did without torch"),
        ("import scipy.fft", "did without scipy"),
        ("from scipy import stats", "cannot import name 'stats'"),
    ],
)
def test_a_module_that_needs_more_of_torch_is_refused(
    module: Write, more: str, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever of them is loaded already."""
    for name in ("torch.nn", "scipy.stats"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    module(f"import torch\n{more}\n")
    with pytest.raises(ImportError, match=complaint):
        imported()
    assert f"{PACKAGE}.core" not in sys.modules


def test_what_was_imported_before_is_left_as_it_is(module: Write) -> None:
    module("")
    before = importlib.import_module(f"{PACKAGE}.core")
    assert imported() is before


def test_a_module_that_is_not_there_is_named(module: Write) -> None:
    with pytest.raises(ImportError, match=rf"{PACKAGE}\.core"):
        imported()
