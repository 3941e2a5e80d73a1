"""Lists and queues through what they link, against a list of Python's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.linked import FIRST, LAST, NEXT, PREVIOUS, Linkage, Linked, LinkedList, Links, Queue, Queued


class Bead(Linked["Bead"]):
    def this(self) -> Bead:
        return self


def beads_of(found: LinkedList[Bead]) -> list[Bead]:
    """What stands in a list, after a look at all its links."""
    beads: list[Bead] = []
    bead = found.first()
    while bead is not None:
        assert bead.previous is (beads[-1] if beads else None)
        beads.append(bead)
        bead = bead.after()
    assert found.last() is (beads[-1] if beads else None)
    assert found.is_empty() == (beads == [])
    return beads


@given(st.lists(st.tuples(st.sampled_from(["first", "last", "before", "out"]), st.integers(0, 7)), max_size=40))
def test_steps(steps: list[tuple[str, int]]) -> None:
    found: LinkedList[Bead] = LinkedList()
    model: list[Bead] = []
    for step, at in steps:
        bead = Bead()
        place = model[at % len(model)] if model else None
        if step == "first" or (step == "before" and place is None):
            found.link_first(bead)
            model.insert(0, bead)
        elif step == "before" and place is not None:
            found.link_before(place, bead)
            model.insert(model.index(place), bead)
        elif step == "last" or place is None:
            found.link_last(bead)
            model.append(bead)
        else:
            found.unlink(place)
            model.remove(place)
            assert place.next is None and place.previous is None
        assert beads_of(found) == model


class Guest(Queued["Guest"]):
    def this(self) -> Guest:
        return self


def guests_of(found: Queue[Guest]) -> list[Guest]:
    guests: list[Guest] = []
    guest = found.first()
    while guest is not None:
        guests.append(guest)
        guest = guest.after()
    assert found.last() is (guests[-1] if guests else None)
    assert found.is_empty() == (guests == [])
    return guests


@given(st.lists(st.sampled_from(["append", "take", "take_all"]), max_size=40))
def test_queues(steps: list[str]) -> None:
    found: Queue[Guest] = Queue()
    model: list[Guest] = []
    for step in steps:
        if step == "append":
            model.append(Guest())
            found.append(model[-1])
        elif step == "take":
            guest = found.take()
            assert guest is (model.pop(0) if model else None)
            assert guest is None or guest.next is None
        else:
            assert found.take_all() is (model[0] if model else None)
            model.clear()
        assert guests_of(found) == model


class Ring:
    """Something in two lists at once, with a base that knows of neither."""


class Coin(Ring):
    old_links: Links["Coin"]  # noqa: UP037  # evaluated before there is the name
    worn_links: Links["Coin"]  # noqa: UP037


class Purse:
    old: Links[Coin]
    worn: Links[Coin]


class Old(Linkage[Coin]):
    def links(self, entry: Coin) -> Links[Coin]:
        return entry.old_links


class Worn(Linkage[Coin]):
    def links(self, entry: Coin) -> Links[Coin]:
        return entry.worn_links


def coins_of(chain: Linkage[Coin], ends: Links[Coin]) -> list[Coin]:
    """What stands in a list, after a look at all its links."""
    coins: list[Coin] = []
    coin = ends[FIRST]
    while coin is not None:
        links = chain.links(coin)
        assert links[PREVIOUS] is (coins[-1] if coins else None)
        coins.append(coin)
        coin = links[NEXT]
    assert ends[LAST] is (coins[-1] if coins else None)
    return coins


STEPS = st.tuples(st.booleans(), st.sampled_from(["first", "last", "after", "out"]), st.integers(0, 7))


@given(st.lists(STEPS, max_size=60))
def test_in_two_lists(steps: list[tuple[bool, str, int]]) -> None:
    purse = Purse()
    coins = [Coin() for _ in range(8)]
    chains: list[Linkage[Coin]] = [Old(), Worn()]
    models: list[list[Coin]] = [[], []]
    for second, step, at in steps:
        chain, ends, model = chains[second], (purse.worn if second else purse.old), models[second]
        coin = coins[at]
        if coin in model:
            chain.remove(ends, coin)
            model.remove(coin)
            assert chain.links(coin)[NEXT] is None and chain.links(coin)[PREVIOUS] is None
        elif step == "first":
            chain.prepend(ends, coin)
            model.insert(0, coin)
        elif step == "after" and model:
            place = model[at % len(model)]
            chain.insert(ends, place, coin)
            model.insert(model.index(place) + 1, coin)
        else:
            chain.append(ends, coin)
            model.append(coin)
        assert coins_of(chains[0], purse.old) == models[0]
        assert coins_of(chains[1], purse.worn) == models[1]
