"""Merkle trees as RFC 9162 (Certificate Transparency) hashes them, with SHA-256.

A leaf's hash is ``SHA-256(0x00 || leaf)``, a node's ``SHA-256(0x01 || left || right)``, and the
tree of n leaves splits at the largest power of two below n. The root of no leaves is
``SHA-256("")``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = hashlib.sha256().digest()


class ProofError(ValueError):
    """An inclusion proof cannot be of that leaf in a tree of that size."""


def leaf_hash(leaf: bytes) -> bytes:
    """Hash of a leaf's bytes."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of a node over the hashes of its two children."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class GrowingTree:
    """The root over leaves that are appended one by one, of which O(log n) hashes are kept.

    Attributes:
        size: how many leaves it has.
    """

    def __init__(self) -> None:
        self.size = 0
        # Roots of the perfect subtrees that the leaves fill, the largest first: one for each 1 in
        # the binary digits of the size.
        self._peaks: list[bytes] = []

    def append(self, leaf: bytes) -> None:
        """Add one leaf, given its bytes."""
        found = leaf_hash(leaf)
        digits = self.size
        while digits & 1:
            found = node_hash(self._peaks.pop(), found)
            digits >>= 1
        self._peaks.append(found)
        self.size += 1

    @property
    def root(self) -> bytes:
        """The hash over all leaves so far."""
        if not self._peaks:
            return EMPTY_ROOT
        *others, found = self._peaks
        for peak in reversed(others):
            found = node_hash(peak, found)
        return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The hash over all these leaves."""
    tree = GrowingTree()
    for leaf in leaves:
        tree.append(leaf)
    return tree.root


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The hashes that lead from leaf ``index`` to the root (RFC 9162, 2.1.3.1).

    Raises:
        IndexError: there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"no leaf {index} among {len(leaves)}")
    level = [leaf_hash(leaf) for leaf in leaves]
    path = []
    while len(level) > 1:
        beside = index ^ 1
        if beside < len(level):
            path.append(level[beside])
        pairs = [node_hash(*level[i : i + 2]) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]  # a last one without a partner moves up as it is
        index >>= 1
    return path


def root_by_proof(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root of a tree of ``size`` leaves that has ``leaf`` at ``index`` (RFC 9162, 2.1.3.2).

    Raises:
        ProofError: no tree of that size has such a path there.
    """
    if not 0 <= index < size:
        raise ProofError(f"leaf {index} is not in a tree of {size}")
    found = leaf_hash(leaf)
    last = size - 1
    for beside in path:
        if len(beside) != HASH_BYTES:
            raise ProofError(f"a hash has {HASH_BYTES} bytes, not {len(beside)}")
        if not last:
            raise ProofError(f"the path of {len(path)} hashes is too long")
        if index & 1 or index == last:
            found = node_hash(beside, found)
            while index and not index & 1:
                index >>= 1
                last >>= 1
        else:
            found = node_hash(found, beside)
        index >>= 1
        last >>= 1
    if last:
        raise ProofError(f"the path of {len(path)} hashes is too short")
    return found
