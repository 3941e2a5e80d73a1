"""Ask the resident checker (compiler/resident.py) about files of the kernel; start it where there is none."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from compiler.backend import CACHE, ROOT

if TYPE_CHECKING:
    from compiler.driver import Refused

START_S = 20.0  # a client waits this long for a resident that it started,
ACCEPT_S = 20.0  # for the first byte of one that may be at work for another client,
SILENCE_S = 10.0  # and for the next sign of life of one that works for it, which come
SIGN_S = 1.0  # this often

SOCKET = "resident.socket"
ACCEPTED, OTHER_VERSION, ANSWER = b"a", b"o", b"!"
ALIVE = bytes([signal.SIGALRM])  # what a signal writes to `signal.set_wakeup_fd`
LENGTH = struct.Struct("!Q")
_CREDENTIALS = struct.Struct("3i")


@dataclass
class Question:
    """Whether these files have errors, for a client of a version."""

    version: str
    files: list[Path]


@dataclass
class Answer:
    """That files have no errors, or which; and what their import printed."""

    refused: Refused | None
    printed: bytes = b""


def is_usable() -> bool:
    """Whether a resident may be asked here. Paths in mypy's messages depend on the working directory. Continuous
    integration (`CI`) must leave no process behind: there it has to be asked for.
    """
    return (
        sys.platform == "linux"
        and Path.cwd() == ROOT
        and (os.environ.get("KRAIT_RESIDENT") or ("0" if os.environ.get("CI") else "1")) != "0"
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
                check_user(connection)
                data = pickle.dumps(Question(version, files), pickle.HIGHEST_PROTOCOL)
                connection.sendall(LENGTH.pack(len(data)) + data)
                word = connection.recv(1)
                if word == ACCEPTED:
                    return await_answer(connection)
                if word != OTHER_VERSION:
                    return None
    except (OSError, EOFError, ValueError, pickle.PickleError):
        pass
    return None


def await_answer(connection: socket.socket) -> Answer | None:
    """The answer of a resident that accepted our question; TimeoutError when it is silent, because it was stopped."""
    connection.settimeout(SILENCE_S)
    while (word := connection.recv(1)) == ALIVE:
        pass
    answer = pickle.loads(receive(connection)) if word == ANSWER else None
    return answer if isinstance(answer, Answer) else None


def _connect() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(ACCEPT_S)  # one that is stopped accepts nothing: its queue may be full, and so its buffer
    try:
        with socket_address() as address:
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
        has_ended = process.poll() is not None  # with 0: another one has the lock, and listens unless it is stopped
        if (connection := _connect()) is not None:
            process.returncode = 0  # nobody waits for it
            return connection
        if has_ended:
            return None
        time.sleep(0.02)
    return None


@contextlib.contextmanager
def socket_address() -> Iterator[str]:
    """The socket's address, which may be 107 bytes long, in a directory of any length."""
    folder = os.open(CACHE, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{SOCKET}"
    finally:
        os.close(folder)


def check_user(connection: socket.socket) -> None:
    """Refuse to speak with another user's process: messages are pickled."""
    data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    if _CREDENTIALS.unpack(data)[1] != os.getuid():
        raise PermissionError("another user's process")


def receive(connection: socket.socket) -> bytes:
    (size,) = LENGTH.unpack(_receive_exactly(connection, LENGTH.size))
    return _receive_exactly(connection, size)


def _receive_exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)
