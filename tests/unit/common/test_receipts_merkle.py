"""Merkle trees, against the definitions of RFC 9162 written down a second time."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.receipts.merkle import (
    EMPTY_ROOT,
    GrowingTree,
    ProofError,
    inclusion_proof,
    root_by_proof,
    root_of,
)

LEAVES = st.lists(st.binary(max_size=8), min_size=1, max_size=70)


def by_definition(leaves: Sequence[bytes]) -> bytes:
    """MTH of RFC 9162, 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    left, right = by_definition(leaves[:k]), by_definition(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def path_by_definition(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH of RFC 9162, 2.1.3.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*path_by_definition(m, leaves[:k]), by_definition(leaves[k:])]
    return [*path_by_definition(m - k, leaves[k:]), by_definition(leaves[:k])]


@given(leaves=LEAVES)
def test_the_growing_tree_has_the_root_of_the_definition_at_every_size(
    leaves: list[bytes],
) -> None:
    tree = GrowingTree()
    for size, leaf in enumerate(leaves, start=1):
        tree.append(leaf)
        assert tree.size == size
        assert tree.root == by_definition(leaves[:size])


def test_published_roots() -> None:
    """Those of the test data that Certificate Transparency's implementations share."""
    leaves = [b"", b"\x00", b"\x10", b"\x20\x21", b"\x30\x31", b"\x40\x41\x42\x43"]
    leaves += [bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]
    assert root_of([]).hex() == hashlib.sha256().hexdigest() == EMPTY_ROOT.hex()
    assert root_of(leaves[:1]).hex() == (
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    )
    assert root_of(leaves).hex() == (
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
    )


@given(data=st.data(), leaves=LEAVES)
def test_a_leaf_is_proven_by_its_path_and_nothing_else_is(
    data: st.DataObject, leaves: list[bytes]
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = inclusion_proof(leaves, index)
    root = by_definition(leaves)
    assert path == path_by_definition(index, leaves)
    assert root_by_proof(leaves[index], index, len(leaves), path) == root
    assert root_by_proof(leaves[index] + b"x", index, len(leaves), path) != root
    for step in range(len(path)):
        wrong = [*path[:step], bytes(32), *path[step + 1 :]]
        assert root_by_proof(leaves[index], index, len(leaves), wrong) != root


def test_a_path_that_does_not_fit_the_tree_is_no_proof() -> None:
    leaves = [b"a", b"b", b"c"]
    path = inclusion_proof(leaves, 1)
    for size, wrong in ((3, path[:-1]), (3, [*path, bytes(32)]), (3, [b"short", path[1]]), (1, [])):
        with pytest.raises(ProofError):
            root_by_proof(b"b", 1, size, wrong)
    with pytest.raises(ProofError, match="leaf 3 is not in a tree of 3"):
        root_by_proof(b"b", 3, 3, path)
    with pytest.raises(IndexError):
        inclusion_proof(leaves, 3)


def test_a_hundred_thousand_leaves_take_seventeen_hashes() -> None:
    tree = GrowingTree()
    for number in range(100_000):
        tree.append(number.to_bytes(4, "big"))
    assert len(tree._peaks) <= 17
