"""gateway.places: how many one owner has, and all together."""

from __future__ import annotations

from gateway.places import Places, port_places, upload_places


def taken(places: Places, owner: str, tries: int, *, is_many: bool = False) -> int:
    return sum(places.take(owner, is_many=is_many) is None for _ in range(tries))


def test_one_address_has_half_of_a_port_and_all_have_all_of_it() -> None:
    places = port_places(8)
    assert taken(places, "192.0.2.1", 9) == 4
    assert "this address has its 4" in getattr(places.take("192.0.2.1"), "text", "")
    assert taken(places, "2001:db8::1", 3) + taken(places, "2001:db8::2", 9) == 4
    assert "the port has its 8" in getattr(places.take("192.0.2.3"), "text", "")


def test_a_place_that_is_given_back_is_anybodys() -> None:
    places = port_places(2)
    assert [taken(places, address, 1) for address in ("192.0.2.1", "192.0.2.2")] == [1, 1]
    places.give_back("192.0.2.1")
    assert taken(places, "192.0.2.3", 1) == 1


def test_a_proxy_that_says_of_nobody_where_he_comes_from_stands_for_many() -> None:
    assert taken(port_places(8), "192.0.2.1", 9, is_many=True) == 8


def test_a_single_place_is_anybodys() -> None:
    assert taken(port_places(1), "192.0.2.1", 2) == 1


def test_one_owner_of_files_leaves_a_quarter_to_others() -> None:
    places = upload_places(8)
    assert taken(places, "alice", 10) == 6
    assert "6 files of yours" in getattr(places.take("alice"), "text", "")
    assert taken(places, "bob", 10) == 2
    assert "too many files" in getattr(places.take("carol"), "text", "")


def test_a_place_for_a_file_that_is_given_back_is_anybodys() -> None:
    places = upload_places(2)
    assert (taken(places, "alice", 2), taken(places, "bob", 2)) == (1, 1)
    places.give_back("alice")
    assert taken(places, "bob", 1) == 0
    assert taken(places, "carol", 1) == 1


def test_a_single_place_for_files_is_anybodys() -> None:
    places = upload_places(1)
    assert taken(places, "alice", 2) == 1
    places.give_back("alice")
    assert taken(places, "bob", 2) == 1


def test_without_places_for_files_nobody_has_one() -> None:
    assert taken(upload_places(0), "alice", 1) == 0
