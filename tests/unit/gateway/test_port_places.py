"""gateway.port_places: how many connections of a port an address has, and all together."""

from __future__ import annotations

from gateway.port_places import PortPlaces


def taken(places: PortPlaces, address: str, tries: int, *, is_many: bool = False) -> int:
    return sum(places.take(address, is_many=is_many) is None for _ in range(tries))


def test_one_address_has_half_of_a_port_and_all_have_all_of_it() -> None:
    places = PortPlaces(8)
    assert taken(places, "192.0.2.1", 9) == 4
    assert "this address has its 4" in getattr(places.take("192.0.2.1"), "text", "")
    assert taken(places, "2001:db8::1", 3) + taken(places, "2001:db8::2", 9) == 4
    assert "the port has its 8" in getattr(places.take("192.0.2.3"), "text", "")


def test_a_place_that_is_given_back_is_anybodys() -> None:
    places = PortPlaces(2)
    assert [taken(places, address, 1) for address in ("192.0.2.1", "192.0.2.2")] == [1, 1]
    places.give_back("192.0.2.1")
    assert taken(places, "192.0.2.3", 1) == 1


def test_a_proxy_that_says_of_nobody_where_he_comes_from_stands_for_many() -> None:
    assert taken(PortPlaces(8), "192.0.2.1", 9, is_many=True) == 8


def test_a_single_place_is_anybodys() -> None:
    assert taken(PortPlaces(1), "192.0.2.1", 2) == 1
