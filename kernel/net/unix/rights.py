"""Descriptors in transit between processes (SCM_RIGHTS), and sockets that only such descriptors keep alive.

A descriptor in a queue keeps its file open. Sockets whose descriptors are in each other's queues, while no process has
them any more, would stay forever: `collect` looks for them. It runs when a unix socket closes while unix sockets are
in transit, soon after the last descriptor of one that is in transit was closed (`collector.py`), when twice as many are
in transit as after the last run, and when memory is short. A socket is alive if it has more references than those in
transit, or if its descriptor is in the queue of a socket that is alive, or of a connection that waits there to be
accepted.

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
        self.is_reachable: bool = False
        self.is_accepted: bool = True  # False: in another socket's `waiting`
        self.next_marked: CollectableSocket | None = None
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
        self.collect_at: int = _LEAST_UNDER_WAY  # with this many in transit, it is time for the next look
        self.dropped: CollectableSocket | None = None  # with references to drop
        self.is_dropping: bool = False
        self.countings: int = 0
        self.walk: SocketWalk | None = None  # the last one that began of those under way

    def add(self, socket: CollectableSocket) -> None:
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


SOCKETS: Final = SocketList()


@final
class SocketWalk:
    """Goes through all unix sockets, with others at work: they come and go meanwhile. `end` it."""

    def __init__(self) -> None:
        self.following: CollectableSocket | None = SOCKETS.all[FIRST]
        self.before: SocketWalk | None = SOCKETS.walk  # began before this one
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
    _mark(_roots())
    dropped: Parcel | None = None
    socket = SOCKETS.all[FIRST]
    while socket is not None:
        if not socket.is_reachable:
            for parcel in socket.queue:
                if parcel.files is not None:
                    parcel.next = dropped
                    dropped = parcel
        socket = socket.all_links[NEXT]
    while dropped is not None:
        following = dropped.next
        dropped.next = None
        drop_files(dropped)
        dropped = following
    SOCKETS.is_collecting = False
    SOCKETS.collect_at = max(_LEAST_UNDER_WAY, 2 * SOCKETS.sockets_under_way)


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


def _roots() -> CollectableSocket | None:
    """The sockets that have a reference outside all queues, as a list by `next_marked`."""
    marked: CollectableSocket | None = None
    socket = SOCKETS.all[FIRST]
    while socket is not None:
        socket.is_reachable = socket.is_accepted and socket.users > socket.under_way
        if socket.is_reachable:
            socket.next_marked = marked
            marked = socket
        socket = socket.all_links[NEXT]
    return marked


def _mark(marked: CollectableSocket | None) -> None:
    """Mark what can be reached from the sockets of the list."""
    while marked is not None:
        socket = marked
        marked = socket.next_marked
        socket.next_marked = None
        for parcel in socket.queue:
            files = parcel.files
            if files is not None:
                for file in files:
                    if isinstance(file, CollectableSocket) and not file.is_reachable:
                        file.is_reachable = True
                        file.next_marked = marked
                        marked = file
        for connection in socket.waiting:
            if not connection.is_reachable:
                connection.is_reachable = True
                connection.next_marked = marked
                marked = connection
