"""The devices without hardware: /dev/null, zero, full, random, urandom (null(4), full(4), random(4)), and /dev/kmsg.

Context: reads of kmsg do not wait for records: nothing tells of new ones.
"""

from typing import Final

from kernel.fs.constants import O_NONBLOCK, POLLERR, READABLE, SEEK_CUR, SEEK_END, SEEK_SET, WRITABLE
from kernel.fs.devfs import register_char_device
from kernel.fs.file import File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EINVAL, ENOSPC, EPIPE, Errno, span_of
from kernel.lib import random
from kernel.lib.log import INFO, log
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject, SharedMemory
from kernel.sched import PollWaiter

_MEMORY_MAJOR: Final = 1
_CHUNK: Final = 4096
_LARGEST_MAPPING: Final = 1 << 46
_KMSG_LINE_LIMIT: Final = 1024


class NullFile(File):
    """/dev/null: swallows everything; end of file at once."""

    def read(self, buffer: Buffer) -> int:
        return 0

    def pread(self, buffer: Buffer, offset: int) -> int:
        return 0

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        buffer.remaining = 0
        return count

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    def seek(self, offset: int, whence: int) -> int:
        self.position = 0
        return 0


class ZeroFile(NullFile):
    """/dev/zero."""

    def read(self, buffer: Buffer) -> int:
        return buffer.put_zeros(buffer.remaining)

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def memory_object(self) -> MemoryObject:
        return SharedMemory(_LARGEST_MAPPING)


class FullFile(ZeroFile):
    """/dev/full: no room, ever."""

    def write(self, buffer: Buffer) -> int:
        raise Errno(ENOSPC)


class RandomFile(File):
    """/dev/random and /dev/urandom; the generator is seeded at boot, so neither blocks. Writing stirs nothing in, and
    is fine.
    """

    def read(self, buffer: Buffer) -> int:
        done = 0
        chunk = bytearray(min(_CHUNK, buffer.remaining))
        while buffer.remaining > 0 and not buffer.faulted:
            count = min(len(chunk), buffer.remaining)
            random.fill(span_of(chunk)[0:count])
            done += buffer.put(span_of(chunk)[0:count])
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        buffer.remaining = 0
        return count

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    def seek(self, offset: int, whence: int) -> int:
        self.position = 0
        return 0


class KmsgFile(File):
    """/dev/kmsg: one record a read; a line that is written becomes a record (dmesg(1) and syslogd read it)."""

    def __init__(self, path: Path, flags: int) -> None:
        super().__init__(path, flags)
        self.sequence: int = log.oldest_sequence()

    def read(self, buffer: Buffer) -> int:
        oldest = log.oldest_sequence()
        if self.sequence < oldest:
            self.sequence = oldest
            raise Errno(EPIPE)  # records were lost; the next read goes on with the oldest
        record = log.record(self.sequence)
        if record is None:
            # Nothing tells of new records, so a reader does not sleep: it is told to come again.
            if self.flags & O_NONBLOCK != 0:
                raise Errno(EAGAIN)
            return 0
        line = f"{record.level},{record.sequence},{record.time_ns // 1000},-;".encode() + record.text + b"\n"
        if len(line) > buffer.remaining:
            raise Errno(EINVAL)
        self.sequence += 1
        return buffer.put_bytes(line)

    def write(self, buffer: Buffer) -> int:
        count = buffer.remaining
        if count > _KMSG_LINE_LIMIT:
            raise Errno(EINVAL)
        text = buffer.take_bytes(count)
        level = INFO
        if len(text) > 2 and text[0] == 60:  # <level>
            end = text.find(b">")
            if 1 < end < 5:
                value = 0
                for digit in text[1:end]:
                    value = value * 10 + digit - 48 if 48 <= digit <= 57 else 0
                level = value & 7
                text = text[end + 1 :]
        log.add(level, text.strip(b"\n"))
        return count

    def seek(self, offset: int, whence: int) -> int:
        if offset != 0:
            raise Errno(EINVAL)
        if whence == SEEK_SET:
            self.sequence = log.oldest_sequence()
        elif whence == SEEK_END:
            self.sequence = log.next_sequence
        elif whence != SEEK_CUR:
            self.sequence = max(log.oldest_sequence(), log.cleared)
        return 0

    def poll(self, waiter: PollWaiter | None) -> int:
        if self.sequence < log.oldest_sequence():
            return READABLE | POLLERR
        return READABLE | WRITABLE if self.sequence < log.next_sequence else WRITABLE


def open_null(path: Path, flags: int) -> File:
    return NullFile(path, flags)


def open_zero(path: Path, flags: int) -> File:
    return ZeroFile(path, flags)


def open_full(path: Path, flags: int) -> File:
    return FullFile(path, flags)


def open_random(path: Path, flags: int) -> File:
    return RandomFile(path, flags)


def open_kmsg(path: Path, flags: int) -> File:
    return KmsgFile(path, flags)


register_char_device(_MEMORY_MAJOR, 3, b"null", open_null)
register_char_device(_MEMORY_MAJOR, 5, b"zero", open_zero)
register_char_device(_MEMORY_MAJOR, 7, b"full", open_full)
register_char_device(_MEMORY_MAJOR, 8, b"random", open_random)
register_char_device(_MEMORY_MAJOR, 9, b"urandom", open_random)
register_char_device(_MEMORY_MAJOR, 11, b"kmsg", open_kmsg)
