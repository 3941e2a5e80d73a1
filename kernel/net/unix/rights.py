"""Descriptors on their way between processes (SCM_RIGHTS), and sockets that only such descriptors keep alive.

A descriptor in a queue keeps its file open. Sockets whose descriptors lie in each other's queues, while no process has
them any more, would stay for ever: whenever a unix socket closes and unix sockets are under way, `collect` looks for
them. A socket is alive if it has more references than those under way, or if its descriptor lies in the queue of a
socket that is alive, or of a connection that waits there to be accepted.

Context: `collect` and `drop_files` allocate nothing and raise nothing; both close files.
"""

from collections import deque
from typing import Final

from kernel.fs.file import File
from kernel.lang import ETOOMANYREFS, Errno, noraise
from kernel.lib.credentials import Credentials
from kernel.net.socket import AF_UNIX, Socket
from kernel.net.unix.parcel import Parcel


class CollectableSocket(Socket):
    """A unix socket as the collector sees it: what it holds, and how often its own descriptor is under way."""

    def __init__(self, kind: int, protocol: int, credentials: Credentials) -> None:
        super().__init__(AF_UNIX, kind, protocol, credentials.fsuid, credentials.fsgid)
        self.queue: deque[Parcel] = deque()  # received, not yet read
        self.waiting: deque[CollectableSocket] = deque()  # connections to be accepted
        self.under_way: int = 0  # references that lie in queues
        self.is_reachable: bool = False
        self.is_accepted: bool = True  # False: stands in another socket's `waiting`
        self.next_marked: CollectableSocket | None = None
        self.next: CollectableSocket | None = None
        self.previous: CollectableSocket | None = None
        SOCKETS.add(self)


class SocketList:
    """All unix sockets, newest first, and what is under way."""

    def __init__(self) -> None:
        self.first: CollectableSocket | None = None
        self.count: int = 0
        self.sockets_under_way: int = 0
        self.files_by_user: dict[int, int] = {}  # under way, by the uid of who sent them
        self.is_collecting: bool = False

    def add(self, socket: CollectableSocket) -> None:
        first = self.first
        socket.next = first
        if first is not None:
            first.previous = socket
        self.first = socket
        self.count += 1

    def remove(self, socket: CollectableSocket) -> None:
        following = socket.next
        previous = socket.previous
        if previous is None:
            self.first = following
        else:
            previous.next = following
        if following is not None:
            following.previous = previous
        socket.next = None
        socket.previous = None
        self.count -= 1


SOCKETS: Final = SocketList()


def send_files(files: list[File], credentials: Credentials, limit: int) -> None:
    """The files go on their way; their references are the queue's from now on. ETOOMANYREFS when the user has more than
    `limit` under way already, and is not root.
    """
    uid = credentials.uid
    present = SOCKETS.files_by_user.get(uid, 0)
    if present > limit and not credentials.capable():
        raise Errno(ETOOMANYREFS)
    SOCKETS.files_by_user[uid] = present + len(files)
    for file in files:
        if isinstance(file, CollectableSocket):
            file.under_way += 1
            SOCKETS.sockets_under_way += 1


@noraise
def files_arrived(files: list[File], uid: int) -> None:
    """The files that user `uid` sent were received or dropped: their references are the caller's now."""
    by_user = SOCKETS.files_by_user
    if uid in by_user:
        by_user[uid] -= len(files)
    for file in files:
        if isinstance(file, CollectableSocket):
            file.under_way -= 1
            SOCKETS.sockets_under_way -= 1


@noraise
def drop_files(parcel: Parcel) -> None:
    """The parcel will not be received: close its files."""
    files = parcel.files
    if files is None:
        return
    parcel.files = None
    files_arrived(files, parcel.files_uid)
    for file in files:
        file.release()


@noraise
def collect() -> None:
    """Close the files that wait in queues of sockets that nobody can reach."""
    if SOCKETS.sockets_under_way == 0 or SOCKETS.is_collecting:
        return
    SOCKETS.is_collecting = True
    _mark(_roots())
    dropped: Parcel | None = None
    socket = SOCKETS.first
    while socket is not None:
        if not socket.is_reachable:
            for parcel in socket.queue:
                if parcel.files is not None:
                    parcel.next = dropped
                    dropped = parcel
        socket = socket.next
    while dropped is not None:
        following = dropped.next
        dropped.next = None
        drop_files(dropped)
        dropped = following
    SOCKETS.is_collecting = False


def _roots() -> CollectableSocket | None:
    """The sockets that have a reference outside of all queues, as a list by `next_marked`."""
    marked: CollectableSocket | None = None
    socket = SOCKETS.first
    while socket is not None:
        socket.is_reachable = socket.is_accepted and socket.users > socket.under_way
        if socket.is_reachable:
            socket.next_marked = marked
            marked = socket
        socket = socket.next
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
