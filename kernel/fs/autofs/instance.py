"""A mounted autofs: who its automounter is, and what it was asked.

The automounter is a group of processes. What it does in the file system is never delayed; anybody else waits where
something must be mounted first, or is being unmounted. Requests are known by what they are about, so that all who want
the same wait for one answer, and by the token in their packet.

An automounter that no longer reads its pipe, or says so (AUTOFS_IOC_CATATONIC), is asked nothing more: all requests
fail, and everybody passes as if it were the automounter.

Invariants: a request is in both dictionaries until it has an answer. `bell` is None exactly while `is_catatonic`.

Context: `ask` and `wait` sleep; nothing else does.
"""

from typing import Final

from kernel.fs.autofs import packets
from kernel.fs.autofs.packets import HIGHEST_VERSION, INDIRECT, LOWEST_VERSION, Asker
from kernel.fs.constants import O_DIRECT, O_NONBLOCK
from kernel.fs.file import File
from kernel.fs.filesystem import FileSystem
from kernel.fs.inode import Inode
from kernel.ipc.pipe import PipeFile
from kernel.lang import EBADF, EINTR, EINVAL, ENOENT, ENOMEM, EPIPE, ERESTARTSYS, Errno, final, noraise, u64
from kernel.lib.ids import ROOT_GROUP, ROOT_USER, KernelGid, KernelUid
from kernel.lib.namespace import FIRST_USER, UserNamespace
from kernel.lib.pid import UNSET, Pid, shown_to_caller
from kernel.sched import WaitQueue
from kernel.sched.later import Job, start_thread
from kernel.sched.mutex import Patience
from kernel.task import current_or_none
from kernel.task.pid_namespace import FIRST_PID, PidNamespace
from kernel.task.send import signal_itself
from kernel.task.signals import SIGPIPE, contains
from kernel.time.clock import monotonic_ns

MAGIC: Final = 0x187
TICKS_PER_SECOND: Final = 250  # of Linux's clock, in which it counts time-outs
_TICK_NS: Final = 1_000_000_000 // TICKS_PER_SECOND
_LARGEST_WAIT: Final = u64(1 << 62)


@final
class Tokens:
    """The tokens of requests, each used once by the machine."""

    def __init__(self) -> None:
        self._last: int = 0

    def next(self) -> int:
        self._last = self._last % 0xFFFF_FFFF + 1
        return self._last


TOKENS: Final = Tokens()


@final
class Request:
    """What the automounter was asked to mount or to unmount."""

    def __init__(self, name: bytes, token: int, user: KernelUid, group: KernelGid) -> None:
        self.name: bytes = name
        self.token: int = token
        self.user: KernelUid = user  # who asked first
        self.group: KernelGid = group
        self.is_answered: bool = False
        self.error: int = 0  # the answer
        self.queue: WaitQueue = WaitQueue()


@final
class Bell(Job):
    """The automounter's pipe. It is released by a kernel thread: it may be the last that uses another mount, which
    could be the last that uses another autofs, and so on.
    """

    def __init__(self, pipe: PipeFile) -> None:
        super().__init__()
        self.pipe: PipeFile = pipe
        self.users: int = 1  # the mount, and threads that write

    def let_go(self) -> None:
        """A user less. Never raises."""
        self.users -= 1
        if self.users == 0:
            self.schedule()

    def run(self) -> None:
        self.pipe.release()


