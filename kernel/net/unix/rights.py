"""Descriptors in transit between processes (SCM_RIGHTS): a descriptor in a queue keeps its file open, and its user is
charged for it.

Sockets whose descriptors are in each other's queues, while no process has them any more, would stay forever:
unreachable.py looks for them.

Context: `drop_files` allocates nothing and raises nothing; it closes files, which may sleep.
"""

from collections import deque
from typing import Final

from kernel.fs.file import File
from kernel.lang import ETOOMANYREFS, Errno, inline, noinline, noraise, recursion
from kernel.lib.capabilities import CAP_SYS_ADMIN, CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.linked import NEXT, Linkage, Links
from kernel.lib.order import Order
from kernel.lib.pace import pace, spend
from kernel.lib.user_account import account_of
from kernel.net.link.network import Network
from kernel.net.sockets.socket import AF_UNIX, Socket
from kernel.net.unix.parcel import Parcel
from kernel.sched import WaitQueue

# Instructions, for `pace`
_REMOVE_COST: Final = 1500
_RELEASE_COST: Final = 3000  # of a file that is closed
LEAST_UNDER_WAY: Final = 256  # sockets in transit that make a look worthwhile


class CollectableSocket(Socket):
    """A unix socket as the collector sees it: what it holds, and how many of its own descriptors are in transit.

    The constructors of the types enter it in SOCKETS as their last step.
    """

    flight_links: Links["CollectableSocket"]

    def __init__(self, kind: int, protocol: int, credentials: Credentials, network: Network) -> None:
        super().__init__(AF_UNIX, kind, protocol, credentials.fsuid, credentials.fsgid, network)
        self.queue: deque[Parcel] = deque()  # received, not yet read: `put_last` and `take_first` change it
        self.queued_bytes: int = 0  # the memory of what is there, without files
        self.waiting: deque[CollectableSocket] = deque()  # connections to be accepted
        self.under_way: int = 0  # references in queues
        self.serial: int = 0  # in SOCKETS; 0: it is not there
        self.reached: int = 0  # the last run of `collect` that found it alive
        self.suspected: int = 0  # … that found no reference outside all queues
        self.met: int = 0  # references that this run has met in queues of suspects
        self.is_accepted: bool = True  # False: in another socket's `waiting`
        self.next_reached: CollectableSocket | None = None
        self.counted: int = 0  # the last count of memory that came here
        self.next_counted: CollectableSocket | None = None
        self.drops: int = 0  # references that wait to be dropped
        self.next_dropped: CollectableSocket | None = None

    def put_last(self, parcel: Parcel) -> None:
        """Put a parcel into the queue. Raises MemoryError."""
        self.queue.append(parcel)
        self.queued_bytes += parcel.memory()

    def take_first(self) -> Parcel:
        """Take the first parcel, which there is, out of the queue."""
        parcel = self.queue.popleft()
        self.queued_bytes -= parcel.memory()
        return parcel

    def flush(self, owner: int) -> None:
        """A descriptor was closed. If it was the last one, only queues may hold the socket from now on."""
        if self.under_way > 0 and self.users - 1 <= self.under_way:
            SUSPICION.raise_it()


class _Flight(Linkage[CollectableSocket]):
    @inline
    def links(self, entry: CollectableSocket) -> Links[CollectableSocket]:
        return entry.flight_links


_FLIGHT: Final = _Flight()


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
    """All unix sockets, in the order of their creation, and those in transit."""

    flight: Links[CollectableSocket]

    def __init__(self) -> None:
        self.all: Order[CollectableSocket] = Order()
        self.serial: int = 0  # the last one
        self.count: int = 0
        self.sockets_under_way: int = 0  # references to them
        self.following: CollectableSocket | None = None  # the next one in transit that `collect` looks at
        self.is_collecting: bool = False
        self.is_looking: bool = False  # for those that are alive; then it closes the others
        self.was_touched: bool = False
        self.was_changed: bool = False  # some were sent or received since the last run began
        self.runs: int = 0  # of `collect`
        self.steps: int = 0  # of the last one, or of the present one
        self.credit: int = 0  # steps that the sockets closed since then pay for
        self.reached: CollectableSocket | None = None  # those whose queues are still to be looked through
        self.collect_at: int = LEAST_UNDER_WAY  # with this many in transit, it is time for the next look
        self.dropped: CollectableSocket | None = None  # with references to drop
        self.is_dropping: bool = False

    def add(self, socket: CollectableSocket) -> None:
        """Enter a socket. Raises MemoryError, and releases it then."""
        try:
            self.all.put(self.serial + 1, socket)
        except MemoryError:
            socket.release()
            raise
        self.serial += 1
        socket.serial = self.serial
        self.count += 1
        socket.network.unix_sockets += 1

    def remove(self, socket: CollectableSocket) -> None:
        """It closes."""
        if socket.serial == 0:
            return  # there was no memory to enter it
        self.all.remove(socket.serial)
        spend(_REMOVE_COST)
        socket.serial = 0
        self.count -= 1
        socket.network.unix_sockets -= 1

    def set_out(self, socket: CollectableSocket) -> None:
        """A descriptor of it goes into a queue."""
        self.touch(socket)
        if socket.under_way == 0:
            _FLIGHT.prepend(self.flight, socket)
        socket.under_way += 1
        self.sockets_under_way += 1
        self.was_changed = True

    def arrive(self, socket: CollectableSocket) -> None:
        """A descriptor of it comes out of a queue."""
        self.touch(socket)
        socket.under_way -= 1
        self.sockets_under_way -= 1
        self.was_changed = True
        if socket.under_way == 0:
            if self.following is socket:
                self.following = socket.flight_links[NEXT]
            _FLIGHT.remove(self.flight, socket)

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
            SOCKETS.set_out(file)


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
            SOCKETS.arrive(file)
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
        if 0 < dropped.users <= dropped.under_way:
            SUSPICION.raise_it()  # only queues hold it, perhaps its own
    SOCKETS.is_dropping = False
