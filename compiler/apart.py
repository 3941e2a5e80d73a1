"""Run a piece of work in a child process, which returns its memory to the system when it ends.

The front end and lowering keep more than a gigabyte of small objects. CPython does not return all of that to the
system, and LLVM's workers need the room. Besides, importing a program can do anything to the process (`importing.py`):
the parent survives and reports it.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import re
import select
import signal
import struct
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

AT, ANSWER = b"@", b"="  # kinds of messages to the parent: the current step; the answer, which is the last one
HEAD = struct.Struct("<cQ")  # kind, and bytes that follow
SECONDS = struct.Struct("<d")  # in a message AT: the most that the step may take, elapsed; 0: no limit
TICK_S = 0.5  # between checks whether the child has ended: another process may hold its pipe open
SHORT_TICK_S = 0.02  # the same once the pipe is closed, when the child has most likely ended
LEAST_FREE = 1 << 30  # bytes of memory that are left to others when two processes work
GRACE_S = 5.0  # from the signal that makes the child write a traceback to the one that kills it

_exit, _fork = os._exit, os.fork  # imports may have others
_writer = -1  # in a child: to its parent


class ChildEnded(Exception):
    """The child process ended early: killed from outside, for example for lack of memory, or by its step `doing`."""

    def __init__(self, how: str, doing: str = "", is_late: bool = False) -> None:
        super().__init__(how)
        self.doing = doing
        self.is_late = is_late  # the step took longer than its limit


def apart(work: Callable[[], T]) -> T:
    """What `work` returns, or raise what it raises; either must be something that pickle supports. Raises ChildEnded
    and KeyboardInterrupt. There must be no other threads.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, writer)
    os.close(writer)
    parent = _Parent(reader, child)
    try:
        parent.listen()
    except BaseException:
        parent.kill()
        raise
    finally:
        os.close(reader)
    status = os.waitstatus_to_exitcode(parent.wait())
    if status == 130 and parent.answer is None and not parent.doing:
        raise KeyboardInterrupt
    if status != 0 or parent.answer is None:
        raise ChildEnded(f"signal {-status}" if status < 0 else f"status {status}", parent.doing, parent.is_late)
    result: T
    error: Exception | None
    result, error = pickle.loads(parent.answer)
    if error is not None:
        raise error
    return result


@contextlib.contextmanager
def meanwhile(work: Callable[[], T]) -> Iterator[Callable[[], T | None] | None]:
    """A child does some work from here on. Yields a function that waits for what it returns, or returns None if the
    child failed; None, and no child, without a second processor and room for twice this process.
    """
    if not has_room():
        yield None
        return
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    child = _fork()
    if child == 0:
        os.close(reader)
        _work_and_exit(work, writer)
    os.close(writer)
    parent = _Parent(reader, child)

    def result() -> T | None:
        with contextlib.suppress(ChildProcessError):  # what was imported meanwhile has waited for it
            parent.listen()
            parent.wait()
        answer: T | None = pickle.loads(parent.answer)[0] if parent.answer is not None else None
        return answer

    try:
        yield result
    finally:
        with contextlib.suppress(ChildProcessError):
            parent.kill()
        os.close(reader)


def has_room() -> bool:
    """Whether a second process of this size would have a processor and memory."""
    try:
        used = int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        free = re.search(r"^MemAvailable: *(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except OSError:
        return False
    return len(os.sched_getaffinity(0)) > 1 and free is not None and int(free[1]) << 10 > LEAST_FREE + 2 * used


def is_apart() -> bool:
    """Whether this is a child of `apart`."""
    return _writer >= 0


def tell(doing: str, seconds: float) -> None:
    """Tell the parent, if there is one, the current step and its limit in seconds; "" for the work itself."""
    if _writer >= 0:
        _send(AT, SECONDS.pack(seconds) + doing.encode(errors="replace"))


class _Parent:
    """The parent's side: the child, and the messages that it sent."""

    def __init__(self, reader: int, child: int) -> None:
        self.reader = reader
        self.child = child
        self.ended: int | None = None
        self.doing = ""
        self.until = 0.0
        self.is_late = False
        self.answer: bytes | None = None

    def listen(self) -> None:
        """Read messages until there is an answer or the child has ended."""
        data = bytearray()
        poll = select.poll()
        poll.register(self.reader, select.POLLIN)
        tick_s = TICK_S
        while self.answer is None:
            has_ended = self._has_ended()  # asked first, so that the pipe holds all that it wrote
            if poll.poll(0 if has_ended else tick_s * 1000):
                part = os.read(self.reader, 1 << 20)
                data += part
                self._take(data)
                if not part:  # the other end is closed
                    poll.unregister(self.reader)
                    tick_s = SHORT_TICK_S
            elif has_ended:
                return
            if self.until and time.monotonic() > self.until:
                self._end()

    def _take(self, data: bytearray) -> None:
        """Take the complete messages out of `data`."""
        while len(data) >= HEAD.size:
            kind, size = HEAD.unpack_from(data)
            end = HEAD.size + size
            if len(data) < end:
                return
            body = bytes(memoryview(data)[HEAD.size : end])
            del data[:end]
            if kind == ANSWER:
                self.answer = body
            else:
                (seconds,) = SECONDS.unpack_from(body)
                self.doing = body[SECONDS.size :].decode()
                self.until = time.monotonic() + seconds if seconds else 0.0

    def kill(self) -> None:
        """End a child whose answer is no longer wanted."""
        if not self._has_ended():
            os.kill(self.child, signal.SIGKILL)
            self.wait()

    def _has_ended(self) -> bool:
        if self.ended is None:
            process, status = os.waitpid(self.child, os.WNOHANG)
            self.ended = status if process else None
        return self.ended is not None

    def _end(self) -> None:
        """The step took too long: send a signal that leaves a traceback first, then one that kills."""
        number = signal.SIGKILL if self.is_late else signal.SIGXCPU
        self.is_late = True
        self.until = time.monotonic() + GRACE_S
        if not self._has_ended():
            os.kill(self.child, number)

    def wait(self) -> int:
        """The status of the child, as wait(2) gives it."""
        if self.ended is None:
            _, self.ended = os.waitpid(self.child, 0)
        return self.ended


def _send(kind: bytes, body: bytes) -> None:
    data = memoryview(HEAD.pack(kind, len(body)) + body)
    while data:
        data = data[os.write(_writer, data) :]


def _work_and_exit(work: Callable[[], T], writer: int) -> None:
    global _writer
    _writer = writer
    status = 1
    try:
        signal.set_wakeup_fd(-1)  # the parent's business
        try:
            data = pickle.dumps((work(), None), pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            error.add_note(traceback.format_exc())  # pickle drops the traceback
            data = pickle.dumps((None, error), pickle.HIGHEST_PROTOCOL)
        _send(ANSWER, data)
        status = 0
    except KeyboardInterrupt:
        status = 130
    except Exception:
        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
        with contextlib.suppress(BaseException):
            sys.stderr.flush()
        _exit(status)
