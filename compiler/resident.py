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
  client checks in its own process, from nothing.

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
import selectors
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from compiler.backend import CACHE, ROOT

if TYPE_CHECKING:
    from compiler.driver import Refused
    from compiler.front.kept import Kept

IDLE_S = float(os.environ.get("KRAIT_RESIDENT_IDLE") or 600)
LOOK_S = 20  # how often it looks whether its socket is still its own
START_S = 20.0  # a client waits so long for one that it started,
ACCEPT_S = 20.0  # and for the first byte of one that may be at work for another client
LOCK_S = 3.0  # a new one waits so long for the last one's end
MOST_KIB = 1_500_000  # of memory; the whole kernel takes about half of that
COLLECT_EVERY = 20  # questions: what was forgotten has circles

SOCKET, LOCK = "resident.socket", "resident.lock"
ACCEPTED, OTHER_VERSION, STREAM = b"a", b"o", b"s"
_LENGTH = struct.Struct("!Q")
_CREDENTIALS = struct.Struct("3i")


@dataclass
class Question:
    """Whether these files have errors, for a client of a version."""

    version: str
    files: list[Path]


@dataclass
class Answer:
    """That files have no errors, or which."""

    refused: Refused | None


# The client -----------------------------------------------------------------------------------------------------------


def is_usable() -> bool:
    """Whether a resident may be asked here. Paths in mypy's messages depend on the working directory."""
    return (
        sys.platform == "linux"
        and Path.cwd() == ROOT
        and os.environ.get("KRAIT_RESIDENT") != "0"
        and os.environ.get("KRAIT_COMPILER_DEBUG") != "1"
    )


def ask(files: list[Path], version: str) -> Answer | None:
    """What a resident says of files of the kernel; None if there is no answer. Starts one if need be."""
    try:
        for _ in range(2):  # the first may be of another version
            connection = _connect() or _start(version)
            if connection is None:
                return None
            with connection:
                _check_user(connection)
                data = pickle.dumps(Question(version, files), pickle.HIGHEST_PROTOCOL)
                connection.sendall(_LENGTH.pack(len(data)) + data)
                connection.settimeout(ACCEPT_S)
                word = connection.recv(1)
                connection.settimeout(None)
                if word == ACCEPTED:  # one that is stopped must not hold our stream open
                    socket.send_fds(connection, [STREAM], [sys.stderr.fileno()])
                    answer = pickle.loads(_receive(connection))
                    return answer if isinstance(answer, Answer) else None
                if word != OTHER_VERSION:
                    return None
    except (OSError, EOFError, ValueError, pickle.PickleError):
        pass
    return None


def _connect() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    try:
        with _address() as address:
            connection.connect(address)
    except OSError:
        connection.close()
        return None
    return connection


def _start(version: str) -> socket.socket | None:
    """A connection to a new resident, or to one that another client started at the same time."""
    command = [sys.executable, "-m", "compiler.resident", version]
    nothing = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=ROOT, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    latest = time.monotonic() + START_S
    while time.monotonic() < latest:
        if (connection := _connect()) is not None:
            process.returncode = 0  # nobody waits for it
            return connection
        if process.poll() not in (None, 0):
            return None
        time.sleep(0.02)
    return None


@contextlib.contextmanager
def _address() -> Iterator[str]:
    """The socket's address, which may be 107 bytes long, in a directory of any length."""
    folder = os.open(CACHE, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


def _check_user(connection: socket.socket) -> None:
    """Refuse to speak with another user's process: messages are pickled."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(data)[1] != os.getuid():
        raise PermissionError("another user's process")


def _receive(connection: socket.socket) -> bytes:
    (size,) = _LENGTH.unpack(_receive_exactly(connection, _LENGTH.size))
    return _receive_exactly(connection, size)


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


# The resident ---------------------------------------------------------------------------------------------------------


class Resident:
    """The process; see the module's description. Its children at work are known by their pidfds."""

    def __init__(self, version: str, lock: int) -> None:
        from compiler import driver

        self.version = version
        self.lock = lock
        self.kept: Kept = driver.nothing_kept()
        self.asked = 0
        self.running: dict[int, tuple[int, socket.socket]] = {}  # a child, and the client that it answers
        self.is_ending = False
        self.selector = selectors.DefaultSelector()
        self.listener = socket.socket(socket.AF_UNIX)
        with _address() as address:
            (CACHE / SOCKET).unlink(missing_ok=True)  # of one that was killed: we have the lock
            self.listener.bind(address)
        self.inode = (CACHE / SOCKET).stat().st_ino
        self.listener.listen()
        self.selector.register(self.listener, selectors.EVENT_READ)

    def run(self) -> None:
        """Answer until it is to end, and all answers are given."""
        last = time.monotonic()
        while not self.is_ending or self.running:
            events = self.selector.select(min(LOOK_S, IDLE_S))
            for key, _ in events:
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
        descriptors: list[int] = []
        try:
            _check_user(connection)
            connection.settimeout(ACCEPT_S)
            question = pickle.loads(_receive(connection))
            if question.version != self.version:
                self.end()
                connection.sendall(OTHER_VERSION)
            else:
                connection.sendall(ACCEPTED)
                _, descriptors, _, _ = socket.recv_fds(connection, len(STREAM), 1)
                connection.settimeout(None)
                self.prepare(question.files)
                self.fork(connection, question.files, descriptors[0])
                return
        except (OSError, EOFError, IndexError, struct.error, pickle.PickleError):
            pass  # it is left without an answer
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        connection.close()

    def prepare(self, files: list[Path]) -> None:
        """Read what changed. Where that goes wrong nothing is kept, and the child meets the same fault."""
        from compiler import driver

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

    def fork(self, connection: socket.socket, files: list[Path], errors: int) -> None:
        child = os.fork()
        if child == 0:
            os.close(self.lock)  # else it would be held for as long as we run, whatever becomes of our parent
            self.listener.close()
            os.dup2(errors, 1)
            os.dup2(errors, 2)
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
    """Check files in a child of the resident. The client makes its own check of what is no plain answer."""
    from compiler import driver
    from compiler.live import take_compiled

    try:
        try:
            take_compiled()
            driver.check_anew(files, kept)
            answer = Answer(None)
        except driver.Refused as refused:
            answer = Answer(driver.with_quoted_sources(refused))
        data = pickle.dumps(answer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(_LENGTH.pack(len(data)) + data)
    except BaseException:  # whatever it is, the client will see it too
        os._exit(1)
    os._exit(0)


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
    os.umask(0o077)
    from compiler import driver

    driver.import_checker()
    gc.disable()
    if driver.version_of(driver.source_hashes()) != version:  # the sources changed while they were imported
        return 1
    lock = _lock()
    if lock is None:
        return 0
    Resident(version, lock).run()
    return 0


if __name__ == "__main__":
    # Questions and answers are pickled, so their classes are the imported module's.
    from compiler.resident import main as imported_main

    sys.setrecursionlimit(20_000)
    sys.exit(imported_main(sys.argv[1]))
