"""A host for virtio-vsock: the program that QEMU's device `vhost-user-vsock` hands its queues to.

It speaks the vhost-user protocol at a unix socket, maps the guest's memory, and walks the queues of packets that come
from the guest and go there; what a connection of the host's side does is for the tests to say (`connect`, `listen`).
Needed because a test machine's kernel need not have vhost-vsock.

Sources: QEMU's docs/interop/vhost-user.rst; Virtual I/O Device (VIRTIO) Version 1.2, 2.7 and 5.10.
"""

from __future__ import annotations

import mmap
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

HOST = 2
STREAM, SEQUENCED = 1, 2
REQUEST, RESPONSE, RESET, SHUTDOWN, DATA, CREDIT_UPDATE, CREDIT_REQUEST = range(1, 8)
HEADER = struct.Struct("<QQIIIHHIII")
BUFFER = 1 << 18
LARGEST = 65536
COUNT = 0xFFFF_FFFF

_GET_FEATURES, _SET_MEM_TABLE, _SET_VRING_NUM, _SET_VRING_ADDR = 1, 5, 8, 9
_SET_VRING_BASE, _GET_VRING_BASE, _SET_VRING_KICK, _SET_VRING_CALL, _SET_VRING_ERR = 10, 11, 12, 13, 14
_GET_PROTOCOL_FEATURES, _GET_QUEUE_NUM, _GET_CONFIG = 15, 17, 24
_F_SEQUENCED = 1 << 1
_F_VERSION_1 = 1 << 32
_F_PROTOCOL_FEATURES = 1 << 30
_PROTOCOL_CONFIG = 1 << 9
_NO_DESCRIPTOR = 1 << 8
_REPLY = 5  # version 1, and that it is an answer


@dataclass
class Region:
    physical: int
    size: int
    user: int
    view: mmap.mmap
    offset: int
    halves: memoryview  # of 16 bits each, which are read and written in one piece: struct goes byte by byte


@dataclass
class Ring:
    """The device's side of a split virtqueue."""

    size: int = 0
    base: int = 0
    used_index: int = 0
    descriptors: int = 0
    used: int = 0
    available: int = 0
    kick: int = -1
    call: int = -1
    chain: tuple[int, list[tuple[int, int, int]]] | None = None  # that was taken, and not used yet


@dataclass
class Connection:
    """The host's side of a connection."""

    host: Host
    kind: int
    local_port: int
    remote_port: int
    is_open: bool = False
    was_reset: bool = False
    received: deque[bytes] = field(default_factory=deque)
    messages: deque[bytes] = field(default_factory=deque)
    part: bytes = b""
    peer_ended: int = 0
    ended: int = 0
    sent: int = 0
    forwarded: int = 0
    peer_buffer: int = 0
    peer_forwarded: int = 0

    def send(self, data: bytes, seconds: float = 100) -> None:
        """Send all of it; for a SEQUENCED connection, as one message."""
        deadline = time.monotonic() + seconds
        at = 0
        with self.host.news:
            while at < len(data):
                if self.was_reset:
                    raise ConnectionResetError
                room = min(self.peer_buffer - ((self.sent - self.peer_forwarded) & COUNT), LARGEST)
                if room <= 0:
                    assert self.host.news.wait(deadline - time.monotonic()), "the guest takes nothing"
                    continue
                piece = data[at : at + room]
                at += len(piece)
                ends = self.kind == SEQUENCED and at == len(data)
                self.sent = (self.sent + len(piece)) & COUNT
                self.host.send(self, DATA, int(ends), piece)

    def receive(self, count: int, seconds: float = 100) -> bytes:
        """That many bytes, or fewer at the end; of a SEQUENCED connection, one message."""
        deadline = time.monotonic() + seconds
        found = b""
        with self.host.news:
            while len(found) < count:
                if self.kind == SEQUENCED and self.messages:
                    found = self.messages.popleft()
                    self._read(len(found))
                    return found
                if self.received:
                    piece = self.received.popleft()
                    if len(piece) > count - len(found):
                        self.received.appendleft(piece[count - len(found) :])
                        piece = piece[: count - len(found)]
                    found += piece
                    self._read(len(piece))
                elif self.was_reset or self.peer_ended & 2:
                    break
                else:
                    assert self.host.news.wait(deadline - time.monotonic()), f"{len(found)} bytes came of {count}"
        return found

    def _read(self, count: int) -> None:
        self.forwarded = (self.forwarded + count) & COUNT
        self.host.send(self, CREDIT_UPDATE)

    def shut_down(self, how: int) -> None:
        """1: no more is received; 2: no more is sent."""
        with self.host.news:
            self.ended |= how
            self.host.send(self, SHUTDOWN, how)

    def reset(self) -> None:
        with self.host.news:
            self.host.send(self, RESET)
            self.host.forget(self)


