"""Descriptors in transit between processes (SCM_RIGHTS), and sockets that only such descriptors keep alive.

A descriptor in a queue keeps its file open. Sockets whose descriptors are in each other's queues, while no process has
them any more, would stay forever: `collect` looks for them. It runs when a unix socket closes while unix sockets are
in transit, soon after the last descriptor of one that is in transit was closed (`collector.py`), when twice as many are
in transit as after the last run, and when memory is short. A socket is alive if it has more references than those in
transit, or if its descriptor is in the queue of a socket that is alive, or of a connection that waits there to be
accepted.

There may be very many sockets, so `collect` takes safe points. A socket that nobody can reach stays so. Whatever is
sent, received, accepted or created while it looks counts as alive until the next run (`touch`).

Context: `collect` and `drop_files` allocate nothing and raise nothing; both close files, which may sleep.
"""

from collections import deque
from typing import Final

from kernel.fs.file import File
from kernel.lang import ETOOMANYREFS, Errno, final, inline, noinline, noraise, recursion
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.linked import FIRST, NEXT, Linkage, Links
from kernel.lib.pace import pace
from kernel.lib.user_account import account_of
from kernel.net.link.network import Network
from kernel.net.sockets.socket import AF_UNIX, SOCKET_BYTES, Socket
from kernel.net.unix.parcel import Parcel
from kernel.sched import WaitQueue
from kernel.task.memory_shortage import RESCUERS, Rescuer

_WALK_COST: Final = 100  # instructions
_RELEASE_COST: Final = 3000  # and for a file that is closed
_LEAST_UNDER_WAY: Final = 256  # sockets in transit that make a look worthwhile


