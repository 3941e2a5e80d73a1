"""A wire to a guest's card: QEMU's stream back end, so that many frames travel with one system call.

Each frame has its length in front (4 bytes, big-endian). What the guest does not take at once stays in the socket, so
the sender is held back instead of losing frames.
"""

from __future__ import annotations

import select
import socket
from pathlib import Path
from types import TracebackType

_LENGTH = 4
_BUFFER = 1 << 20


class Wire:
    """Our end. QEMU connects to the path when it starts: `arguments` are for its command line."""

    def __init__(self, path: Path, link_address: str, name: str = "wire0") -> None:
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(1)
        self._connection: socket.socket | None = None
        self._out = bytearray()
        self._in = bytearray()
        self.arguments = (
            "-netdev", f"stream,id={name},server=off,addr.type=unix,addr.path={path}",
            "-device", f"virtio-net-pci,netdev={name},mac={link_address}",
        )  # fmt: skip

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._connection is not None:
            self._connection.close()
        self._listener.close()

    def connect(self) -> None:
        """Wait for QEMU."""
        self._listener.settimeout(60)
        connection = self._listener.accept()[0]
        connection.setblocking(False)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        self._connection = connection

    def put(self, frame: bytes | bytearray) -> None:
        """Have a frame sent with the next `exchange`."""
        self._out += len(frame).to_bytes(_LENGTH, "big")
        self._out += frame

    def exchange(self, wait_seconds: float) -> list[bytes]:
        """Send what was put, as far as the guest takes it within the time, and return what the guest has sent. Without
        anything to send, it waits for that.
        """
        connection = self._connection
        assert connection is not None
        wants_to_send = [connection] if self._out else []
        readable, writable, _ = select.select([connection], wants_to_send, [], wait_seconds)
        if writable:
            sent = connection.send(self._out)
            del self._out[:sent]
        if readable:
            self._in += connection.recv(_BUFFER)
        return self._split()

    def _split(self) -> list[bytes]:
        frames = []
        start = 0
        data = self._in
        while len(data) - start >= _LENGTH:
            length = int.from_bytes(data[start : start + _LENGTH], "big")
            if len(data) - start - _LENGTH < length:
                break
            start += _LENGTH
            frames.append(bytes(data[start : start + length]))
            start += length
        del data[:start]
        return frames
