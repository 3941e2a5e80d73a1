"""The order of a set's elements by key."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.net.nftables.element_order import CHUNK, ELEMENT_END, NO_PLACE, Element, ElementOrder
from kernel.net.nftables.sets import SET_INTERVAL, DataSet


def key_of(number: int) -> bytes:
    return number.to_bytes(4, "big")


def sort_key(element: Element) -> tuple[bytes, bool]:
    return element.key, element.flags & ELEMENT_END == 0


def all_of(order: ElementOrder) -> list[Element]:
    """By places, forwards and backwards."""
    found = []
    place = 0
    while (element := order.at(place)) is not None:
        found.append(element)
        place = order.next(place)
    backwards = []
    while (place := order.previous(place)) != NO_PLACE:
        element = order.at(place)
        assert element is not None
        backwards.append(element)
    assert backwards == found[::-1] == [each for chunk in order.chunks for each in chunk][::-1]
    assert all(0 < len(chunk) <= CHUNK for chunk in order.chunks)
    return found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.booleans()), max_size=900, unique=True), st.randoms())
def test_elements_lie_in_order(bounds: list[tuple[int, bool]], source: random.Random) -> None:
    order = ElementOrder()
    elements = [Element(key_of(number), ELEMENT_END if is_end else 0) for number, is_end in bounds]
    for element in elements:
        order.insert(element)
    expected = sorted(elements, key=sort_key)
    assert all_of(order) == expected
    for number in (0, 200, 401):
        above = [each for each in expected if each.key > key_of(number)]
        assert order.at(order.place_above(key_of(number))) is (above[0] if above else None)
        for flags in (0, ELEMENT_END):
            wanted = Element(key_of(number), flags)
            rest = [each for each in expected if sort_key(each) >= sort_key(wanted)]
            assert order.at(order.place_of(wanted.key, flags)) is (rest[0] if rest else None)
    source.shuffle(elements)
    while elements:
        gone = elements.pop()
        order.remove(gone)
        order.remove(gone)
        if len(elements) % 50 == 0:
            assert all_of(order) == sorted(elements, key=sort_key)


def test_of_equal_ones_the_right_one_goes() -> None:
    order = ElementOrder()
    same = [Element(key_of(5), 0) for _ in range(3)]
    for each in same:
        order.insert(each)
    order.remove(same[1])
    assert all_of(order) == [same[2], same[0]]


def test_a_set_of_very_many_intervals_lies_in_short_pieces() -> None:
    """Entered from the last one on: none of them moves all others."""
    found = DataSet(b"s", SET_INTERVAL, 4)
    for number in reversed(range(20_000)):
        found.add(Element(key_of(number), number & 1))
    found.prepare(1)
    found.settle_order()
    for order in (found.order, found.active):
        assert max(map(len, order.chunks)) <= CHUNK
    listed = found.all_in(1)
    assert listed.count == 20_000 and max(map(len, listed.parts)) <= 1024
    assert listed.first().key == key_of(19_999)
