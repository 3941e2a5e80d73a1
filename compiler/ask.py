"""Ask the resident checker (compiler/resident.py) about files of the kernel; start it where there is none."""

from __future__ import annotations

import contextlib
import os
import pickle
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

START_S = 20.0  # a client waits so long for one that it started,
ACCEPT_S = 20.0  # and for the first byte of one that may be at work for another client

SOCKET = "resident.socket"
ACCEPTED, OTHER_VERSION, STREAM = b"a", b"o", b"s"
LENGTH = struct.Struct("!Q")
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
                check_user(connection)
                data = pickle.dumps(Question(version, files), pickle.HIGHEST_PROTOCOL)
                connection.sendall(LENGTH.pack(len(data)) + data)
                connection.settimeout(ACCEPT_S)
                word = connection.recv(1)
                connection.settimeout(None)
                if word == ACCEPTED:  # one that is stopped must not hold our stream open
                    socket.send_fds(connection, [STREAM], [sys.stderr.fileno()])
                    answer = pickle.loads(receive(connection))
                    return answer if isinstance(answer, Answer) else None
                if word != OTHER_VERSION:
                    return None
    except (OSError, EOFError, ValueError, pickle.PickleError):
        pass
    return None


def _connect() -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX)
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
        if (connection := _connect()) is not None:
            process.returncode = 0  # nobody waits for it
            return connection
        if process.poll() not in (None, 0):
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
