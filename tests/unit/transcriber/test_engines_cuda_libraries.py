"""Loading cuBLAS out of a wheel's folder, tried with a library that every system has."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from transcriber.engines.cuda_libraries import preload_cublas


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package laid out as the wheel is; its name is ``fake_cublas``."""
    libraries = tmp_path / "fake_cublas" / "lib"
    libraries.mkdir(parents=True)
    (tmp_path / "fake_cublas" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "fake_cublas", raising=False)
    return libraries


def a_real_library() -> Path:
    """A shared library that is loaded already: Python's own C library."""
    maps = Path("/proc/self/maps").read_text().splitlines()
    return next(Path(line.split()[-1]) for line in maps if "/libc.so" in line or "/libc-" in line)


def test_nothing_is_loaded_where_the_package_is_not_installed() -> None:
    assert preload_cublas("no_such_package_anywhere") == []
    assert preload_cublas("no_such_parent.cublas") == []


def test_libraries_are_loaded_dependencies_first(package: Path) -> None:
    for name in ("libcublas.so.12", "libcublasLt.so.12", "libcublas.so.11"):
        (package / name).symlink_to(a_real_library())
    loaded = [path.name for path in preload_cublas("fake_cublas")]
    assert loaded == ["libcublasLt.so.12", "libcublas.so.12"]


def test_a_broken_library_is_said_and_does_not_stop_the_start(
    package: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (package / "libcublas.so.12").write_bytes(b"no library")
    assert preload_cublas("fake_cublas") == []
    assert "cannot load libcublas.so.12" in caplog.text
