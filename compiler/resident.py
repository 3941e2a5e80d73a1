"""The resident checker: a process that keeps what checks of unchanged modules found, so that the next one is quick.

`python -m compiler check` asks it about files of the kernel, and starts it where there is none. It reads what changed
(compiler/front/kept.py), and forks. The child checks the files as a process of its own would (`driver.check_anew`),
with what is kept, answers, and ends. So nothing that a check does, such as running the modules' own code, is left
behind.

An answer is one about the files on disk, or there is none:
- The resident compares the hashes of what it keeps with the files before each answer; the client hashes all sources
  before it asks and after it was answered, and takes no answer if they differ.
- Client and resident must have the same version (`driver.version_of`): the compiler's sources, the prelude, the names
  of all sources, Python and mypy, and Python's settings. If not, the resident ends, and the client starts another.
- Where anything fails (no resident, one that is killed or silent, an exception in it) there is no answer, and the
  client checks in its own process, from nothing. Resident and child send a byte each second while they work.

It listens at a socket in the cache's directory, for its own user only. It ends after IDLE_S without a question, when
the socket is no longer its own, or when it has grown too large. A lock sees to it that there is one for each cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import pickle
import resource
import select
import selectors
import signal
import socket
import struct
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import compiler.freeze
import compiler.front.check
import compiler.lower.debug
import compiler.lower.program  # noqa: F401  (all that a check needs is imported before the first)
from compiler import driver
from compiler.ask import (
    ACCEPT_S,
    ACCEPTED,
    ANSWER,
    LENGTH,
    OTHER_VERSION,
    SIGN_S,
    SOCKET,
    Answer,
    check_user,
    receive,
    socket_address,
)
from compiler.backend import CACHE
from compiler.live import take_compiled

if TYPE_CHECKING:
    from compiler.front.kept import Kept

IDLE_S = float(os.environ.get("KRAIT_RESIDENT_IDLE") or 600)
LOOK_S = 20  # how often it looks whether its socket is still its own
LOCK_S = 3.0  # a new one waits so long for the last one's end
MOST_KIB = 1_500_000  # of memory; the types of the whole kernel take a third of that
COLLECT_EVERY = 20  # questions: what was forgotten has circles
LOCK = "resident.lock"
_exit = os._exit  # imports have another one (`importing.ends_raise`)


class Resident:
    """The process; see the module's description. Its children at work are known by their pidfds."""

    def __init__(self, version: str, lock: int) -> None:
        self.version = version
        self.lock = lock
        self.kept: Kept = driver.nothing_kept()
        self.asked = 0
        self.running: dict[int, tuple[int, socket.socket]] = {}  # a child, and the client that it answers
        self.is_ending = False
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        with socket_address() as address:
            (CACHE / SOCKET).unlink(missing_ok=True)  # of one that was killed: we have the lock
            mask = os.umask(0o077)
            self.listener.bind(address)
            os.umask(mask)
        self.inode = (CACHE / SOCKET).stat().st_ino
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer until it is to end, and all answers are given. New clients come last: their descriptors may have the
        numbers of those that were closed.
        """
        last = time.monotonic()
        while not self.is_ending or self.running:
            events = self.selector.select(min(LOOK_S, IDLE_S))
            for key, _ in sorted(events, key=lambda event: event[0].fileobj is self.listener):
                if key.fileobj is self.listener:
                    self.accept()
                elif key.fd in self.running:
                    self.bury(key.fd)
                elif key.data in self.running:
                    self.stop(key.data)
            if events:
                last = time.monotonic()
            elif not self.running and (time.monotonic() - last >= IDLE_S or not self.is_own_socket()):
                self.end()

    def accept(self) -> None:
        """Let a child answer a client."""
        connection, _ = self.listener.accept()
        try:
            check_user(connection)
            connection.settimeout(ACCEPT_S)
            question = pickle.loads(receive(connection))
            if question.version != self.version:
                self.end()
                connection.sendall(OTHER_VERSION)
            else:
                connection.sendall(ACCEPTED)
                show_life(connection)
                self.prepare(question.files)
                show_life(None)
                self.fork(connection, question.files)
                return
        except (OSError, EOFError, struct.error, pickle.PickleError):
            pass  # it is left without an answer
        connection.close()

    def prepare(self, files: list[Path]) -> None:
        """Read what changed. Where that goes wrong nothing is kept, and the child meets the same fault."""
        try:
            driver.prepare(files, self.kept)
        except (Exception, SystemExit):
            self.kept = driver.nothing_kept()
        gc.disable()  # mypy enables it
        self.asked += 1
        if self.asked % COLLECT_EVERY == 0:
            gc.collect()
        if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > MOST_KIB:
            self.end()

    def fork(self, connection: socket.socket, files: list[Path]) -> None:
        child = os.fork()
        if child == 0:
            os.close(self.lock)  # else it would be held for as long as we run, whatever becomes of our parent
            self.listener.close()
            _answer_and_exit(connection, files, self.kept)
        process = os.pidfd_open(child)
        self.running[process] = child, connection
        self.selector.register(process, selectors.EVENT_READ)
        self.selector.register(connection, selectors.EVENT_READ, process)

    def stop(self, process: int) -> None:
        """End a child whose client went away."""
        child, connection = self.running[process]
        os.kill(child, signal.SIGKILL)
        self.selector.unregister(connection)

    def bury(self, process: int) -> None:
        """A child has ended. If it gave no answer, its client sees that when the connection is closed."""
        child, connection = self.running.pop(process)
        os.waitpid(child, 0)
        self.selector.unregister(process)
        with contextlib.suppress(KeyError):
            self.selector.unregister(connection)
        os.close(process)
        connection.close()

    def is_own_socket(self) -> bool:
        try:
            return (CACHE / SOCKET).stat().st_ino == self.inode
        except OSError:
            return False

    def end(self) -> None:
        """Make room for another one; what is at work is finished first."""
        if self.is_ending:
            return
        self.is_ending = True
        self.selector.unregister(self.listener)
        if self.is_own_socket():
            (CACHE / SOCKET).unlink(missing_ok=True)
        self.listener.close()
        fcntl.flock(self.lock, fcntl.LOCK_UN)


def _answer_and_exit(connection: socket.socket, files: list[Path], kept: Kept) -> NoReturn:
    """Check files in a child of the resident. The client makes its own check of what is no plain answer.

    What is printed goes with the answer: a process that is stopped must not hold the client's streams open.
    """
    try:
        printed = os.memfd_create("printed")
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        signal.signal(signal.SIGALRM, partial(_end_without, connection))
        show_life(connection)
        try:
            take_compiled()
            driver.check_anew(files, kept)
            answer = Answer(None)
        except driver.Refused as refused:
            answer = Answer(driver.with_quoted_sources(refused))
        sys.stdout.flush()
        sys.stderr.flush()
        answer.printed = os.pread(printed, os.fstat(printed).st_size, 0)
        data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        show_life(None)
        connection.sendall(ANSWER + LENGTH.pack(len(data)) + data)
    except BaseException:  # whatever it is, the client will see it too
        _exit(1)
    _exit(0)


def show_life(connection: socket.socket | None) -> None:
    """Send a client a byte each SIGN_S from now on; None ends that. Python's own handler writes it when the signal
    comes, even while compiled code such as mypy's runs. The connection has a timeout: it must not block.
    """
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.set_wakeup_fd(-1 if connection is None else connection.fileno(), warn_on_full_buffer=False)
    if connection is not None:
        signal.setitimer(signal.ITIMER_REAL, SIGN_S, SIGN_S)


def _end_without(connection: socket.socket, number: int, frame: object) -> None:
    """End a child whose client went away, should its parent not do that. Clients say nothing after the question."""
    if select.select([connection], [], [], 0)[0]:
        _exit(1)


def _lock() -> int | None:
    """The right to be the resident of this cache, as a descriptor; None if another one has it."""
    lock = os.open(CACHE / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    latest = time.monotonic() + LOCK_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            if time.monotonic() > latest:
                return None
        time.sleep(0.05)


def main(version: str) -> int:
    """Be the resident for clients of a version. Status 0 if there is one; 1 if it can't be this one."""
    gc.disable()
    signal.signal(signal.SIGALRM, lambda number, frame: None)
    if driver.version_of(driver.source_hashes()) != version:  # the sources changed while they were imported
        return 1
    lock = _lock()
    if lock is None:
        return 0
    Resident(version, lock).run()
    return 0


if __name__ == "__main__":
    sys.setrecursionlimit(20_000)
    sys.exit(main(sys.argv[1]))
