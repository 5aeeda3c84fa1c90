"""Makes the CUDA 12 library from its wheel known to CTranslate2, which looks for it by name."""

from __future__ import annotations

import ctypes
import importlib.util
import logging
from pathlib import Path

log = logging.getLogger(__name__)

PACKAGE = "nvidia.cublas"
PATTERN = "lib/libcublas*.so.12"


def preload_cublas(package: str = PACKAGE) -> list[Path]:
    """Load cuBLAS 12 out of ``site-packages``, where the system's loader does not look.

    CTranslate2 opens ``libcublas.so.12`` by its bare name, and finds one that is loaded already.
    Torch's own build may bring another CUDA version, which does not serve.

    Returns:
        What was loaded; nothing where the package is not installed.
    """
    try:
        spec = importlib.util.find_spec(package)
    except ModuleNotFoundError:
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return []
    loaded = []
    # libcublas needs libcublasLt, which sorts behind it.
    found = (
        path for folder in spec.submodule_search_locations for path in Path(folder).glob(PATTERN)
    )
    for path in sorted(found, reverse=True):
        try:
            ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        except OSError as error:
            log.warning("cannot load %s: %s", path.name, error)
            continue
        loaded.append(path)
    return loaded
