"""A connection to a server: the requests that wait for it and those that it has taken, from INIT to the end.

    request = Request(…)
    connection.perform(request)      # or `post`, which waits for nothing

A transport takes requests (`next_request`), in order, and brings answers (`find`, `finish`). It is woken by `wake`.

**Waiting.** A signal ends no wait, but the server is notified (INTERRUPT), so that it may answer EINTR. A killed thread
abandons its request; it checks every 50 ms. A task that is already exiting (it closes its files) waits `PARTING_NS` in
all, or five times that for prompt servers (`Patience`); after that its messages are sent without waiting for answers.

**The end.** When nobody serves any more, all requests fail with ECONNABORTED, and later ones with ENOTCONN.

**Memory.** A request belongs to a thread that waits, with these exceptions, each of which is bounded: requests that
were abandoned or posted (`UNATTENDED_LIMIT`, then the connection is aborted), and nodes to forget, whose records are
allocated with the inodes. Few requests that move data are under way at a time (`Budget`), though each thread may hold
the data of one more. `held_bytes` is what the kernel holds on behalf of the connection; it counts for the description
of /dev/fuse.

Context: `perform` sleeps; nothing else does.
"""

from typing import Final

from kernel.fs.filesystem import FileSystem
from kernel.fs.fuse import protocol
from kernel.fs.fuse.protocol import IN_HEADER_SIZE, Agreed, Message, take_entry, take_init, take_opened
from kernel.fs.fuse.request import Forgotten, Reader, Request, Stage
from kernel.lang import (
    EAGAIN,
    ECONNABORTED,
    ENOENT,
    ENOSYS,
    ENOTCONN,
    Errno,
    final,
    noinline,
    noraise,
    span_of,
)
from kernel.lib import log
from kernel.lib.credentials import caller_credentials, caller_process_id
from kernel.lib.ids import NO_ID
from kernel.lib.linked import LinkedList
from kernel.lib.namespace import UserNamespace
from kernel.sched import WaitQueue
from kernel.sched.mutex import Patience

UNATTENDED_LIMIT: Final = 8192  # requests
DATA_REQUESTS: Final = 16  # of each budget
_STEP: Final = 2  # from one `unique` to the next: the lowest bit is for interrupts
INTERRUPT_BIT: Final = 1
_NUMBER_LIMIT: Final = 1 << 62
_FORGOTTEN_BYTES: Final = 64
_RELEASE_FLAGS: Final = IN_HEADER_SIZE + 12  # where RELEASE has its flags and the owner of locks
_RELEASE_OWNER: Final = IN_HEADER_SIZE + 16


# Kinds of requests that are not sent again once the server has answered ENOSYS. For other kinds that is an ordinary
# error.
_MAY_LACK: Final = (
    protocol.OPEN, protocol.OPENDIR, protocol.CREATE, protocol.FLUSH, protocol.FSYNC, protocol.FSYNCDIR,
    protocol.SETXATTR, protocol.GETXATTR, protocol.LISTXATTR, protocol.REMOVEXATTR, protocol.ACCESS,
    protocol.FALLOCATE, protocol.LSEEK, protocol.RENAME2, protocol.POLL,
    protocol.COPY_FILE_RANGE,
)  # fmt: skip


class Notices:
    """Handles what a server sends without being asked. Base class: see filesystem.py."""

    def file_system(self) -> FileSystem | None:
        """The file system that is served, while it is mounted."""
        return None

    def agreed(self, agreed: Agreed) -> None:
        """The server has answered INIT. Raises EINVAL for what does not go with how it was mounted."""

    def inode_changed(self, node: int, start: int, length: int) -> None:
        """Attributes are no longer valid, nor contents from `start` on, unless that is negative; `length` 0 means up to
        the end. Raises ENOENT.
        """
        raise Errno(ENOENT)

    def contents_came(self, node: int, start: int, length: int) -> None:
        """The server has brought contents. Raises ENOENT, EINVAL (no file has them there)."""
        raise Errno(ENOENT)

    def require_file(self, node: int) -> None:
        """Raises ENOENT."""
        raise Errno(ENOENT)

    def name_changed(self, directory: int, name: bytes) -> None:
        """A name of a directory leads elsewhere. Raises ENOENT."""
        raise Errno(ENOENT)


