"""The rules of the layout: who may import whom, what has a test, how long a file may be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
STAGES: Final = ("gateway", "verifier", "transcriber")
PACKAGES: Final = ("common", *STAGES)
ALL_OF_OURS: Final = {*PACKAGES, "deploy", "tests"}
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
    "starlette",
    "subprocess",
    "threading",
    "torch",
    "uvicorn",
    "websockets",
    "zmq",
}
"""A module that imports any of these is a shell around sockets, processes, threads, engines or a
terminal, and may be tested as a real process instead. All others are pure."""

SHARED: Final = {"audio", "base", "partials", "wav_header"}
"""Of `gateway/protocols/`: what any protocol may be made of."""


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


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Dots before the name, and the name, of everything that a module imports, also inside
    functions."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((node.level, name) for name in names)


def imported_packages(path: Path) -> set[str]:
    """Top-level names of what a module imports; its own package's for a relative import."""
    own = path.relative_to(ROOT).parts[0]
    return {own if dots else name.partition(".")[0] for dots, name in imports(path)}


ALL_MODULES: Final = [path for package in PACKAGES for path in modules(package)]
DEPLOY_MODULES: Final = list(modules("deploy"))

PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL_MODULES: Final = {
    module
    for source in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    for module in (
        sorted((ROOT / source).rglob("*.py"))
        if (ROOT / source).is_dir()
        else [ROOT / source] * source.endswith(".py")
    )
}
"""What is installed with the client; all of it lies in `common`."""


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", ALL_MODULES, ids=name_of)
def test_data_flows_one_way(path: Path) -> None:
    """A stage imports itself and `common`; `common` imports no stage; nobody imports tests."""
    package = path.relative_to(ROOT).parts[0]
    assert imported_packages(path) & ALL_OF_OURS <= {"common", package}


@pytest.mark.parametrize("path", sorted((ROOT / "gateway/protocols").glob("*.py")), ids=name_of)
def test_a_client_protocol_is_a_translator_that_knows_no_other_and_no_socket(path: Path) -> None:
    """What several share is named in `SHARED`; a protocol of several files begins them alike."""
    prefix = "gateway.protocols."
    names = [name.removeprefix(prefix) for _, name in imports(path) if name.startswith(prefix)]
    own = path.stem.partition("_")[0]
    assert {name.partition("_")[0] for name in names if name not in SHARED} <= {own}
    assert not imported_packages(path) & OUTSIDE_WORLD


@pytest.mark.parametrize("path", DEPLOY_MODULES, ids=name_of)
def test_what_starts_the_stages_imports_none_of_them(path: Path) -> None:
    """`deploy` runs stages as processes: it needs their names and options, not their code."""
    assert imported_packages(path) & ALL_OF_OURS <= {"common", "deploy"}


@pytest.mark.parametrize("path", [*ALL_MODULES, *DEPLOY_MODULES], ids=name_of)
def test_only_the_client_that_installs_alone_imports_by_relative_names(path: Path) -> None:
    """Elsewhere a relative import hides where a line belongs; there, `common` is not its name."""
    if path in WHEEL_MODULES:
        assert not {name for dots, name in imports(path) if not dots} & ALL_OF_OURS
    else:
        assert not {name for dots, name in imports(path) if dots}


@pytest.mark.parametrize("path", sorted(WHEEL_MODULES), ids=name_of)
def test_the_client_that_installs_alone_needs_only_what_its_wheel_brings(path: Path) -> None:
    project = PROJECT["project"]  # what is optional is imported where it is asked for
    optional = [each for extra in project["optional-dependencies"].values() for each in extra]
    wanted = {re.split(r"[>\[ ]", each)[0] for each in (*project["dependencies"], *optional)}
    brought = {name.replace("-", "_") for name in wanted}
    for dots, name in imports(path):
        if dots:
            file = path.parents[dots - 1] / name.replace(".", "/")
            assert {file.with_suffix(".py"), file / "__init__.py"} & WHEEL_MODULES, name
        else:
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top in brought, name


@pytest.mark.parametrize("path", [*ALL_MODULES, *DEPLOY_MODULES], ids=name_of)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))


def is_pure(path: Path) -> bool:
    return path.stem not in ("__init__", "__main__") and not (
        imported_packages(path) & OUTSIDE_WORLD
    )


@pytest.mark.parametrize(
    "path", [path for path in (*ALL_MODULES, *DEPLOY_MODULES) if is_pure(path)], ids=name_of
)
def test_every_pure_module_has_a_test_module_of_its_own(path: Path) -> None:
    inside = path.relative_to(ROOT)
    package, *folders = inside.parent.parts
    names = {f"test_{inside.stem}.py", f"test_{'_'.join([*folders, inside.stem])}.py"}
    folder = ROOT / "tests" / "unit" / package
    found = {test.name for test in folder.rglob("test_*.py")}
    assert names & found, f"{folder.relative_to(ROOT)} has none of {sorted(names)}"


LONG_ON_PURPOSE: Final = {ROOT / "common/envelope.py"}
"""Every message that crosses a process is declared in one file."""


@pytest.mark.parametrize(
    "path", sorted({*ALL_MODULES, *DEPLOY_MODULES} - LONG_ON_PURPOSE), ids=name_of
)
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