class Host:
    """The program. Use it in a `with` statement, around the guest."""

    def __init__(self, path: Path, cid: int, *, sequenced: bool = True) -> None:
        self.path = path
        self.cid = cid
        self.news = threading.Condition()
        self.refused = 0  # resets that came for no connection
        self._features = _F_VERSION_1 | _F_PROTOCOL_FEATURES | (_F_SEQUENCED if sequenced else 0)
        self._regions: list[Region] = []
        self._rings = [Ring(), Ring()]
        self._connections: dict[tuple[int, int], Connection] = {}
        self._listening: dict[int, deque[Connection]] = {}
        self._outgoing: deque[bytes] = deque()
        self._next_port = 5000
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(1)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK)
        self._ends = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def arguments(self, memory: str, *, mmio: bool = False) -> tuple[str, ...]:
        """QEMU's, for a machine of that much memory; the device is on PCI, or has its registers in memory."""
        modern = ("-global", "virtio-mmio.force-legacy=false") if mmio else ()
        return (
            "-object", f"memory-backend-memfd,id=ram,size={memory},share=on", "-machine", "memory-backend=ram",
            "-chardev", f"socket,id=vsock,path={self.path}", *modern,
            "-device", f"vhost-user-vsock-{'device' if mmio else 'pci'},chardev=vsock",
        )  # fmt: skip

    def __enter__(self) -> Host:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ends = True
        os.eventfd_write(self._wake, 1)
        self._thread.join(5)
        self._socket.close()

    # What tests call ----------------------------------------------------------------------------------------------

    def listen(self, port: int) -> None:
        with self.news:
            self._listening[port] = deque()

    def accept(self, port: int, seconds: float = 60) -> Connection:
        with self.news:
            assert self.news.wait_for(lambda: self._listening[port], seconds), "nobody connected"
            return self._listening[port].popleft()

    def connect(self, port: int, kind: int = STREAM, seconds: float = 100) -> Connection:
        """Raises ConnectionResetError if the guest refuses."""
        with self.news:
            self._next_port += 1
            made = Connection(self, kind, self._next_port, port)
            self._connections[(made.local_port, port)] = made
            self.send(made, REQUEST)
            assert self.news.wait_for(lambda: made.is_open or made.was_reset, seconds), "the guest does not answer"
            if made.was_reset:
                raise ConnectionResetError
            return made

    def send(self, end: Connection, operation: int, flags: int = 0, data: bytes = b"") -> None:
        """Send a packet of a connection. The caller holds the lock."""
        self.send_raw(
            HOST, self.cid, end.local_port, end.remote_port, end.kind, operation, flags, end.forwarded, data
        )  # fmt: skip

    def send_raw(
        self, source: int, target: int, local: int, remote: int, kind: int, operation: int, flags: int = 0,
        forwarded: int = 0, data: bytes = b"", length: int | None = None,
    ) -> None:  # fmt: skip
        """Send any packet, true or not."""
        size = len(data) if length is None else length
        header = HEADER.pack(source, target, local, remote, size, kind, operation, flags, BUFFER, forwarded)
        self._outgoing.append(header + data)
        os.eventfd_write(self._wake, 1)

    def forget(self, end: Connection) -> None:
        end.was_reset = True
        self._connections.pop((end.local_port, end.remote_port), None)
        self.news.notify_all()

    # The thread ---------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self._socket.settimeout(120)
        try:
            channel, _ = self._socket.accept()
        except (TimeoutError, OSError):
            return
        with channel:
            while not self._ends:
                kicks = [ring.kick for ring in self._rings if ring.kick >= 0]
                ready, _, _ = select.select([channel.fileno(), self._wake, *kicks], [], [], 1)
                for descriptor in ready:
                    if descriptor == channel.fileno():
                        if not self._answer(channel):
                            return
                    else:
                        try:
                            os.eventfd_read(descriptor)
                        except BlockingIOError:
                            continue
                self._take_packets()
                self._give_packets()

    def _answer(self, channel: socket.socket) -> bool:
        head, descriptors, _, _ = socket.recv_fds(channel, 12, 8)
        if len(head) < 12:
            return False
        request, _, size = struct.unpack("<III", head)
        body = b""
        while len(body) < size:
            body += channel.recv(size - len(body))
        reply: bytes | None = None
        if request == _GET_FEATURES:
            reply = struct.pack("<Q", self._features)
        elif request == _GET_PROTOCOL_FEATURES:
            reply = struct.pack("<Q", _PROTOCOL_CONFIG)
        elif request == _GET_QUEUE_NUM:
            reply = struct.pack("<Q", 2)
        elif request == _GET_CONFIG:
            offset, length, config_flags = struct.unpack_from("<III", body)
            reply = struct.pack("<III", offset, length, config_flags)
            reply += struct.pack("<Q", self.cid)[offset : offset + length].ljust(length, b"\0")
        elif request == _SET_MEM_TABLE:
            self._map(body, descriptors)
        elif request == _SET_VRING_NUM:
            index, size = struct.unpack("<II", body)
            self._rings[index].size = size
        elif request == _SET_VRING_BASE:
            index, base = struct.unpack("<II", body)
            self._rings[index].base = base
            self._rings[index].used_index = base
        elif request == _GET_VRING_BASE:
            index, _ = struct.unpack("<II", body)
            reply = struct.pack("<II", index, self._rings[index].base)
            self._rings[index].kick = -1
        elif request == _SET_VRING_ADDR:
            index, _, table, used, available, _ = struct.unpack("<IIQQQQ", body)
            ring = self._rings[index]
            ring.descriptors, ring.used, ring.available = table, used, available
        elif request in (_SET_VRING_KICK, _SET_VRING_CALL, _SET_VRING_ERR):
            (number,) = struct.unpack("<Q", body)
            descriptor = descriptors[0] if not number & _NO_DESCRIPTOR and descriptors else -1
            ring = self._rings[number & 0xFF]
            if request == _SET_VRING_KICK:
                os.set_blocking(descriptor, False)
                ring.kick = descriptor
            elif request == _SET_VRING_CALL:
                ring.call = descriptor
        if reply is not None:
            channel.sendall(struct.pack("<III", request, _REPLY, len(reply)) + reply)
        return True

    def _map(self, body: bytes, descriptors: list[int]) -> None:
        (count, _) = struct.unpack_from("<II", body)
        self._regions = []
        for i in range(count):
            physical, size, user, offset = struct.unpack_from("<QQQQ", body, 8 + 32 * i)
            view = mmap.mmap(descriptors[i], size + offset)
            self._regions.append(Region(physical, size, user, view, offset, memoryview(view).cast("H")))

    def _find(self, address: int, length: int, *, user: bool) -> tuple[Region, int]:
        """The region that has a guest's address, and where in its view: a physical one, or one that QEMU has for it."""
        for region in self._regions:
            start = region.user if user else region.physical
            if start <= address and address + length <= start + region.size:
                return region, address - start + region.offset
        raise AssertionError(f"the guest names memory that it does not have: {address:#x}")

    def _place(self, address: int, length: int, *, user: bool) -> tuple[mmap.mmap, int]:
        region, at = self._find(address, length, user=user)
        return region.view, at

    def _load(self, form: str, address: int) -> tuple[int, ...]:
        view, at = self._place(address, struct.calcsize(form), user=True)
        return struct.unpack_from(form, view, at)

    def _load_half(self, address: int) -> int:
        """16 bits that the guest may write at the same time."""
        region, at = self._find(address, 2, user=True)
        return int(region.halves[at // 2])

    def _store_half(self, address: int, value: int) -> None:
        """16 bits that the guest may read at the same time."""
        region, at = self._find(address, 2, user=True)
        region.halves[at // 2] = value

    def _pop(self, ring: Ring) -> tuple[int, list[tuple[int, int, int]]] | None:
        """The next chain: its head, and address, length and flags of each buffer."""
        if ring.chain is not None:
            return ring.chain
        if ring.kick < 0 or ring.size == 0 or self._load_half(ring.available + 2) == ring.base & 0xFFFF:
            return None
        (head,) = self._load("<H", ring.available + 4 + 2 * (ring.base % ring.size))
        ring.base = (ring.base + 1) & 0xFFFF
        found: list[tuple[int, int, int]] = []
        index = head
        while True:
            address, length, flags, following = self._load("<QIHH", ring.descriptors + 16 * index)
            found.append((address, length, flags))
            if not flags & 1:
                break
            index = following
        ring.chain = (head, found)
        return ring.chain

    def _push(self, ring: Ring, head: int, length: int) -> None:
        view, at = self._place(ring.used, 4 + 8 * ring.size, user=True)
        struct.pack_into("<II", view, at + 4 + 8 * (ring.used_index % ring.size), head, length)
        ring.used_index = (ring.used_index + 1) & 0xFFFF
        self._store_half(ring.used + 2, ring.used_index)
        ring.chain = None
        if ring.call >= 0 and not self._load_half(ring.available) & 1:
            os.eventfd_write(ring.call, 1)

    def _take_packets(self) -> None:
        ring = self._rings[1]
        while (chain := self._pop(ring)) is not None:
            head, buffers = chain
            packet = b""
            for address, length, flags in buffers:
                assert not flags & 2, "a packet that goes is nothing to write to"
                view, at = self._place(address, length, user=False)
                packet += view[at : at + length]
            self._push(ring, head, 0)
            with self.news:
                self._receive(packet)
                self.news.notify_all()

    def _give_packets(self) -> None:
        ring = self._rings[0]
        while self._outgoing and (chain := self._pop(ring)) is not None:
            head, buffers = chain
            room = sum(length for _, length, _ in buffers)
            packet = self._outgoing.popleft()
            if len(packet) > room:  # the rest follows in a packet of its own
                fields = list(HEADER.unpack_from(packet))
                body = packet[HEADER.size :]
                first = room - HEADER.size
                last = list(fields)
                last[4] = len(body) - first
                self._outgoing.appendleft(HEADER.pack(*last) + body[first:])
                fields[4] = first
                fields[7] = 0
                packet = HEADER.pack(*fields) + body[:first]
            at = 0
            for address, length, flags in buffers:
                assert flags & 2, "a frame for what comes is there to be written"
                view, place = self._place(address, length, user=False)
                piece = packet[at : at + length]
                view[place : place + len(piece)] = piece
                at += len(piece)
            self._push(ring, head, len(packet))

    def _receive(self, packet: bytes) -> None:
        source, target, remote, local, length, kind, operation, flags, room, forwarded = HEADER.unpack_from(packet)
        data = packet[HEADER.size :]
        assert operation == RESET or (source, target) == (self.cid, HOST), "the guest lies"
        assert length == len(data)
        end = self._connections.get((local, remote))
        if operation == REQUEST and end is None and local in self._listening:
            end = Connection(self, kind, local, remote, is_open=True)
            self._connections[(local, remote)] = end
            end.peer_buffer, end.peer_forwarded = room, forwarded
            self._listening[local].append(end)
            self.send(end, RESPONSE)
            return
        if end is None:
            if operation == RESET:
                self.refused += 1
            else:
                self.send_raw(HOST, self.cid, local, remote, kind, RESET)
            return
        end.peer_buffer, end.peer_forwarded = room, forwarded
        if operation == RESPONSE:
            end.is_open = True
        elif operation == DATA:
            self._receive_data(end, data, flags)
        elif operation == RESET:
            self.forget(end)
        elif operation == CREDIT_REQUEST:
            self.send(end, CREDIT_UPDATE)
        elif operation == SHUTDOWN:
            end.peer_ended |= flags
            if end.peer_ended == 3 and not end.received:
                self.send(end, RESET)
                self.forget(end)

    def _receive_data(self, end: Connection, data: bytes, flags: int) -> None:
        if end.kind == STREAM:
            end.received.append(data)
            return
        end.part += data
        if flags & 1:
            end.messages.append(end.part)
            end.part = b""
