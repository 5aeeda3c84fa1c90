"""Imported by the server of forks only: see :mod:`tests.forked`."""

from tests.forked import preload

preload()
