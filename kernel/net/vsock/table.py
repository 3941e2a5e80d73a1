"""The ports and connections of the whole machine (network namespaces do not separate them).

Context: thread context; nothing sleeps. Functions that enter something may raise MemoryError, with nothing changed.
"""

from typing import Final

from kernel.lang import EADDRINUSE, EADDRNOTAVAIL, Errno, final, noraise
from kernel.lib import random
from kernel.lib.half_sip_hash import HalfSipHash
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.pace import spend
from kernel.net.vsock.addresses import CID_ANY, LAST_PRIVILEGED_PORT, PORT_ANY
from kernel.net.vsock.endpoint import Endpoint
from kernel.net.vsock.memory import MEMORY

_ATTEMPTS: Final = 24  # to find a free port
_BUCKETS: Final = 4096  # of the table of connections
_CURSOR_COST: Final = 20  # instructions


@final
class Cursor(Linked["Cursor"]):
    """A place among all endpoints, which stays right while others come and go: for walks with safe points. Whoever
    starts one ends it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_walking: bool = False
        self._next: Endpoint | None = None
        self._left: int = 0  # later arrivals do not make the walk longer

    def this(self) -> "Cursor":
        return self

    @noraise
    def start(self) -> None:
        """Begin with the oldest endpoint."""
        if not self.is_walking:
            self.is_walking = True
            TABLE.cursors.link_last(self)
        self._next = TABLE.all.first()
        self._left = TABLE.count

    @noraise
    def take(self) -> Endpoint | None:
        """The next endpoint; None at the end."""
        endpoint = self._next
        if endpoint is None or self._left <= 0:
            return None
        self._left -= 1
        self._next = endpoint.after()
        return endpoint

    @noraise
    def leave(self, endpoint: Endpoint) -> None:
        """An endpoint is about to leave."""
        if self._next is endpoint:
            self._next = endpoint.after()

    @noraise
    def end(self) -> None:
        """The walk is over."""
        if self.is_walking:
            self.is_walking = False
            self._next = None
            TABLE.cursors.unlink(self)


@final
class EndpointTable:
    """All endpoints."""

    def __init__(self) -> None:
        self.all: LinkedList[Endpoint] = LinkedList()
        self.count: int = 0
        self.cursors: LinkedList[Cursor] = LinkedList()
        self._bound: dict[int, list[Endpoint]] = {}  # by port
        self._connected: list[Endpoint | None] = [None] * _BUCKETS  # by `_bucket`; each is a chain
        self._hasher: HalfSipHash = HalfSipHash()
        self._next_port: int = 0

    def add(self, endpoint: Endpoint) -> None:
        """Enter a new endpoint."""
        self.all.link_last(endpoint)
        self.count += 1

    @noraise
    def remove(self, endpoint: Endpoint) -> None:
        """Remove an endpoint."""
        self.disconnect(endpoint)
        self._unbind(endpoint)
        cursor = self.cursors.first()
        while cursor is not None:
            cursor.leave(endpoint)
            spend(_CURSOR_COST)
            cursor = cursor.after()
        self.all.unlink(endpoint)
        self.count -= 1

    # ---- Ports ----------------------------------------------------------------------------------------------------

    def is_taken(self, cid: int, port: int) -> bool:
        """Whether no other endpoint may bind to an address."""
        holders = self._bound.get(port)
        if holders is None:
            return False
        for holder in holders:
            if cid == CID_ANY or holder.local.cid == CID_ANY or holder.local.cid == cid:
                return True
        return False

    def bind(self, endpoint: Endpoint, cid: int, port: int) -> None:
        """Take an address, with PORT_ANY a free one. Raises EADDRINUSE, EADDRNOTAVAIL, MemoryError."""
        if port == PORT_ANY:
            port = self._free_port(cid)
        elif self.is_taken(cid, port):
            raise Errno(EADDRINUSE)
        holders = self._bound.get(port)
        if holders is None:
            self._bound[port] = [endpoint]
        else:
            holders.append(endpoint)
        endpoint.local.cid = cid
        endpoint.local.port = port
        endpoint.place.is_bound = True

    def _free_port(self, cid: int) -> int:
        """A free port: in ascending order, from a random one on."""
        if self._next_port == 0:
            self._next_port = random.word() & 0xFFFF_FFFF
        for _ in range(_ATTEMPTS):
            if self._next_port <= LAST_PRIVILEGED_PORT or self._next_port >= PORT_ANY:
                self._next_port = LAST_PRIVILEGED_PORT + 1
            port = self._next_port
            self._next_port += 1
            if not self.is_taken(cid, port):
                return port
        raise Errno(EADDRNOTAVAIL)

    @noraise
    def _unbind(self, endpoint: Endpoint) -> None:
        holders = self._bound.get(endpoint.local.port) if endpoint.place.is_bound else None
        if holders is None:
            return
        endpoint.place.is_bound = False
        if len(holders) == 1:
            del self._bound[endpoint.local.port]
        else:
            holders.remove(endpoint)

    def find_bound(self, cid: int, port: int) -> Endpoint | None:
        """The endpoint bound to a packet's destination."""
        holders = self._bound.get(port)
        if holders is None:
            return None
        for holder in holders:
            if holder.local.cid == CID_ANY or holder.local.cid == cid:
                return holder
        return None

    # ---- Connections ----------------------------------------------------------------------------------------------

    def connect(self, endpoint: Endpoint) -> None:
        """Enter a connection: both addresses are known."""
        bucket = self._bucket(endpoint.remote.cid, endpoint.remote.port, endpoint.local.port)
        endpoint.next_connected = self._connected[bucket]
        endpoint.place.bucket = bucket
        self._connected[bucket] = endpoint
        endpoint.place.is_connected = True
        MEMORY.connections += 1

    @noraise
    def disconnect(self, endpoint: Endpoint) -> None:
        """Packets no longer find it by its peer's address."""
        if not endpoint.place.is_connected:
            return
        endpoint.place.is_connected = False
        MEMORY.connections -= 1
        following = endpoint.next_connected
        endpoint.next_connected = None
        before = self._connected[endpoint.place.bucket]
        if before is endpoint:
            self._connected[endpoint.place.bucket] = following
            return
        while before is not None:
            if before.next_connected is endpoint:
                before.next_connected = following
                return
            before = before.next_connected

    def find_connected(self, remote_cid: int, remote_port: int, local_port: int) -> Endpoint | None:
        """The endpoint whose peer has an address; its own context is not compared, as on Linux."""
        found = self._connected[self._bucket(remote_cid, remote_port, local_port)]
        while found is not None:
            if (
                found.remote.cid == remote_cid
                and found.remote.port == remote_port
                and found.local.port == local_port
            ):
                return found
            found = found.next_connected
        return None

    def _bucket(self, remote_cid: int, remote_port: int, local_port: int) -> int:
        """The bucket, with a secret key."""
        hasher = self._hasher
        hasher.start()
        hasher.add(remote_cid)
        hasher.add(remote_port)
        hasher.add(local_port)
        return hasher.finish() & (_BUCKETS - 1)


TABLE: Final = EndpointTable()
