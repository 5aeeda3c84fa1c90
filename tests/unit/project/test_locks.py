"""The lock files: exact, hashed, free of package indexes, and true to pyproject.toml."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
LOCKS = ROOT / "deploy" / "requirements"
NAMES = ("runtime", "no-deps", "dev", "cuda")


def pins(lock: str) -> dict[str, str]:
    """Name to version of each package in a lock file."""
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", text, flags=re.MULTILINE))


def declared(requirements: list[str]) -> set[str]:
    """The normalised names of requirements."""
    return {re.split(r"[<>=! \[;]", line, maxsplit=1)[0].lower() for line in requirements}


@pytest.mark.parametrize("lock", NAMES)
def test_a_lock_file_holds_only_hashed_pins(lock: str) -> None:
    text = (LOCKS / f"{lock}.txt").read_text(encoding="utf-8")
    entries = re.sub(r"\\\n", "", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    assert entries
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9-]+==[^ ]+ *(; .*?)?( +--hash=sha256:[0-9a-f]{64})+", entry)


@pytest.mark.parametrize("path", [*LOCKS.glob("*.txt"), ROOT / "pyproject.toml"])
def test_no_package_index_is_named(path: Path) -> None:
    assert not re.search(
        r"https?:|file:|--(extra-)?index-url|--find-links", path.read_text(encoding="utf-8")
    )


def test_every_declared_package_is_locked_once_and_torch_never() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    locked = [pins(name) for name in NAMES]
    wanted = declared(project["dependency-groups"]["server"]) - {"torch"}
    assert wanted <= set(pins("runtime"))
    assert declared(project["project"]["dependencies"]) <= wanted  # a checkout has the client too
    assert declared(project["dependency-groups"]["no-deps"]) == set(pins("no-deps"))
    assert declared(project["dependency-groups"]["dev"]) <= set(pins("dev")) | set(pins("runtime"))
    assert "torch" not in {name for lock in locked for name in lock}
    assert sum(map(len, locked)) == len({name for lock in locked for name in lock})


def test_the_client_is_light_and_bounds_no_python() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["requires-python"] == ">=3.11"
    assert project["scripts"] == {
        "stt-stream": "verified_stt.stt_stream:main",
        "stt-verify": "verified_stt.stt_verify:main",
    }
    assert len(project["dependencies"]) <= 8
