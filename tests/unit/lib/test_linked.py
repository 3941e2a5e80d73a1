"""Lists and queues through what they link, against a list of Python's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kernel.lib.linked import Linked, LinkedList, Queue, Queued


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