class AutofsInstance(FileSystem):
    """The part of the file system that its inodes know."""

    def __init__(self, source: bytes) -> None:
        super().__init__(b"autofs", source, MAGIC)
        self.block_size = 1024
        self.automounts = True
        self.kind: int = INDIRECT
        self.version: int = HIGHEST_VERSION
        self.lowest: int = LOWEST_VERSION  # that the automounter speaks
        self.highest: int = HIGHEST_VERSION
        self.group: Pid = UNSET  # of the automounter's processes
        self.pids: PidNamespace = FIRST_PID  # where it lives
        self.users: UserNamespace = FIRST_USER
        self.bell: Bell | None = None
        self.pipe_number: int = -1  # its descriptor, when the automounter gave it
        self.is_catatonic: bool = True
        self.timeout_ticks: u64 = u64(0)  # 0: nothing expires by itself
        self.expires_strictly: bool = False  # a walk alone does not count as use
        self.is_ignored: bool = False  # programs should not show the mount to users
        self.top: Inode | None = None
        self.settled: WaitQueue = WaitQueue()  # woken when something was unmounted, or is not going to be
        self._last_ino: int = 0
        self._requests: dict[bytes, Request] = {}
        self._tokens: dict[int, Request] = {}

    def root(self) -> Inode:
        top = self.top
        if top is None:
            raise Errno(EINVAL)
        return top

    def new_ino(self) -> int:
        self._last_ino += 1
        return self._last_ino

    def is_trigger(self) -> bool:
        """Whether something is mounted on the root itself."""
        return self.kind != INDIRECT

    # ---- The automounter --------------------------------------------------------------------------------------

    def obeys(self) -> bool:
        """Whether the running thread is the automounter's, or passes as such."""
        if self.is_catatonic:
            return True
        task = current_or_none()
        return task is not None and task.process.group == self.group

    def connect(self, pipe: File, number: int) -> None:
        """Let the running thread's group be the automounter, with this end of a pipe, which gets whole packets and
        waits for room. Raises EBADF for what is no pipe, MemoryError.
        """
        if not pipe.writable or not isinstance(pipe, PipeFile):
            raise Errno(EBADF)
        start_thread()
        self.bell = Bell(pipe)
        pipe.flags = pipe.flags & ~O_NONBLOCK | O_DIRECT
        pipe.acquire()
        self.pipe_number = number
        self.is_catatonic = False

    def fall_silent(self) -> None:
        """Ask nothing more. Repeated calls are harmless."""
        bell = self.bell
        self.is_catatonic = True
        if bell is None:
            return
        self.bell = None
        self.pipe_number = -1
        for request in self._requests.values():
            _answer(request, ENOENT)
        self._requests.clear()
        self._tokens.clear()
        bell.let_go()

    # ---- Requests ---------------------------------------------------------------------------------------------

    def request_for(self, name: bytes) -> Request | None:
        """What the automounter has been asked about a name, and has not answered."""
        return self._requests.get(name)

    def ask(self, name: bytes, *, is_expiry: bool) -> Request:
        """Ask for something to be mounted, or to be unmounted, unless others have already. Raises ENOENT (nobody
        answers, or the automounter cannot be given the name or the caller), EINTR, MemoryError.
        """
        known = self._requests.get(name)
        if known is not None:
            return known
        bell = self.bell
        task = current_or_none()
        if bell is None or task is None or len(name) > packets.LONGEST_NAME:
            raise Errno(ENOENT)
        credentials = task.credentials
        asker = Asker(
            self.users.shown_uid(credentials.uid),
            self.users.shown_gid(credentials.gid),
            self.pids.shown(task.tid),
            self.pids.shown(task.pid),
        )
        if asker.thread == 0 or asker.process == 0:
            raise Errno(ENOENT)
        request = Request(name, TOKENS.next(), credentials.uid, credentials.gid)
        packet = self._packet(request, asker, is_expiry=is_expiry)
        self._requests[name] = request
        try:
            self._tokens[request.token] = request
        except MemoryError:
            self._requests.pop(name)
            raise
        self._send(bell, packet, request)
        return request

    def _packet(self, request: Request, asker: Asker, *, is_expiry: bool) -> bytearray:
        kind = packets.packet_type(self.version, self.kind, is_expiry=is_expiry)
        if self.version < HIGHEST_VERSION:
            return packets.make_old_packet(self.version, kind, request.token, request.name)
        inode = self.root().ino
        return packets.make_packet(self.version, kind, request.token, self.device, inode, asker, request.name)

    def _send(self, bell: Bell, packet: bytearray, request: Request) -> None:
        """Write a packet, or answer the request: if a signal or a lack of memory came before, that one alone."""
        bell.users += 1
        try:
            bell.pipe.pipe.write_message(packet)
        except MemoryError:
            self._finish(request, ENOMEM)
        except Errno as error:
            if error.code == ERESTARTSYS:
                self._finish(request, EINTR)
            else:
                if error.code == EPIPE:
                    _break_pipe()
                self.fall_silent()
        finally:
            bell.let_go()

    def wait(self, request: Request) -> None:
        """Wait for the answer. Raises what it says, EINTR (the thread is being killed), MemoryError."""
        patience = Patience()
        try:
            while not request.is_answered:
                patience.sleep(request.queue)
        finally:
            patience.end()
        if request.error != 0:
            raise Errno(request.error)

    def answer(self, token: int, error: int) -> None:
        """The automounter has done what it was asked (0), or has not. Raises EINVAL for an unknown token."""
        request = self._tokens.get(token)
        if request is None:
            raise Errno(EINVAL)
        self._finish(request, error)

    def _finish(self, request: Request, error: int) -> None:
        if not request.is_answered:
            self._tokens.pop(request.token)
            self._requests.pop(request.name)
            _answer(request, error)

    # ---- Time -------------------------------------------------------------------------------------------------

    def set_timeout(self, seconds: u64) -> u64:
        """How long something must have been idle before it expires. Returns the old value."""
        old = self.timeout()
        self.timeout_ticks = u64(seconds * TICKS_PER_SECOND)
        return old

    def timeout(self) -> u64:
        """The same in seconds."""
        return self.timeout_ticks // TICKS_PER_SECOND

    def is_due(self, last_used_ns: int) -> bool:
        """Whether what was used last at that time has expired."""
        ticks = self.timeout_ticks
        if ticks == 0:
            return False
        if ticks > _LARGEST_WAIT:
            return ticks >= u64(1 << 63)  # as on Linux, whose sum runs over
        return (monotonic_ns() - last_used_ns) // _TICK_NS >= int(ticks)

    # ---- What others see --------------------------------------------------------------------------------------

    def options(self) -> bytes:
        text = f",fd={self.pipe_number}"
        top = self.root()
        if top.uid != ROOT_USER:
            text += f",uid={int(top.uid)}"
        if top.gid != ROOT_GROUP:
            text += f",gid={int(top.gid)}"
        text += f",pgrp={shown_to_caller(self.group)},timeout={int(self.timeout())}"
        text += f",minproto={self.lowest},maxproto={self.highest}"
        shown = text.encode()
        shown += b",indirect" if self.kind == INDIRECT else b",offset" if self.kind == packets.OFFSET else b",direct"
        if self.expires_strictly:
            shown += b",strictexpire"
        if self.is_ignored:
            shown += b",ignore"
        bell = self.bell
        return shown + f",pipe_ino={-1 if bell is None else bell.pipe.inode.ino}".encode()


@noraise
def _answer(request: Request, error: int) -> None:
    request.error = error
    request.is_answered = True
    request.queue.wake_all()


def _break_pipe() -> None:
    """Nobody reads the automounter's pipe. If SIGPIPE kills the thread that finds out, it does; on Linux, too, which
    takes the signal back otherwise.
    """
    task = current_or_none()
    if task is None:
        return
    actions = task.process.actions
    if not contains(actions.caught | actions.ignored | task.signals.blocked, SIGPIPE):
        signal_itself(task, SIGPIPE)