class CollectableSocket(Socket):
    """A unix socket as the collector sees it: what it holds, and how many of its own descriptors are in transit.

    The constructors of the types enter it in SOCKETS as their last step: before that, memory may run out.
    """

    all_links: Links["CollectableSocket"]

    def __init__(self, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        super().__init__(AF_UNIX, kind, protocol, credentials.fsuid, credentials.fsgid, network)
        self.queue: deque[Parcel] = deque()  # received, not yet read
        self.waiting: deque[CollectableSocket] = deque()  # connections to be accepted
        self.under_way: int = 0  # references in queues
        self.reached: int = 0  # the last run of `collect` that found it alive
        self.is_accepted: bool = True  # False: in another socket's `waiting`
        self.next_reached: CollectableSocket | None = None
        self.counting: int = 0  # the last run of `bytes_held_by` that came here
        self.next_counted: CollectableSocket | None = None
        self.drops: int = 0  # references that wait to be dropped
        self.next_dropped: CollectableSocket | None = None

    def flush(self, owner: int) -> None:
        """A descriptor was closed. If it was the last one, only queues may hold the socket from now on."""
        if self.under_way > 0 and self.users - 1 <= self.under_way:
            SUSPICION.raise_it()


class _All(Linkage[CollectableSocket]):
    @inline
    def links(self, entry: CollectableSocket) -> Links[CollectableSocket]:
        return entry.all_links


_ALL: Final = _All()


class Suspicion:
    """Whether there may be unreachable sockets, and the thread that looks for them."""

    def __init__(self) -> None:
        self.is_raised: bool = False
        self.queue: WaitQueue = WaitQueue()

    def raise_it(self) -> None:
        """There may be some."""
        self.is_raised = True
        self.queue.wake_all()


SUSPICION: Final = Suspicion()


class SocketList:
    """All unix sockets, newest first, and those in transit."""

    all: Links[CollectableSocket]

    def __init__(self) -> None:
        self.count: int = 0
        self.sockets_under_way: int = 0
        self.is_collecting: bool = False
        self.is_looking: bool = False  # for those that are alive; then it closes the others
        self.was_touched: bool = False
        self.runs: int = 0  # of `collect`
        self.reached: CollectableSocket | None = None  # those whose queues are still to be looked through
        self.collect_at: int = _LEAST_UNDER_WAY  # with this many in transit, it is time for the next look
        self.dropped: CollectableSocket | None = None  # with references to drop
        self.is_dropping: bool = False
        self.countings: int = 0
        self.walk: SocketWalk | None = None  # the last one that began of those under way

    def add(self, socket: CollectableSocket) -> None:
        socket.reached = self.runs  # alive for a run that has begun
        _ALL.prepend(self.all, socket)
        self.count += 1
        socket.network.unix_sockets += 1

    def remove(self, socket: CollectableSocket) -> None:
        walk = self.walk
        while walk is not None:
            if walk.following is socket:
                walk.following = socket.all_links[NEXT]
            walk = walk.before
        _ALL.remove(self.all, socket)
        self.count -= 1
        socket.network.unix_sockets -= 1

    def reach(self, socket: CollectableSocket) -> None:
        """The present run has found it alive."""
        if socket.reached != self.runs:
            socket.reached = self.runs
            socket.next_reached = self.reached
            self.reached = socket

    def touch(self, socket: CollectableSocket) -> None:
        """It comes into a queue or out of one: a run may have passed the place where it is from now on."""
        if self.is_looking:
            self.was_touched = True
            self.reach(socket)


SOCKETS: Final = SocketList()


@final
class SocketWalk:
    """Goes through all unix sockets, with others at work: they come and go meanwhile. `end` it."""

    def __init__(self) -> None:
        self.following: CollectableSocket | None = None
        self.before: SocketWalk | None = None  # began before this one
        self.begin()

    def begin(self) -> None:
        """Begin again, after its end."""
        self.following = SOCKETS.all[FIRST]
        self.before = SOCKETS.walk
        SOCKETS.walk = self

    def take(self) -> CollectableSocket | None:
        """The next one, if there is one. Sleeps."""
        pace(_WALK_COST)
        socket = self.following
        if socket is not None:
            self.following = socket.all_links[NEXT]
        return socket

    def end(self) -> None:
        """It goes no further."""
        if SOCKETS.walk is self:
            SOCKETS.walk = self.before
            return
        walk = SOCKETS.walk
        while walk is not None:
            if walk.before is self:
                walk.before = self.before
            walk = walk.before


def check_files_under_way(credentials: Credentials, limit: int) -> None:
    """Raise ETOOMANYREFS when a user already has more than `limit` descriptors in transit, and is not root."""
    account = account_of(credentials.uid)
    count = account.files_under_way
    account.release()
    if count > limit and not (credentials.capable(CAP_SYS_RESOURCE) or credentials.capable(CAP_SYS_ADMIN)):
        raise Errno(ETOOMANYREFS)


def send_files(parcel: Parcel, files: list[File], uid: KernelUid) -> None:
    """Send files with a parcel, charged to a user; their references are the parcel's from now on. Raises
    MemoryError, which leaves everything as it was.
    """
    held = parcel.files
    if held is not None:
        held.extend(files)
    else:
        parcel.files_user = account_of(uid)
        parcel.files = files
    account = parcel.files_user
    if account is not None:
        account.files_under_way += len(files)
    for file in files:
        if isinstance(file, CollectableSocket):
            SOCKETS.touch(file)
            file.under_way += 1
            SOCKETS.sockets_under_way += 1


def collect_if_due() -> None:
    """Look for unreachable sockets when many more are in transit than after the last look."""
    if SOCKETS.sockets_under_way >= SOCKETS.collect_at:
        collect()


@noraise
def take_files(parcel: Parcel) -> list[File] | None:
    """Take the files of a parcel, if it has some: their references are the caller's now."""
    files = parcel.files
    account = parcel.files_user
    parcel.files = None
    parcel.files_user = None
    if files is None or account is None:
        return None
    account.files_under_way -= len(files)
    account.release()
    for file in files:
        if isinstance(file, CollectableSocket):
            SOCKETS.touch(file)
            file.under_way -= 1
            SOCKETS.sockets_under_way -= 1
    return files


@noraise
@noinline  # callers nest deeply: each register that they keep for this counts many times
def _rest() -> None:
    """A file was released."""
    pace(_RELEASE_COST)


@recursion(2)  # sockets among the files of a socket that closes with its parcel wait in a list
def drop_files(parcel: Parcel) -> None:
    """The parcel will not be received: close its files."""
    files = take_files(parcel)
    if files is not None:
        for file in files:
            if isinstance(file, CollectableSocket):
                drop_socket(file)
            else:
                file.release()
            _rest()


@recursion(2)
def drop_socket(socket: CollectableSocket) -> None:
    """Drop a reference that a queue held. A socket that closes with it may hold descriptors of sockets, and waiting
    connections, and those more of them: they wait for their turn in a list, because programs can nest them deeply.
    """
    socket.drops += 1
    if socket.drops > 1:
        return  # it is in the list
    socket.next_dropped = SOCKETS.dropped
    SOCKETS.dropped = socket
    if SOCKETS.is_dropping:
        return
    SOCKETS.is_dropping = True
    while True:
        dropped = SOCKETS.dropped
        if dropped is None:
            break
        SOCKETS.dropped = dropped.next_dropped
        dropped.next_dropped = None
        times = dropped.drops
        dropped.drops = 0
        for _ in range(times):
            dropped.release()
            _rest()  # what others drop meanwhile joins the list
    SOCKETS.is_dropping = False


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
    SOCKETS.runs += 1
    SOCKETS.is_looking = True
    _reach_roots()
    _reach_what_they_hold()
    SOCKETS.is_looking = False
    _empty_others()
    SOCKETS.is_collecting = False
    SOCKETS.collect_at = max(_LEAST_UNDER_WAY, 2 * SOCKETS.sockets_under_way)
    if SOCKETS.was_touched:
        SUSPICION.raise_it()  # what counted as alive may be unreachable


@recursion(2)  # the other files of a queue have no queues
@noraise
def bytes_held_by(first: CollectableSocket) -> int:
    """About how much memory the end of a socket frees: with the contents of its queue, and of the queues of sockets
    whose descriptors are there, and so on.
    """
    SOCKETS.countings += 1
    found: CollectableSocket | None = first
    first.counting = SOCKETS.countings
    total = 0
    while found is not None:
        socket = found
        found = socket.next_counted
        socket.next_counted = None
        total += SOCKET_BYTES
        for parcel in socket.queue:
            total += parcel.memory()
            files = parcel.files
            if files is None:
                continue
            for file in files:
                if not isinstance(file, CollectableSocket):
                    total += file.held_bytes()
                elif file.counting != SOCKETS.countings:
                    file.counting = SOCKETS.countings
                    file.next_counted = found
                    found = file
        for connection in socket.waiting:
            if connection.counting != SOCKETS.countings:
                connection.counting = SOCKETS.countings
                connection.next_counted = found
                found = connection
    return total


@final
class _CycleCollector(Rescuer):
    """Frees what only unreachable sockets hold."""

    @noraise
    def rescue(self) -> None:
        collect()


RESCUERS.append(_CycleCollector())


_WALK: Final = SocketWalk()
"""That of the only run of `collect`: it can allocate none."""
_WALK.end()


def _reach_roots() -> None:
    """Reach the sockets that have a reference outside all queues."""
    _WALK.begin()
    while (socket := _WALK.take()) is not None:
        if socket.is_accepted and socket.users > socket.under_way:
            SOCKETS.reach(socket)
    _WALK.end()


def _reach_what_they_hold() -> None:
    """Reach what lies in the queues of those that were reached. Others take from the front of a queue meanwhile, and
    put things at its end, both of which are touched: so this goes backwards.
    """
    while (socket := SOCKETS.reached) is not None:
        SOCKETS.reached = socket.next_reached
        socket.next_reached = None
        pace(_WALK_COST)
        place = len(socket.queue)
        while place > 0:
            place -= 1
            pace(_WALK_COST)
            if place < len(socket.queue):
                _reach_files(socket.queue[place])
        place = len(socket.waiting)
        while place > 0:
            place -= 1
            pace(_WALK_COST)
            if place < len(socket.waiting):
                SOCKETS.reach(socket.waiting[place])


def _reach_files(parcel: Parcel) -> None:
    files = parcel.files
    if files is not None:
        for file in files:
            if isinstance(file, CollectableSocket):
                SOCKETS.reach(file)


def _empty_others() -> None:
    """Close the files in the queues of sockets that were not reached."""
    _WALK.begin()
    while (socket := _WALK.take()) is not None:
        place = len(socket.queue) if socket.reached != SOCKETS.runs else 0
        while place > 0:
            place -= 1
            pace(_WALK_COST)
            if place < len(socket.queue):
                drop_files(socket.queue[place])
    _WALK.end()
