"""Serve directories of this machine to a guest by virtio-fs: one virtiofsd for each, where there is one that is new
enough.

Server and QEMU are two ends of a connection that has no name. A server ends when QEMU does, however that came about, or
with `serving`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tools.guest.running import anonymous_file, place_of_sockets
from tools.machine import Share

PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")  # where packages put it, which is on nobody's PATH
OLDEST = (1, 13)  # knows --readonly, and --translate-uid
_PATIENCE_S = 10.0
_ASK_FEATURES = struct.pack("=III", 1, 1, 0)  # of vhost-user: the request, the protocol's version, no body
_ANSWER_SIZE = 20
_ALL_IDS = 0xFFFF_FFFF


def find_server() -> str | None:
    """The path of virtiofsd, if this machine has one that is new enough."""
    found = shutil.which("virtiofsd")
    places = ([] if found is None else [found]) + [place for place in PLACES if os.access(place, os.X_OK)]
    return next((place for place in places if _version_of(place) >= OLDEST), None)


def _version_of(server: str) -> tuple[int, int]:
    """Major and minor number; zeros if it does not say."""
    try:
        said = subprocess.run(
            [server, "--version"], check=False, capture_output=True, text=True, errors="replace",
            stdin=subprocess.DEVNULL, timeout=_PATIENCE_S,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return 0, 0
    found = re.search(r"\bvirtiofsd\S* (\d+)\.(\d+)", said.stdout)
    return (int(found[1]), int(found[2])) if said.returncode == 0 and found else (0, 0)


def server_arguments(server: str, share: Share, listener: int) -> list[str]:
    """virtiofsd's command line. What the guest changes is seen here at once, and the other way round, so nothing is
    cached. Krait's driver does not ask for mount points, and virtiofsd would say among the program's errors that it has
    to keep them to itself. Without privileges all files that the guest makes are ours, as with QEMU's own server.
    """
    arguments = [
        server, "--fd", str(listener), "--shared-dir", str(share.directory), "--cache", "never", "--xattr",
        "--no-announce-submounts", "--log-level", "error",
    ]  # fmt: skip
    if share.read_only:
        arguments.append("--readonly")
    if os.geteuid() == 0:
        return [*arguments, "--sandbox", "chroot"]
    return [
        *arguments, "--sandbox", "none",
        "--translate-uid", f"squash-guest:0:{os.geteuid()}:{_ALL_IDS}",
        "--translate-gid", f"squash-guest:0:{os.getegid()}:{_ALL_IDS}",
    ]  # fmt: skip


@dataclass
class Served:
    """Shares, and our ends of their connections."""

    shares: tuple[Share, ...]
    connections: list[socket.socket]

    def hand_over(self) -> None:
        """QEMU has the connections now, and alone: when it ends, the servers do."""
        for connection in self.connections:
            connection.close()


@contextlib.contextmanager
def serving(shares: Sequence[Share]) -> Iterator[Served]:
    """The same shares, each with a connection to a server that runs as long as the context lasts; without a virtiofsd,
    or if one does not come up, as they are.
    """
    server = find_server()
    if server is None:
        yield Served(tuple(shares), [])
        return
    with contextlib.ExitStack() as stack:
        served = Served((), [])
        for share in shares:
            errors = anonymous_file([], "errors")
            stack.callback(os.close, errors)
            connection, process = _start(server, share, errors)
            stack.callback(_end, process)
            stack.callback(connection.close)
            if not _answers(connection):  # whatever it says, QEMU serves the directory instead
                served = Served(tuple(shares), [])
                break
            stack.callback(_show, errors)
            served.shares += (replace(share, socket=connection.fileno()),)
            served.connections.append(connection)
        yield served


def _answers(connection: socket.socket) -> bool:
    """Whether the server has come up: it is asked what QEMU will ask first, too, which changes nothing."""
    connection.settimeout(_PATIENCE_S)
    try:
        connection.sendall(_ASK_FEATURES)
        return len(connection.recv(_ANSWER_SIZE, socket.MSG_WAITALL)) == _ANSWER_SIZE
    except OSError:
        return False
    finally:
        connection.settimeout(None)


def _start(server: str, share: Share, errors: int) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A server, and the connection that QEMU will use. The socket's name is gone before anybody else could see it."""
    with (
        tempfile.TemporaryDirectory() as directory, place_of_sockets(Path(directory)) as (place, _),
        socket.socket(socket.AF_UNIX) as listener,
    ):  # fmt: skip
        listener.bind(f"{place}/s")
        listener.listen(1)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{place}/s")
        connection.set_inheritable(True)
        process = subprocess.Popen(
            server_arguments(server, share, listener.fileno()), pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
        )  # fmt: skip
    return connection, process


def _show(errors: int) -> None:
    """What a server has said."""
    with contextlib.suppress(OSError):
        sys.stderr.write(os.pread(errors, 65536, 0).decode(errors="replace"))


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
