"""A program that serves a file system in memory by /dev/fuse, written from the messages. It answers at once, and may
lie.
"""

from __future__ import annotations

import contextlib
import errno
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from kernel.fs.fuse.device import FuseDevice
from kernel.lang import Errno
from kernel.lib.user import KernelBuffer

HEADER = struct.Struct("<IIQQIIIHH")
INIT, INTERRUPT, FORGET, BATCH_FORGET, DESTROY = 26, 36, 2, 42, 38


@dataclass
class Node:
    number: int
    mode: int
    data: bytes = b""
    names: dict[bytes, int] = field(default_factory=dict)
    links: int = 1
    uid: int = 0
    gid: int = 0
    rdev: int = 0
    times: tuple[int, int] = (1, 2)
    attributes: dict[bytes, bytes] = field(default_factory=dict)


@dataclass
class Asked:
    kind: int
    unique: int
    node: int
    uid: int
    gid: int
    pid: int
    body: bytes


@dataclass
class Held:
    """A lock."""

    node: int
    owner: int
    start: int
    end: int
    kind: int
    pid: int
    is_whole: bool


class Daemon:
    """`spoil` changes an answer on its way; `sleeps_on` are kinds that it takes and does not answer."""

    def __init__(self) -> None:
        self.device: FuseDevice | None = None
        self.nodes: dict[int, Node] = {1: Node(1, stat.S_IFDIR | 0o755, links=2)}
        self.next_number = 2
        self.lookups: dict[int, int] = {}
        self.opened: dict[int, int] = {}
        self.next_handle = 1 << 40
        self.seen: list[Asked] = []
        self.unanswered: list[Asked] = []
        self.sleeps_on: set[int] = set()
        self.lacks: set[int] = set()
        self.spoil: Callable[[Asked, int, bytes], tuple[int, bytes]] | None = None
        self.valid = (0, 0)  # seconds: names, attributes
        self.minor = 31
        self.flags = 1 << 0 | 1 << 5 | 1 << 17 | 1 << 24  # what it agrees to, of what is offered
        self.locks: list[Held] = []
        self.waiting: list[tuple[Asked, Held]] = []  # SETLKW without an answer so far
        self.events = 1  # POLL*
        self.polled = 0  # the number by which the kernel knows the polled file
        self.max_write = 131072
        self.is_serving = False
        self.stops = False

    # ---- The device -------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Serve whatever is there."""
        if self.is_serving or self.device is None or self.stops:
            return
        self.is_serving = True
        try:
            while True:
                asked = self.take()
                if asked is None:
                    return
                self.serve(asked)
        finally:
            self.is_serving = False

    def take(self) -> Asked | None:
        assert self.device is not None
        buffer = KernelBuffer(bytearray(140_000))
        try:
            length = self.device.read(buffer)
        except Errno as error:
            assert error.code in (errno.EAGAIN, errno.ENODEV, errno.EPERM), error.code
            return None
        data = bytes(buffer.storage[:length])
        size, kind, unique, node, uid, gid, pid, extra, _ = HEADER.unpack_from(data)
        assert size == length and extra == 0
        asked = Asked(kind, unique, node, uid, gid, pid, data[40:])
        self.seen.append(asked)
        return asked

    def reply(self, asked: Asked, error: int, body: bytes = b"") -> None:
        assert self.device is not None
        answer = struct.pack("<IiQ", 16 + len(body), -error, asked.unique) + body
        self.device.write(KernelBuffer(bytearray(answer)))

    def notify(self, code: int, body: bytes) -> None:
        assert self.device is not None
        self.device.write(KernelBuffer(bytearray(struct.pack("<IiQ", 16 + len(body), code, 0) + body)))

    def serve(self, asked: Asked) -> None:
        if asked.kind in self.sleeps_on:
            self.unanswered.append(asked)
            return
        if asked.kind == FORGET:
            self.forget(asked.node, *struct.unpack("<Q", asked.body))
            return
        if asked.kind == BATCH_FORGET:
            count, _ = struct.unpack_from("<II", asked.body)
            for i in range(count):
                self.forget(*struct.unpack_from("<QQ", asked.body, 8 + 16 * i))
            return
        if asked.kind == INTERRUPT:
            return
        error, body = 0, b""
        try:
            if asked.kind in self.lacks:
                raise OSError(errno.ENOSYS, "")
            body = getattr(self, f"do_{asked.kind}")(asked, self.nodes.get(asked.node, self.nodes[1]))
        except OSError as failure:
            error = failure.errno or errno.EIO
        except (AssertionError, KeyError, ValueError, struct.error):
            if self.spoil is None:
                raise
            error = errno.EIO  # it is asked for what its own lies made the kernel believe
        if self.spoil is not None:
            error, body = self.spoil(asked, error, body)
        try:
            self.reply(asked, error, body)
        except Errno as refused:
            assert self.spoil is not None and refused.code in (errno.EINVAL, errno.ENOENT)
            with contextlib.suppress(Errno):
                self.reply(asked, errno.EIO)  # what was no answer at all leaves the question open

    # ---- Files ------------------------------------------------------------------------------------------------

    def forget(self, node: int, count: int) -> None:
        if node == 1 and self.spoil is not None:
            return  # it has claimed that a name leads to the root
        self.lookups[node] -= count
        assert self.lookups[node] >= 0

    def attributes(self, node: Node) -> bytes:
        size = len(node.data)
        accessed, modified = node.times
        return struct.pack("<QQQQQQIIIIIIIIII", node.number + 1000, size, (size + 511) // 512, accessed, modified, 3,
                           0, 5, 0, node.mode, node.links, node.uid, node.gid, node.rdev, 4096, 0)  # fmt: skip

    def entry(self, node: Node) -> bytes:
        self.lookups[node.number] = self.lookups.get(node.number, 0) + 1
        return struct.pack("<QQQQII", node.number, 7, *self.valid, 0, 0) + self.attributes(node)

    def child(self, parent: Node, name: bytes) -> Node:
        if name not in parent.names:
            raise OSError(errno.ENOENT, "")
        return self.nodes[parent.names[name]]

    def add(self, parent: Node, name: bytes, mode: int, asked: Asked | None = None) -> Node:
        if name in parent.names:
            raise OSError(errno.EEXIST, "")
        node = Node(self.next_number, mode, uid=asked.uid if asked else 0, gid=asked.gid if asked else 0)
        self.next_number += 1
        self.nodes[node.number] = node
        parent.names[name] = node.number
        return node

    def do_26(self, asked: Asked, node: Node) -> bytes:
        major, minor, readahead, low, high = struct.unpack_from("<IIIII", asked.body)
        assert major == 7 and minor >= 31 and len(asked.body) == 64
        low &= self.flags
        high &= self.flags >> 32
        return struct.pack(
            "<IIIIHHIIHHII24x", 7, self.minor, readahead, low, 12, 9, self.max_write, 1, 0, 0, high, 0
        )

    def do_1(self, asked: Asked, node: Node) -> bytes:
        return self.entry(self.child(node, asked.body[:-1]))

    def do_3(self, asked: Asked, node: Node) -> bytes:
        return struct.pack("<QII", self.valid[1], 0, 0) + self.attributes(node)

    def do_4(self, asked: Asked, node: Node) -> bytes:
        valid, _, _, size, _, accessed, modified, _ = struct.unpack_from("<IIQQQQQQ", asked.body)
        mode, _, uid, gid, _ = struct.unpack_from("<IIIII", asked.body, 68)
        if valid & 1:
            node.mode = mode
        if valid & 2:
            node.uid = uid
        if valid & 4:
            node.gid = gid
        if valid & 8:
            node.data = node.data[:size].ljust(size, b"\0")
        if valid & 0x30:
            node.times = (accessed, modified)
        return self.do_3(asked, node)

    def do_5(self, asked: Asked, node: Node) -> bytes:
        return node.data

    def do_6(self, asked: Asked, node: Node) -> bytes:
        name, target, _ = asked.body.split(b"\0")
        made = self.add(node, name, stat.S_IFLNK | 0o777, asked)
        made.data = target
        return self.entry(made)

    def do_8(self, asked: Asked, node: Node) -> bytes:
        mode, rdev = struct.unpack_from("<II", asked.body)
        made = self.add(node, asked.body[16:-1], mode, asked)
        made.rdev = rdev
        return self.entry(made)

    def do_9(self, asked: Asked, node: Node) -> bytes:
        (mode,) = struct.unpack_from("<I", asked.body)
        return self.entry(self.add(node, asked.body[8:-1], stat.S_IFDIR | mode, asked))

    def do_10(self, asked: Asked, node: Node) -> bytes:
        child = self.child(node, asked.body[:-1])
        child.links -= 1
        del node.names[asked.body[:-1]]
        return b""

    def do_11(self, asked: Asked, node: Node) -> bytes:
        if self.child(node, asked.body[:-1]).names:
            raise OSError(errno.ENOTEMPTY, "")
        del node.names[asked.body[:-1]]
        return b""

    def do_12(self, asked: Asked, node: Node) -> bytes:
        (other,) = struct.unpack_from("<Q", asked.body)
        old, new, _ = asked.body[8:].split(b"\0")
        number = self.child(node, old).number
        del node.names[old]
        self.nodes[other].names[new] = number
        return b""

    def do_45(self, asked: Asked, node: Node) -> bytes:
        other, flags, _ = struct.unpack_from("<QII", asked.body)
        old, new, _ = asked.body[16:].split(b"\0")
        assert flags == 2
        there = self.nodes[other].names
        node.names[old], there[new] = there[new], node.names[old]
        return b""

    def do_13(self, asked: Asked, node: Node) -> bytes:
        (target,) = struct.unpack_from("<Q", asked.body)
        node.names[asked.body[8:-1]] = target
        self.nodes[target].links += 1
        return self.entry(self.nodes[target])

    def do_14(self, asked: Asked, node: Node) -> bytes:
        self.next_handle += 1
        self.opened[self.next_handle] = asked.node
        return struct.pack("<QII", self.next_handle, 0, 0)

    do_27 = do_14

    def do_18(self, asked: Asked, node: Node) -> bytes:
        (handle,) = struct.unpack_from("<Q", asked.body)
        assert self.opened.pop(handle) == asked.node
        return b""

    do_29 = do_18

    def do_35(self, asked: Asked, node: Node) -> bytes:
        _, mode = struct.unpack_from("<II", asked.body)
        made = self.add(node, asked.body[16:-1], mode, asked)
        entry = self.entry(made)
        return entry + self.do_14(Asked(14, 0, made.number, 0, 0, 0, b""), made)

    def do_15(self, asked: Asked, node: Node) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", asked.body)
        assert self.opened[handle] == asked.node
        return node.data[offset : offset + size]

    def do_16(self, asked: Asked, node: Node) -> bytes:
        handle, offset, size = struct.unpack_from("<QQI", asked.body)
        assert self.opened[handle] == asked.node and size == len(asked.body) - 40 and size <= self.max_write
        data = node.data.ljust(offset, b"\0")
        node.data = data[:offset] + asked.body[40:] + data[offset + size :]
        return struct.pack("<II", size, 0)

    def do_28(self, asked: Asked, node: Node) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", asked.body)
        names = [(b".", asked.node), (b"..", 1), *node.names.items()]
        text = b""
        for position in range(offset, len(names)):
            name, number = names[position]
            kind = self.nodes[number].mode >> 12
            record = struct.pack("<QQII", number + 1000, position + 1, len(name), kind) + name
            record = record.ljust((len(record) + 7) & ~7, b"\0")
            if len(text) + len(record) > size:
                break
            text += record
        return text

    def do_44(self, asked: Asked, node: Node) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", asked.body)
        names = [(b".", asked.node), (b"..", 1), *node.names.items()]
        text = b""
        for position in range(offset, len(names)):
            name, number = names[position]
            listed = self.nodes[number]
            length = (152 + len(name) + 7) & ~7
            if len(text) + length > size:
                break
            entry = bytes(128) if name in (b".", b"..") else self.entry(listed)
            record = struct.pack("<QQII", number + 1000, position + 1, len(name), listed.mode >> 12)
            text += (entry + record + name).ljust(length, b"\0")
        return text

    # ---- Locks and events -------------------------------------------------------------------------------------

    def lock_of(self, asked: Asked) -> Held:
        handle, owner, start, end, kind, pid, flags, _ = struct.unpack("<QQqqIIII", asked.body)
        assert self.opened[handle] == asked.node and owner != 0
        return Held(asked.node, owner, start, end, kind, pid, flags == 1)

    def conflict(self, wanted: Held) -> Held | None:
        for held in self.locks:
            is_other = held.owner != wanted.owner and (held.node, held.is_whole) == (wanted.node, wanted.is_whole)
            if is_other and held.start <= wanted.end and wanted.start <= held.end and 1 in (held.kind, wanted.kind):
                return held
        return None

    def set_lock(self, wanted: Held) -> None:
        """Locks are released as they were acquired, in the tests."""
        self.locks = [
            held for held in self.locks
            if (held.node, held.owner, held.is_whole) != (wanted.node, wanted.owner, wanted.is_whole)
            or held.start > wanted.end or wanted.start > held.end
        ]  # fmt: skip
        if wanted.kind != 2:
            self.locks.append(wanted)
        for asked, waiting in list(self.waiting):
            if self.conflict(waiting) is None:
                self.waiting.remove((asked, waiting))
                self.locks.append(waiting)
                self.reply(asked, 0)

    def do_31(self, asked: Asked, node: Node) -> bytes:
        found = self.conflict(self.lock_of(asked))
        if found is None:
            return struct.pack("<qqII", 0, 0, 2, 0)
        return struct.pack("<qqII", found.start, found.end, found.kind, found.pid)

    def do_32(self, asked: Asked, node: Node) -> bytes:
        wanted = self.lock_of(asked)
        if wanted.kind != 2 and self.conflict(wanted) is not None:
            raise OSError(errno.EAGAIN, "")
        self.set_lock(wanted)
        return b""

    do_33 = do_32  # unless it sleeps on it

    def do_40(self, asked: Asked, node: Node) -> bytes:
        handle, self.polled, _, _ = struct.unpack("<QQII", asked.body)
        assert self.opened[handle] == asked.node
        return struct.pack("<II", self.events, 0)

    def do_17(self, asked: Asked, node: Node) -> bytes:
        return struct.pack("<QQQQQIIII24x", 1000, 500, 400, 99, 9, 4096, 255, 4096, 0)

    def do_25(self, asked: Asked, node: Node) -> bytes:
        return b""

    do_20 = do_30 = do_38 = do_25

    def do_43(self, asked: Asked, node: Node) -> bytes:
        _, offset, length = struct.unpack_from("<QQQ", asked.body)
        node.data = node.data.ljust(offset + length, b"\0")
        return b""

    def do_46(self, asked: Asked, node: Node) -> bytes:
        _, offset, whence = struct.unpack_from("<QQI", asked.body)
        if offset >= len(node.data):
            raise OSError(errno.ENXIO, "")
        return struct.pack("<Q", len(node.data) if whence == 4 else offset)

    def do_21(self, asked: Asked, node: Node) -> bytes:
        size, flags = struct.unpack_from("<II", asked.body)
        name = asked.body[8 : asked.body.index(b"\0", 8)]
        if flags != 0 and (flags == 1) == (name in node.attributes):
            raise OSError(errno.EEXIST if flags == 1 else errno.ENODATA, "")
        node.attributes[name] = asked.body[len(asked.body) - size :]
        return b""

    def do_22(self, asked: Asked, node: Node) -> bytes:
        name = asked.body[8:-1]
        if name not in node.attributes:
            raise OSError(errno.ENODATA, "")
        return node.attributes[name]

    def do_23(self, asked: Asked, node: Node) -> bytes:
        return b"".join(name + b"\0" for name in node.attributes)

    def do_24(self, asked: Asked, node: Node) -> bytes:
        if node.attributes.pop(asked.body[:-1], None) is None:
            raise OSError(errno.ENODATA, "")
        return b""
