"""gateway.upload_places: who may send a file, while others do."""

from __future__ import annotations

from gateway.upload_places import UploadPlaces


def taken(places: UploadPlaces, owner: str, tries: int) -> int:
    return sum(places.take(owner) is None for _ in range(tries))


def test_one_owner_leaves_a_quarter_to_others() -> None:
    places = UploadPlaces(8)
    assert taken(places, "alice", 10) == 6
    assert "6 files of yours" in getattr(places.take("alice"), "text", "")
    assert taken(places, "bob", 10) == 2
    assert "too many files" in getattr(places.take("carol"), "text", "")


def test_what_is_given_back_is_anybodys() -> None:
    places = UploadPlaces(2)
    assert (taken(places, "alice", 2), taken(places, "bob", 2)) == (1, 1)
    places.give_back("alice")
    assert taken(places, "bob", 1) == 0
    assert taken(places, "carol", 1) == 1


def test_a_single_place_is_anybodys() -> None:
    places = UploadPlaces(1)
    assert taken(places, "alice", 2) == 1
    places.give_back("alice")
    assert taken(places, "bob", 2) == 1


def test_without_places_nobody_has_one() -> None:
    assert taken(UploadPlaces(0), "alice", 1) == 0
