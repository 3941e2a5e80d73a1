"""Serve directories of this machine to a guest by virtio-fs: one virtiofsd for each, where there is one.

Server and QEMU are two ends of a connection that has no name. A server ends when QEMU does, however that came about, or
with `serving`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace

from tools.machine import Share

PLACES = ("/usr/libexec/virtiofsd", "/usr/lib/qemu/virtiofsd")  # where packages put it, which is on nobody's PATH
_PATIENCE_S = 10.0
_ALL_IDS = 0xFFFF_FFFF


def find_server() -> str | None:
    """The path of virtiofsd, if this machine has it."""
    found = shutil.which("virtiofsd")
    return found or next((place for place in PLACES if os.access(place, os.X_OK)), None)


def server_arguments(server: str, share: Share, listener: int) -> list[str]:
    """virtiofsd's command line. What the guest changes is seen here at once, and the other way round, so nothing is
    cached. Without privileges all files that the guest makes are ours, as with QEMU's own server.
    """
    arguments = [
        server, "--fd", str(listener), "--shared-dir", str(share.directory), "--cache", "never", "--xattr",
        "--log-level", "error",
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


@contextlib.contextmanager
def serving(shares: Sequence[Share]) -> Iterator[tuple[Share, ...]]:
    """The same shares, each with a connection to a server that runs as long as the context lasts; without a virtiofsd
    as they are.
    """
    server = find_server()
    if server is None:
        yield tuple(shares)
        return
    with contextlib.ExitStack() as stack:
        served = []
        for share in shares:
            connection, process = _start(server, share)
            stack.callback(_end, process)
            stack.callback(connection.close)
            served.append(replace(share, socket=connection.fileno()))
        yield tuple(served)


def _start(server: str, share: Share) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """A server, and the connection that QEMU will use. The socket's name is gone before anybody else could see it."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{directory}/s")
        listener.listen(1)
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"{directory}/s")
        connection.set_inheritable(True)
        process = subprocess.Popen(
            server_arguments(server, share, listener.fileno()), pass_fds=(listener.fileno(),),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    return connection, process


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
