"""The end of a pair (veth(4)): both interfaces go in one change, as on Linux.

Context: thread context, with safe points.
"""

from kernel.lang import Errno
from kernel.net.link.carrier import change_carrier
from kernel.net.link.device import begin_change, end_change, take_down, unregister_device
from kernel.net.link.network import LIMBO
from kernel.net.link.veth import VethDevice, join, part


def _begin(one: VethDevice, other: VethDevice) -> bool:
    """Begin a change of both: in one order, so that nobody waits for somebody who waits for him. False, with nothing
    done: they are no pair any more.
    """
    first, second = (one, other) if one.number < other.number else (other, one)
    while one.peer is other and one.network is not LIMBO and other.network is not LIMBO:
        if not begin_change(first):
            continue  # it was moved, or it has ended
        if begin_change(second):
            if one.peer is other:
                return True
            end_change(second)
        end_change(first)
    return False


def remove_pair(one: VethDevice, other: VethDevice) -> None:
    """Remove both: first they part, and go down. Does nothing to those that are no pair any more. Raises MemoryError:
    then they are a pair, or `one` has gone and `other` is alone.
    """
    if not _begin(one, other):
        return
    try:
        part(one)
        for end in (one, other):
            end.is_leaving = True
        try:
            for end in (one, other):
                take_down(end)
            _leave(one)
        except (MemoryError, Errno):
            for end in (one, other):
                end.is_leaving = False
            join(one, other)
            for end in (one, other):
                change_carrier(end, has_carrier=one.is_up() and other.is_up())
            raise
        try:
            _leave(other)
        except (MemoryError, Errno):
            other.is_leaving = False
            raise
    finally:
        end_change(one)
        end_change(other)


def _leave(end: VethDevice) -> None:
    unregister_device(end)
    end.network = LIMBO
    end.has_ended()
