"""A server of 9P2000.L over a directory of this machine, as far as the client uses one, written from the messages."""

from __future__ import annotations

import errno
import os
import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kernel.fs.plan9.channel import Channel
from kernel.lang import Span, span_of, u8


@dataclass
class Place:
    """What a fid stands for."""

    path: Path
    descriptor: int | None = None
    attribute: bytes | None = None  # the value, to be read


class Message:
    """Fields of a request."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.at = 7

    def number(self, size: int) -> int:
        self.at += size
        return int.from_bytes(self.data[self.at - size : self.at], "little")

    def bytes(self, length: int) -> bytes:
        self.at += length
        return self.data[self.at - length : self.at]

    def text(self) -> str:
        return os.fsdecode(self.bytes(self.number(2)))


def text(value: bytes) -> bytes:
    return struct.pack("<H", len(value)) + value


class Server(Channel):
    """Answers at once. `spoil`, if set, changes an answer on its way."""

    def __init__(self, root: Path, message_limit: int = 65536) -> None:
        super().__init__()
        self.root = root
        self.message_limit = message_limit
        self.places: dict[int, Place] = {}
        self.spoil: Callable[[int, bytes], bytes] | None = None
        self.has_lied = False
        self.seen: list[int] = []

    def transact(self, request: Span[u8], reply: Span[u8]) -> int:
        data = request.to_bytes()
        length, kind, tag = struct.unpack_from("<IBH", data)
        assert length == len(data)
        self.seen.append(kind)
        try:
            content = self.answer(kind, Message(data))
            kind += 1
        except (AssertionError, KeyError, ValueError):
            if not self.has_lied:
                raise
            content = struct.pack("<I", errno.EIO)  # it is asked for what its own lies made the client believe
            kind = 7
        except OSError as error:
            content = struct.pack("<I", error.errno or errno.EIO)
            kind = 7
        answer = struct.pack("<IBH", 7 + len(content), kind, tag) + content
        if self.spoil is not None:
            spoiled = self.spoil(kind, answer)
            self.has_lied = self.has_lied or spoiled != answer
            answer = spoiled
        length = min(len(answer), len(reply))
        reply[0:length].copy_from(span_of(answer)[0:length])
        return len(answer)

    def answer(self, kind: int, message: Message) -> bytes:
        if kind == 100:
            limit = message.number(4)
            dialect = message.text()
            self.close()
            return struct.pack("<I", min(limit, self.message_limit)) + text(dialect.encode())
        fid = message.number(4)
        if kind == 104:
            self.places[fid] = Place(self.root)
            return self.identity(self.root.lstat())
        handler = getattr(self, f"do_{kind}")
        result = handler(fid, self.places[fid], message)
        assert isinstance(result, bytes)
        return result

    def close(self) -> None:
        for place in self.places.values():
            if place.descriptor is not None:
                os.close(place.descriptor)
        self.places.clear()

    @staticmethod
    def identity(status: os.stat_result) -> bytes:
        kind = 0x80 if stat.S_ISDIR(status.st_mode) else 2 if stat.S_ISLNK(status.st_mode) else 0
        return struct.pack("<BIQ", kind, 0, status.st_ino)

    # ---- Names ------------------------------------------------------------------------------------------------

    def do_110(self, fid: int, place: Place, message: Message) -> bytes:
        new, steps = message.number(4), message.number(2)
        assert new not in self.places and place.descriptor is None
        path = place.path
        found = []
        for _ in range(steps):
            path = path / message.text()
            found.append(self.identity(path.lstat()))
        self.places[new] = Place(path)
        return struct.pack("<H", steps) + b"".join(found)

    def do_22(self, fid: int, place: Place, message: Message) -> bytes:
        return text(os.fsencode(os.readlink(place.path)))

    def do_72(self, fid: int, place: Place, message: Message) -> bytes:
        path = place.path / message.text()
        path.mkdir()
        path.chmod(message.number(4))
        return self.identity(path.lstat())

    def do_18(self, fid: int, place: Place, message: Message) -> bytes:
        path = place.path / message.text()
        mode, major, minor = (message.number(4) for _ in range(3))
        os.mknod(path, mode, os.makedev(major, minor))
        return self.identity(path.lstat())

    def do_16(self, fid: int, place: Place, message: Message) -> bytes:
        path = place.path / message.text()
        path.symlink_to(message.text())
        return self.identity(path.lstat())

    def do_70(self, fid: int, place: Place, message: Message) -> bytes:
        target = self.places[message.number(4)]
        os.link(target.path, place.path / message.text(), follow_symlinks=False)
        return b""

    def do_74(self, fid: int, place: Place, message: Message) -> bytes:
        old = place.path / message.text()
        directory = self.places[message.number(4)].path
        new = directory / message.text()
        old.rename(new)
        for each in self.places.values():
            if each.path == old or old in each.path.parents:
                each.path = new / each.path.relative_to(old)
        return b""

    def do_76(self, fid: int, place: Place, message: Message) -> bytes:
        path = place.path / message.text()
        if message.number(4):
            path.rmdir()
        else:
            path.unlink()
        return b""

    def do_40(self, fid: int, place: Place, message: Message) -> bytes:
        offset, count = message.number(8), message.number(4)
        names = [".", "..", *sorted(os.listdir(place.path))]
        data = b""
        for index in range(offset, len(names)):
            status = (place.path / names[index]).lstat()
            entry = self.identity(status) + struct.pack("<QB", index + 1, stat.S_IFMT(status.st_mode) >> 12)
            entry += text(os.fsencode(names[index]))
            if len(data) + len(entry) > count:
                break
            data += entry
        return struct.pack("<I", len(data)) + data

    def do_120(self, fid: int, place: Place, message: Message) -> bytes:
        if place.descriptor is not None:
            os.close(place.descriptor)
        del self.places[fid]
        return b""

    # ---- Attributes -------------------------------------------------------------------------------------------

    def do_8(self, fid: int, place: Place, message: Message) -> bytes:
        return struct.pack("<IIQQQQQQI", 1, 4096, 100, 50, 40, 30, 20, 0, 255)

    def do_24(self, fid: int, place: Place, message: Message) -> bytes:
        it = os.fstat(place.descriptor) if place.descriptor is not None else place.path.lstat()
        times = b"".join(struct.pack("<qQ", ns // 10**9, ns % 10**9)
                         for ns in (it.st_atime_ns, it.st_mtime_ns, it.st_ctime_ns, 0))  # fmt: skip
        return struct.pack("<Q", 0x7FF) + self.identity(it) + struct.pack(
            "<IIIQQQQQ", it.st_mode, it.st_uid, it.st_gid, it.st_nlink, it.st_rdev, it.st_size, 4096, it.st_blocks
        ) + times + bytes(16)  # fmt: skip

    def do_26(self, fid: int, place: Place, message: Message) -> bytes:
        valid, mode, uid, gid = (message.number(4) for _ in range(4))
        size, atime, atime_ns, mtime, mtime_ns = (message.number(8) for _ in range(5))
        if valid & 1:
            place.path.chmod(mode)
        if valid & 6:
            os.chown(place.path, uid, gid, follow_symlinks=False)
        if valid & 8:
            os.truncate(place.path, size)
        if valid & 0x30:
            assert valid & 0x180 == 0x180
            seconds = [each - (1 << 64) if each >> 63 else each for each in (atime, mtime)]
            os.utime(place.path, ns=(seconds[0] * 10**9 + atime_ns, seconds[1] * 10**9 + mtime_ns))
        return b""

    def do_30(self, fid: int, place: Place, message: Message) -> bytes:
        new, name = message.number(4), message.text()
        value = os.getxattr(place.path, name) if name else b"".join(
            os.fsencode(each) + b"\0" for each in os.listxattr(place.path)
        )  # fmt: skip
        self.places[new] = Place(place.path, attribute=value)
        return struct.pack("<Q", len(value))

    # ---- Contents ---------------------------------------------------------------------------------------------

    def do_12(self, fid: int, place: Place, message: Message) -> bytes:
        place.descriptor = os.open(place.path, message.number(4))
        return self.identity(place.path.lstat()) + bytes(4)

    def do_14(self, fid: int, place: Place, message: Message) -> bytes:
        place.path = place.path / message.text()
        place.descriptor = os.open(place.path, message.number(4), message.number(4))
        return self.identity(place.path.lstat()) + bytes(4)

    def do_116(self, fid: int, place: Place, message: Message) -> bytes:
        offset, count = message.number(8), message.number(4)
        assert count <= self.message_limit - 24
        if place.attribute is not None:
            data = place.attribute[offset : offset + count]
        else:
            assert place.descriptor is not None
            data = os.pread(place.descriptor, count, offset)
        return struct.pack("<I", len(data)) + data

    def do_118(self, fid: int, place: Place, message: Message) -> bytes:
        offset, count = message.number(8), message.number(4)
        assert place.descriptor is not None and count <= self.message_limit - 24
        return struct.pack("<I", os.pwrite(place.descriptor, message.bytes(count), offset))

    def do_50(self, fid: int, place: Place, message: Message) -> bytes:
        assert place.descriptor is not None
        os.fsync(place.descriptor)
        return b""
