"""Unix sockets that only descriptors in queues keep alive: the search for those that nobody can reach any more.

A socket is suspect if all references to it are descriptors in queues. It is alive if one of those lies in the queue of
a socket that is not suspect, or of one that is alive; the connections that wait in a socket to be accepted are part of
it. So only sockets in transit are looked at, and what lies in their queues: first the references in queues of suspects
are counted, and whoever has more than those is alive; then what lies in the queues of these, and so on.

It runs when a unix socket closes, as long as the closed ones pay for the steps; soon after the last descriptor of one
in transit was closed (`collector.py`); when twice as many are in transit as after the last run; and when memory is
short.

There may be very many sockets, so `collect` takes safe points. A socket that nobody can reach stays so. Whatever is
sent, received or accepted while it looks counts as alive until the next run (`touch`): what others have not
touched has stayed where it was, so that its count is right.

Context: `collect` allocates nothing and raises nothing; it closes files, which may sleep.
"""

from typing import Final

from kernel.lang import final, noinline, noraise
from kernel.lib.linked import FIRST, NEXT
from kernel.lib.pace import pace, spend
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import LEAST_UNDER_WAY, SOCKETS, SUSPICION, CollectableSocket, drop_files
from kernel.task.memory_shortage import RESCUERS, Rescuer

_STEP_COST: Final = 150  # instructions
_FILE_COST: Final = 15  # and for each descriptor of a parcel
_STEPS_A_CLOSE: Final = 256


def collect_if_due() -> None:
    """Look for unreachable sockets when many more are in transit than after the last look."""
    if SOCKETS.sockets_under_way >= SOCKETS.collect_at:
        collect()


@noraise
def collect_after_close() -> None:
    """A unix socket has closed: look for those that nobody can reach now. Where that takes many steps, not after each,
    and later if anything has changed.
    """
    if SOCKETS.sockets_under_way == 0:
        return
    SOCKETS.credit += _STEPS_A_CLOSE
    if SOCKETS.credit >= max(SOCKETS.steps, SOCKETS.sockets_under_way):
        collect()
    elif SOCKETS.was_changed:
        SUSPICION.raise_it()


@noraise
def collect() -> None:
    """Close the files in queues of unreachable sockets."""
    if SOCKETS.sockets_under_way == 0:
        return
    if SOCKETS.is_collecting:
        SUSPICION.raise_it()  # what has become unreachable since that began is not seen there
        return
    SOCKETS.is_collecting = True
    SOCKETS.was_touched = False
    SOCKETS.was_changed = False
    SOCKETS.credit = 0
    SOCKETS.steps = 0
    SOCKETS.runs += 1
    SOCKETS.is_looking = True
    _suspect()
    _count_references()
    _reach_roots()
    _reach_what_they_hold()
    SOCKETS.is_looking = False
    _list_others()
    _empty_listed()
    SOCKETS.is_collecting = False
    SOCKETS.collect_at = max(LEAST_UNDER_WAY, 2 * SOCKETS.sockets_under_way)
    if SOCKETS.was_touched:
        SUSPICION.raise_it()  # what counted as alive may be unreachable


@final
class _CycleCollector(Rescuer):
    """Frees what only unreachable sockets hold."""

    @noraise
    def rescue(self) -> None:
        collect()


RESCUERS.append(_CycleCollector())


def _step() -> None:
    """One of the steps that are counted. Sleeps."""
    SOCKETS.steps += 1
    pace(_STEP_COST)


def _begin() -> None:
    """Go through the sockets in transit from the first one on. Others come, in front, and go meanwhile."""
    SOCKETS.following = SOCKETS.flight[FIRST]


def _next() -> CollectableSocket | None:
    """The next one, if there is one. Sleeps."""
    _step()
    socket = SOCKETS.following
    if socket is not None:
        SOCKETS.following = socket.flight_links[NEXT]
    return socket


def _suspect() -> None:
    """Find those that have no reference outside queues."""
    _begin()
    while (socket := _next()) is not None:
        if socket.users <= socket.under_way:
            socket.suspected = SOCKETS.runs
            socket.met = 0


def _count_references() -> None:
    """Count the references in queues of suspects. Whose queue loses a parcel meanwhile was touched, so that it does not
    matter if another is met twice.
    """
    _begin()
    while (socket := _next()) is not None:
        if socket.suspected == SOCKETS.runs:
            _count_in(socket)
            place = len(socket.waiting)
            while place > 0:
                place -= 1
                _step()
                if place < len(socket.waiting):
                    _count_in(socket.waiting[place])


def _count_in(holder: CollectableSocket) -> None:
    place = len(holder.queue)
    while place > 0:
        place -= 1
        _step()
        files = holder.queue[place].files if place < len(holder.queue) else None
        if files is not None:
            for file in files:
                if isinstance(file, CollectableSocket):
                    file.met += 1
            spend(_FILE_COST * len(files))


def _reach_roots() -> None:
    """Reach the suspects that also lie in queues of others."""
    _begin()
    while (socket := _next()) is not None:
        if socket.suspected == SOCKETS.runs and socket.met < socket.under_way:
            SOCKETS.reach(socket)


def _reach_what_they_hold() -> None:
    """Reach what lies in the queues of those that were reached. Others take from the front of a queue meanwhile, and
    put things at its end, both of which are touched: so this goes backwards.
    """
    while (socket := SOCKETS.reached) is not None:
        SOCKETS.reached = socket.next_reached
        socket.next_reached = None
        _step()
        place = len(socket.queue)
        while place > 0:
            place -= 1
            _step()
            if place < len(socket.queue):
                _reach_files(socket.queue[place])
        place = len(socket.waiting)
        while place > 0:
            place -= 1
            _step()
            if place < len(socket.waiting):
                SOCKETS.reach(socket.waiting[place])


def _reach_files(parcel: Parcel) -> None:
    files = parcel.files
    if files is not None:
        for file in files:
            if isinstance(file, CollectableSocket):
                SOCKETS.reach(file)
        spend(_FILE_COST * len(files))


def _list_others() -> None:
    """List the suspects that were not reached, with the connections that wait in them."""
    _begin()
    while (socket := _next()) is not None:
        if socket.suspected != SOCKETS.runs or socket.reached == SOCKETS.runs:
            continue
        SOCKETS.reach(socket)
        place = len(socket.waiting)
        while place > 0:
            place -= 1
            _step()
            if place < len(socket.waiting):
                SOCKETS.reach(socket.waiting[place])


@final
class Emptying:
    """Where it is: here, because callers nest deeply, and each local variable would count many times."""

    def __init__(self) -> None:
        self.holder: CollectableSocket | None = None
        self.place: int = 0  # all parcels from here on have been emptied


_EMPTYING: Final = Emptying()


def _empty_listed() -> None:
    """Close the files in the queues of those that were listed."""
    while _empties():
        _empty_one()
    _EMPTYING.holder = None


@noinline
def _empties() -> bool:
    """Go on to the next parcel. Sleeps."""
    _step()
    while _EMPTYING.place == 0:
        holder = SOCKETS.reached
        _EMPTYING.holder = holder
        if holder is None:
            return False
        SOCKETS.reached = holder.next_reached
        holder.next_reached = None
        _EMPTYING.place = len(holder.queue)
        _step()
    _EMPTYING.place -= 1
    return True


def _empty_one() -> None:
    holder = _EMPTYING.holder
    if holder is not None and _EMPTYING.place < len(holder.queue):
        drop_files(holder.queue[_EMPTYING.place])