NO_NOTICES: Final = Notices()


@final
class Budget:
    """Limits how many requests that move data of a kind are under way at a time. A thread with a place in it waits only
    for the server, and copies no program's memory: a fault there might wait for this server, or for another.
    """

    def __init__(self) -> None:
        self.taken: int = 0


@final
class Moving:
    """`with Moving(connection, connection.reading):` around a request that moves data, until the answer is there. Data
    that a program writes is copied from its memory before that, data that it reads is copied there afterwards. Raises
    EINTR, MemoryError.
    """

    def __init__(self, connection: "Connection", budget: Budget) -> None:
        self._connection: Connection = connection
        self._budget: Budget = budget

    def __enter__(self) -> "Moving":
        self._connection.admit(self._budget)
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self._budget.taken -= 1
        self._connection.wake_waiting()


@final
class Connection:
    """One."""

    def __init__(self, user_namespace: UserNamespace, reader: Reader) -> None:
        self.user_namespace: UserNamespace = user_namespace  # whose numbers the server uses
        self.is_connected: bool = True
        self.is_aborted: bool = False
        self.agreed: Agreed | None = None  # once INIT was answered
        self.read_limit: int = protocol.DATA_LIMIT  # bytes that one READ asks for at most
        self.notices: Notices = NO_NOTICES  # refers back to the file system, until that ends
        self._reader: Reader = reader
        self._waiting: LinkedList[Request] = LinkedList()
        self._taken: dict[int, Request] = {}
        self._to_interrupt: Request | None = None  # a chain of requests whose waiters got a signal or have gone
        self._knows_interrupts: bool = True
        self._forgotten: Forgotten | None = None
        self._last_forgotten: Forgotten | None = None
        self._forgotten_count: int = 0
        self._was_forgetting: bool = False  # the last thing that the server took was a FORGET
        self._unattended: int = 0
        # Requests that move data: for reads, for writes, and for pages of mappings. None of them blocks the others.
        self.reading: Budget = Budget()
        self.writing: Budget = Budget()
        self.paging: Budget = Budget()
        self._room: WaitQueue = WaitQueue()  # for threads that want to move data, or wait for INIT
        self._unique: int = 0
        self._polled: dict[int, WaitQueue] = {}  # by the numbers that the server knows
        self._last_polled: int = 0
        self._lacking: dict[int, bool] = {}  # kinds that the server answered with ENOSYS

    # ---- Asking -----------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Send INIT. Raises MemoryError."""
        message = Message(protocol.INIT_SIZE)
        protocol.put_init(message, protocol.DATA_LIMIT)
        self._send(Request(protocol.INIT, 0, message, protocol.INIT_SIZE, is_exact=False))

    def lacks(self, kind: int) -> bool:
        """Whether the server has reported that it does not know a kind of request."""
        return kind in self._lacking

    def data_limit(self) -> int:
        """Bytes that one request may move."""
        agreed = self.agreed
        return agreed.data_limit if agreed is not None else protocol.DATA_LIMIT

    def perform(self, request: Request) -> None:
        """Send a request and wait for its answer. Raises what the server reports, ENOTCONN, ECONNABORTED, EINTR (the
        thread is being killed), ENOSYS at once if the server has reported that before, MemoryError.
        """
        if request.kind in self._lacking:
            raise Errno(ENOSYS)
        patience = Patience()
        try:
            while self.agreed is None and self.is_connected:
                patience.sleep(self._room)
            self._send(request)
            while request.stage != Stage.DONE:
                if not patience.sleep(request.done):
                    self._interrupt(request)
        finally:
            patience.end()
            if request.stage != Stage.DONE and request.unique != 0:
                self._leave(request, keep=patience.is_bounded)
        if request.error == ENOSYS and request.kind in _MAY_LACK:
            self._lacking[request.kind] = True
        if request.error != 0:
            raise Errno(request.error)

    def admit(self, budget: Budget) -> None:
        """Wait until a request that moves data may be sent. Raises EINTR, MemoryError."""
        if budget.taken >= DATA_REQUESTS:
            patience = Patience()
            try:
                while budget.taken >= DATA_REQUESTS and self.is_connected:
                    patience.sleep(self._room)
            finally:
                patience.end()
        budget.taken += 1

    @noraise
    def wake_waiting(self) -> None:
        """There may be room for a request that moves data."""
        self._room.wake_all()

    @noraise
    def post(self, request: Request) -> None:
        """Send a request whose answer nobody needs. Does nothing without a connection. Allocates nothing, because it
        may run inside an allocation that makes room, even one of the reader's own.
        """
        if not self.is_connected:
            return
        request.is_left = True
        self._enqueue(request)
        self._reader.wake_later()
        self._count_unattended()

    def post_contents(self, unique: int, node: int, offset: int) -> None:
        """Answer a server that wants contents back: the kernel keeps none. Raises MemoryError."""
        message = Message(40).u64(0).u64(offset).u64(0).u64(0).u64(0)
        reply = Request(protocol.NOTIFY_REPLY, node, message, 0, is_exact=True)
        if not self.is_connected:
            return
        reply.is_left = True
        self._enqueue(reply)
        reply.address(unique, 0, 0, 0)
        self._wake_reader()
        self._count_unattended()

    def _send(self, request: Request) -> None:
        """Raises ENOTCONN."""
        if not self.is_connected:
            raise Errno(ENOTCONN)
        self._enqueue(request)
        self._wake_reader()

    def _enqueue(self, request: Request) -> None:
        uid = 0
        gid = 0
        agreed = self.agreed
        credentials = caller_credentials()
        if agreed is not None and agreed.maps_owners():
            uid = NO_ID
            gid = NO_ID
            credentials = request.creator
        if credentials is not None:
            uid = self.user_namespace.shown_uid(credentials.fsuid)
            gid = self.user_namespace.shown_gid(credentials.fsgid)
        if self._unique >= _NUMBER_LIMIT:
            self._unique = 0
        self._unique += _STEP
        request.address(self._unique, uid, gid, int(caller_process_id()))
        self._waiting.link_last(request)

    @noraise
    def _interrupt(self, request: Request) -> None:
        """The waiting thread got a signal, or nobody waits any more."""
        request.is_interrupted = True
        if request.stage == Stage.TAKEN:
            self._announce_interrupt(request)

    @noraise
    def _announce_interrupt(self, request: Request) -> None:
        if request.is_interrupt_due or request.is_told or not self._knows_interrupts:
            return
        request.is_interrupt_due = True
        request.next_to_interrupt = self._to_interrupt
        self._to_interrupt = request
        self._wake_reader()

    @noraise
    def _leave(self, request: Request, *, keep: bool) -> None:
        """The waiting thread gives up. The server never sees a request that it has not taken, unless `keep`."""
        if request.stage == Stage.WAITING and not keep:
            self._waiting.unlink(request)
            request.stage = Stage.DONE
            return
        request.is_left = True
        if request.stage == Stage.TAKEN:
            request.shed()
            self._interrupt(request)
        self._count_unattended()

    @noraise
    def _count_unattended(self) -> None:
        self._unattended += 1
        if self._unattended > UNATTENDED_LIMIT:
            log.error("fuse: a server answers nothing and is given up")
            self.abort()

    # ---- Forgetting -------------------------------------------------------------------------------------------

    @noraise
    def forget(self, record: Forgotten) -> None:
        """The kernel has no inode for a node any more. Never sleeps; needs no memory."""
        if not self.is_connected or record.lookups == 0:
            return
        record.next = None
        last = self._last_forgotten
        if last is None:
            self._forgotten = record
        else:
            last.next = record
        self._last_forgotten = record
        self._forgotten_count += 1
        self._reader.wake_later()

    def take_forgotten(self, limit: int) -> Forgotten | None:
        """At most `limit` of the nodes to forget, in a chain."""
        first = self._forgotten
        last = first
        count = 0
        while last is not None:
            count += 1
            if count == limit or last.next is None:
                break
            last = last.next
        if last is None:
            return None
        self._forgotten = last.next
        if last.next is None:
            self._last_forgotten = None
        last.next = None
        self._forgotten_count -= count
        return first

    # ---- Polling ----------------------------------------------------------------------------------------------

    def polled_number(self) -> int:
        """A number for a file that is polled."""
        self._last_polled += 1
        return self._last_polled

    def watch(self, number: int, queue: WaitQueue) -> None:
        """From now on the server may wake the queue, by its number. Raises MemoryError."""
        self._polled[number] = queue

    @noraise
    def unwatch(self, number: int) -> None:
        """The file is closed."""
        if number in self._polled:
            self._polled.pop(number)

    def poll_changed(self, number: int) -> None:
        """The server says that a file's events have changed; numbers that nobody waits for mean nothing."""
        queue = self._polled.get(number)
        if queue is not None:
            queue.wake_all()

    # ---- What a transport does --------------------------------------------------------------------------------

    def has_requests(self) -> bool:
        """Whether there is something to take."""
        return not self._waiting.is_empty() or self._forgotten is not None or self._to_interrupt is not None

    def next_interrupt(self) -> int:
        """The unique of a request that the server has and that should end early; 0 if there is none."""
        while self._to_interrupt is not None:
            request = self._to_interrupt
            self._to_interrupt = request.next_to_interrupt
            request.next_to_interrupt = None
            request.is_interrupt_due = False
            if request.stage == Stage.TAKEN:
                request.is_told = True
                return request.unique
        return 0

    def should_forget(self) -> bool:
        """Whether the next thing to take is a node to forget. Neither kind starves the other."""
        if self._forgotten is None:
            return False
        if self._waiting.is_empty() or not self._was_forgetting:
            self._was_forgetting = True
            return True
        self._was_forgetting = False
        return False

    def next_request(self, reader: Reader) -> Request | None:
        """Take the first request, which the server then has, through `reader`. Raises MemoryError."""
        request = self._waiting.first()
        if request is None:
            return None
        if request.kind != protocol.NOTIFY_REPLY:  # its number is the server's, and it gets no answer
            self._taken[request.unique] = request
        self._waiting.unlink(request)
        request.stage = Stage.TAKEN
        request.reader = reader
        reader.taken.link_last(request)
        self._was_forgetting = False
        return request

    def has_taken(self, request: Request) -> None:
        """All of the request was copied: free what nobody waits for."""
        if request.kind == protocol.NOTIFY_REPLY:
            self.finish(request, 0)
        elif request.is_left:
            request.shed()
        elif request.is_interrupted:
            self._announce_interrupt(request)

    def give_back(self, request: Request) -> None:
        """The request could not be handed over: make it the next one again, unless the connection has ended."""
        if request.stage == Stage.DONE:
            return
        self._take_off(request)
        request.stage = Stage.WAITING
        self._waiting.link_first(request)

    def find(self, unique: int) -> Request | None:
        """The request that an answer is for, if the server has it."""
        return self._taken.get(unique)

    def answer_interrupt(self, unique: int, error: int) -> None:
        """The server reports that it cannot interrupt a request, now (EAGAIN) or ever (ENOSYS)."""
        if error == ENOSYS:
            self._knows_interrupts = False
            self._to_interrupt = None
        elif error == EAGAIN:
            request = self._taken.get(unique)
            if request is not None:
                request.is_told = False
                self._announce_interrupt(request)

    def finish(self, request: Request, error: int) -> None:
        """The request has its answer, or its error."""
        if request.stage == Stage.DONE:
            return
        if request.stage == Stage.TAKEN:
            self._take_off(request)
        else:
            self._waiting.unlink(request)
        request.stage = Stage.DONE
        request.error = error
        if request.kind == protocol.INIT:
            self._start(request)
        if request.is_left:
            self._unattended -= 1
            if error == 0 and self.is_connected:
                self._undo(request)
            return
        request.done.wake_all()

    @noraise
    def _take_off(self, request: Request) -> None:
        """The server no longer has the request."""
        if self._taken.get(request.unique) is request:
            self._taken.pop(request.unique)
        reader = request.reader
        if reader is not None:
            request.reader = None
            reader.taken.unlink(request)

    def _start(self, request: Request) -> None:
        """INIT was answered. A server with another protocol is rejected."""
        try:
            if request.error != 0:
                raise Errno(request.error)
            agreed = take_init(request.reading())
            self.notices.agreed(agreed)
            self.agreed = agreed
            self._room.wake_all()
        except (Errno, MemoryError):
            self.abort()

    def _undo(self, request: Request) -> None:
        """Undo the effect of an answer that nobody waits for."""
        answer = request.reading()
        try:
            node = request.node
            if request.gives_entry():
                node = take_entry(answer).node
                if node != 0:
                    record = Forgotten(node)
                    record.lookups = 1
                    self.forget(record)
            if request.gives_handle():
                handle = take_opened(answer).handle
                is_directory = request.kind == protocol.OPENDIR
                self.post(release_request(node, handle, 0, is_directory=is_directory))
        except (Errno, MemoryError):
            log.debug("fuse: what a killed program has opened stays open")

    # ---- The end ----------------------------------------------------------------------------------------------

    @noraise
    def abort(self) -> None:
        """End the connection: nobody serves any more, or nobody should."""
        if not self.is_connected:
            return
        self.is_connected = False
        self.is_aborted = True
        self._end_requests()
        self._room.wake_all()
        self._wake_polled()
        self._wake_reader()

    @noraise
    @noinline  # the server that is woken asks for what there is, and that goes deep: keep little on the stack then
    def _end_requests(self) -> None:
        for request in self._taken.values():
            reader = request.reader
            if reader is not None:
                request.reader = None
                reader.taken.unlink(request)
            _end(request)
        self._taken.clear()
        waiting = self._waiting.first()
        while waiting is not None:
            self._waiting.unlink(waiting)
            _end(waiting)
            waiting = self._waiting.first()
        self._to_interrupt = None
        self._forgotten = None
        self._last_forgotten = None
        self._forgotten_count = 0

    @noraise
    @noinline
    def _wake_polled(self) -> None:
        for queue in self._polled.values():
            queue.wake_all()

    @noraise
    def leave_unanswered(self, reader: Reader) -> None:
        """Requests that were taken through `reader` will no longer be answered."""
        request = reader.taken.first()
        while request is not None:
            self._take_off(request)
            if request.is_left:
                self._unattended -= 1
            _end(request)
            if request.kind == protocol.INIT:
                self.abort()  # INIT is not sent twice
            request = reader.taken.first()

    @noraise
    def _wake_reader(self) -> None:
        self._reader.wake()

    def held_bytes(self) -> int:
        """About how much memory the kernel holds for the connection. Never sleeps, allocates nothing."""
        total = self._forgotten_count * _FORGOTTEN_BYTES
        for request in self._taken.values():
            total += request.held_bytes()
        waiting = self._waiting.first()
        while waiting is not None:
            total += waiting.held_bytes()
            waiting = waiting.after()
        return total


@noraise
def _end(request: Request) -> None:
    """Fail a request that nobody will answer."""
    request.stage = Stage.DONE
    request.error = ECONNABORTED
    request.done.wake_all()


@noraise
def add_flock_owner(release: Request, owner: int) -> None:
    """Let a RELEASE end the lock that its description has by flock(2)."""
    message = span_of(release.message)
    message.store_u32(_RELEASE_FLAGS, protocol.RELEASE_FLOCK_UNLOCK)
    message.store_u32(_RELEASE_OWNER, owner & 0xFFFF_FFFF)
    message.store_u32(_RELEASE_OWNER + 4, owner >> 32)


def release_request(node: int, handle: int, flags: int, *, is_directory: bool) -> Request:
    """The request that closes a handle. Raises MemoryError."""
    message = Message(24).u64(handle).u32(flags).u32(0).u64(0)
    kind = protocol.RELEASEDIR if is_directory else protocol.RELEASE
    return Request(kind, node, message, 0, is_exact=True)
