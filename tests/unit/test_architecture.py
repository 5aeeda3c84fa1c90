"""The rules of the layout: who may import whom, what has a test, how long a file may be."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
STAGES: Final = ("gateway", "verifier", "transcriber")
PACKAGES: Final = ("common", *STAGES)
MAX_LINES: Final = 400

OUTSIDE_WORLD: Final = {
    "asyncio",
    "ctranslate2",
    "faster_whisper",
    "multiprocessing",
    "pocketsphinx",
    "RealtimeSTT",
    "rich",
    "signal",
    "socket",
    "subprocess",
    "threading",
    "torch",
    "websockets",
    "zmq",
}
"""A module that imports any of these is a shell around sockets, processes, threads, engines or a
terminal, and may be tested as a real process instead. All others are pure."""


def tracked_files() -> list[Path]:
    """Files of the repository as git knows them, without deleted ones."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return [path for name in listing.split("\0") if name and (path := ROOT / name).is_file()]


def modules(package: str) -> Iterator[Path]:
    return (path for path in sorted((ROOT / package).rglob("*.py")))


def imported_packages(path: Path) -> set[str]:
    """Top-level names of everything that a module imports, also inside functions."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides where a line belongs"
            assert node.module
            names.add(node.module.partition(".")[0])
    return names


ALL_MODULES: Final = [path for package in PACKAGES for path in modules(package)]


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ALL_MODULES, ids=name_of)
def test_data_flows_one_way(path: Path) -> None:
    """A stage imports itself and `common`; `common` imports no stage; nobody imports tests."""
    package = path.relative_to(ROOT).parts[0]
    allowed = {"common", package}
    ours = {*PACKAGES, "deploy", "tests"}
    assert imported_packages(path) & ours <= allowed


@pytest.mark.parametrize("path", ALL_MODULES, ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def is_pure(path: Path) -> bool:
    return path.stem not in ("__init__", "__main__") and not (
        imported_packages(path) & OUTSIDE_WORLD
    )


@pytest.mark.parametrize("path", [path for path in ALL_MODULES if is_pure(path)], ids=name_of)
def test_every_pure_module_has_a_test_module_of_its_own(path: Path) -> None:
    inside = path.relative_to(ROOT)
    package, *folders = inside.parent.parts
    names = {f"test_{inside.stem}.py", f"test_{'_'.join([*folders, inside.stem])}.py"}
    folder = ROOT / "tests" / "unit" / package
    found = {test.name for test in folder.rglob("test_*.py")}
    assert names & found, f"{folder.relative_to(ROOT)} has none of {sorted(names)}"


LONG_ON_PURPOSE: Final = {ROOT / "common/envelope.py"}
"""Every message that crosses a process is declared in one file."""


@pytest.mark.parametrize("path", sorted({*ALL_MODULES} - LONG_ON_PURPOSE), ids=name_of)
def test_a_file_is_one_thought(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES


FORBIDDEN: Final = {
    "a package index (the user's own is used)": re.compile(
        r"(--(extra-)?index-url|--trusted-host)[ =]+https?://|\bindex[-_]url\s*=\s*[\"']?https?://"
    ),
    "a path outside of the repository": re.compile(r"\.\./shared\b|(?<![\w.-])shared/[A-Z]"),
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_names(what: str) -> None:
    offenders = []
    for path in tracked_files():
        if path == Path(__file__).resolve():
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        offenders += [
            f"{name_of(path)}:{number}"
            for number, line in enumerate(text.splitlines(), start=1)
            if FORBIDDEN[what].search(line)
        ]
    assert not offenders


def test_lock_files_pin_every_package_with_hashes_and_name_no_index() -> None:
    for lock in (ROOT / "deploy" / "requirements").glob("*.txt"):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in re.sub(r"(?m)^\s*#.*$", "", text), lock
