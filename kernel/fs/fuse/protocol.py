"""What FUSE's messages look like: numbers in the machine's order, aligned fields, names with a NUL.

A `Message` is written field by field; an `Answer` is read field by field, and was written by somebody else: a field
that is missing or invalid is EIO. Opaque numbers of 64 bits (nodes, handles) are ints with the same bits, perhaps
negative.

Context: never sleeps. Source: fuse(4), and the structures that libfuse and virtio 1.2, chapter 5.11, refer to.
"""

from typing import Final

from kernel.fs.constants import (
    F_RDLCK,
    F_UNLCK,
    F_WRLCK,
    S_IFBLK,
    S_IFCHR,
    S_IFDIR,
    S_IFIFO,
    S_IFLNK,
    S_IFMT,
    S_IFREG,
    S_IFSOCK,
)
from kernel.lang import EIO, Errno, Span, final, span_of, u8

MAJOR: Final = 7
MINOR: Final = 41  # Linux 6.12's
OLDEST_MINOR: Final = 12  # its structures have the same lengths as ours
FLOCK_MINOR: Final = 17  # before, POSIX_LOCKS stands for locks of both kinds
FULL_INIT_MINOR: Final = 23  # from here on the answer to INIT has all of its fields

ROOT_NODE: Final = 1
IN_HEADER_SIZE: Final = 40  # length, kind, unique, node, uid, gid, pid, extensions
OUT_HEADER_SIZE: Final = 16  # length, error, unique
LOWEST_ERROR: Final = -511  # a server's errors are above -512
MIN_READ_BUFFER: Final = 8192
DATA_LIMIT: Final = 131_072  # bytes that one message moves, unless the server wants less
_SIZE_LIMIT: Final = 1 << 62
_SECONDS_LIMIT: Final = 9_000_000_000
_SECOND_NS: Final = 1_000_000_000
_HIGH_BIT: Final = 1 << 31

LOOKUP: Final = 1
FORGET: Final = 2  # has no answer
GETATTR: Final = 3
SETATTR: Final = 4
READLINK: Final = 5
SYMLINK: Final = 6
MKNOD: Final = 8
MKDIR: Final = 9
UNLINK: Final = 10
RMDIR: Final = 11
RENAME: Final = 12
LINK: Final = 13
OPEN: Final = 14
READ: Final = 15
WRITE: Final = 16
STATFS: Final = 17
RELEASE: Final = 18
FSYNC: Final = 20
SETXATTR: Final = 21
GETXATTR: Final = 22
LISTXATTR: Final = 23
REMOVEXATTR: Final = 24
FLUSH: Final = 25
INIT: Final = 26
OPENDIR: Final = 27
READDIR: Final = 28
RELEASEDIR: Final = 29
FSYNCDIR: Final = 30
GETLK: Final = 31
SETLK: Final = 32
SETLKW: Final = 33
ACCESS: Final = 34
CREATE: Final = 35
INTERRUPT: Final = 36
DESTROY: Final = 38
IOCTL: Final = 39
POLL: Final = 40
NOTIFY_REPLY: Final = 41  # to NOTIFY_RETRIEVE; has no answer
BATCH_FORGET: Final = 42
FALLOCATE: Final = 43
READDIRPLUS: Final = 44
RENAME2: Final = 45
LSEEK: Final = 46
COPY_FILE_RANGE: Final = 47

# What the server sends without being asked: the number takes the error's place, and `unique` is 0.
NOTIFY_POLL: Final = 1
NOTIFY_INVAL_INODE: Final = 2
NOTIFY_INVAL_ENTRY: Final = 3
NOTIFY_STORE: Final = 4
NOTIFY_RETRIEVE: Final = 5
NOTIFY_DELETE: Final = 6

# Of INIT.
ASYNC_READ: Final = 1 << 0
POSIX_LOCKS: Final = 1 << 1
BIG_WRITES: Final = 1 << 5
DONT_MASK: Final = 1 << 6
FLOCK_LOCKS: Final = 1 << 10
DO_READDIRPLUS: Final = 1 << 13
READDIRPLUS_AUTO: Final = 1 << 14
NO_OPEN_SUPPORT: Final = 1 << 17
POSIX_ACL: Final = 1 << 20
NO_OPENDIR_SUPPORT: Final = 1 << 24
INIT_EXT: Final = 1 << 30  # there is a second word of flags, the upper half of all
ALLOW_IDMAP: Final = 1 << 40
OFFERED: Final = (
    ASYNC_READ | POSIX_LOCKS | BIG_WRITES | DONT_MASK | FLOCK_LOCKS | DO_READDIRPLUS | READDIRPLUS_AUTO
    | NO_OPEN_SUPPORT | POSIX_ACL | NO_OPENDIR_SUPPORT | INIT_EXT | ALLOW_IDMAP
)  # fmt: skip

# Of the answer to INIT: where the fields end that all versions have, and where the second word of flags lies.
_INIT_EXT_BEGIN: Final = 24
_INIT_EXT_AT: Final = 32
_INIT_EXT_END: Final = 36

# What SETATTR sets.
SET_MODE: Final = 1 << 0
SET_UID: Final = 1 << 1
SET_GID: Final = 1 << 2
SET_SIZE: Final = 1 << 3
SET_ATIME: Final = 1 << 4
SET_MTIME: Final = 1 << 5
SET_FH: Final = 1 << 6
SET_LOCK_OWNER: Final = 1 << 9

GETATTR_FH: Final = 1
READ_LOCK_OWNER: Final = 1 << 1
WRITE_LOCK_OWNER: Final = 1 << 1
RELEASE_FLOCK_UNLOCK: Final = 1 << 1
LK_FLOCK: Final = 1
POLL_SCHEDULE_NOTIFY: Final = 1
FSYNC_DATA: Final = 1
IOCTL_DIR: Final = 1 << 4

ATTRIBUTES_SIZE: Final = 88
ENTRY_SIZE: Final = 40 + ATTRIBUTES_SIZE
ATTR_SIZE: Final = 16 + ATTRIBUTES_SIZE
OPENED_SIZE: Final = 16
WRITTEN_SIZE: Final = 8
STATFS_SIZE: Final = 80
INIT_SIZE: Final = 64
SHORT_INIT_SIZE: Final = 24
LSEEK_SIZE: Final = 8
LOCK_SIZE: Final = 24
POLLED_SIZE: Final = 8
XATTR_SIZE: Final = 8
IOCTL_SIZE: Final = 16
_NAME_LIMIT: Final = 1024  # bytes of a name that a server may list, although only up to NAME_MAX can be used
_RECORD_SIZE: Final = 24  # of a directory's entry, before the name


@final
class Message:
    """A request: a header, which `Request.finish` fills, and fields."""

    def __init__(self, size: int) -> None:
        """`size`: of the fields after the header. Raises MemoryError."""
        self.data: bytearray = bytearray(IN_HEADER_SIZE + size)
        self._at: int = IN_HEADER_SIZE

    def u32(self, value: int) -> "Message":
        span_of(self.data).store_u32(self._at, value & 0xFFFF_FFFF)
        self._at += 4
        return self

    def u64(self, value: int) -> "Message":
        self.u32(value)
        return self.u32(value >> 32)

    def name(self, text: bytes) -> "Message":
        """A name, or a link's target, for which the message has room with the NUL."""
        span_of(self.data)[self._at : self._at + len(text)].copy_from(span_of(text))
        self._at += len(text) + 1
        return self

    def raw(self, value: bytes) -> "Message":
        span_of(self.data)[self._at : self._at + len(value)].copy_from(span_of(value))
        self._at += len(value)
        return self


@final
class Answer:
    """What follows the header of an answer."""

    def __init__(self, data: bytearray, length: int) -> None:
        self._data: bytearray = data
        self._end: int = length
        self.at: int = 0

    def left(self) -> int:
        """How many bytes were not read yet."""
        return self._end - self.at

    def take(self, length: int) -> Span[u8]:
        """The next `length` bytes. Raises EIO."""
        start = self.at
        if not 0 <= length <= self._end - start:
            raise Errno(EIO)
        self.at = start + length
        return span_of(self._data)[start : start + length]

    def part(self, length: int) -> "Answer":
        """The next `length` bytes, to be read apart from the rest. Raises EIO."""
        start = self.at
        self.take(length)
        result = Answer(self._data, self.at)
        result.at = start
        return result

    def u16(self) -> int:
        return self.take(2).load_u16(0)

    def u32(self) -> int:
        return self.take(4).load_u32(0)

    def u64(self) -> int:
        """All 64 bits, so the number may be negative."""
        low = self.u32()
        high = self.u32()
        return (high - (_HIGH_BIT << 1) if high >= _HIGH_BIT else high) << 32 | low

    def count(self) -> int:
        """A count of 64 bits. Raises EIO if it is impossibly large."""
        value = self.u64()
        if not 0 <= value < _SIZE_LIMIT:
            raise Errno(EIO)
        return value

    def name(self) -> bytes:
        """A name with a NUL at its end, which must be the answer's end. Raises EIO."""
        text = self.take(self.left()).to_bytes()
        end = text.find(b"\0")
        if end < 0 or not is_name(text[:end]):
            raise Errno(EIO)
        return text[:end]


def is_name(name: bytes) -> bool:
    """Whether it is a valid name of a file."""
    if len(name) == 0 or len(name) > _NAME_LIMIT:
        return False
    return b"/" not in name and b"\0" not in name


@final
class Attributes:
    """The server's attributes of a file. Times in nanoseconds since 1970; they are valid for `valid_ns`."""

    def __init__(self) -> None:
        self.valid_ns: int = 0
        self.number: int = 0
        self.size: int = 0
        self.blocks: int = 0
        self.accessed_ns: int = 0
        self.modified_ns: int = 0
        self.changed_ns: int = 0
        self.mode: int = 0
        self.links: int = 0
        self.uid: int = 0  # in the user namespace of the mounting process
        self.gid: int = 0
        self.device: int = 0


@final
class Entry:
    """What LOOKUP found, or what was created. `node` 0: there is none, which is valid for `valid_ns`."""

    def __init__(self) -> None:
        self.node: int = 0
        self.generation: int = 0
        self.valid_ns: int = 0
        self.attributes: Attributes = Attributes()


@final
class Opened:
    """What OPEN, OPENDIR and CREATE report."""

    def __init__(self, handle: int, flags: int) -> None:
        self.handle: int = handle
        self.flags: int = flags


@final
class ServedLock:
    """A record lock as the server describes it: bytes `start` … `end`. `kind` as fcntl(2) has it; F_UNLCK: none."""

    def __init__(self, start: int, end: int, kind: int, process: int) -> None:
        self.start: int = start
        self.end: int = end
        self.kind: int = kind
        self.process: int = process


@final
class Agreed:
    """What INIT reports."""

    def __init__(self) -> None:
        self.minor: int = 0
        self.flags: int = 0
        self.data_limit: int = DATA_LIMIT

    def maps_owners(self) -> bool:
        """Whether the server supports mounts that map owners: it learns who asks only where something is created."""
        return self.flags & ALLOW_IDMAP != 0

    def keeps_record_locks(self) -> bool:
        """Whether record locks are the server's business."""
        return self.flags & POSIX_LOCKS != 0

    def keeps_whole_locks(self) -> bool:
        """The same for flock(2)."""
        return self.flags & (POSIX_LOCKS if self.minor < FLOCK_MINOR else FLOCK_LOCKS) != 0


@final
class Sizes:
    """What STATFS reports."""

    def __init__(self) -> None:
        self.blocks: int = 0
        self.blocks_free: int = 0
        self.blocks_available: int = 0
        self.files: int = 0
        self.files_free: int = 0
        self.block_size: int = 0
        self.name_length: int = 0
        self.fragment_size: int = 0


@final
class DirectoryEntry:
    """A name in a directory. `kind` as getdents(2) has it, `next_offset` where a later read goes on."""

    def __init__(self, name: bytes, number: int, kind: int, next_offset: int) -> None:
        self.name: bytes = name
        self.number: int = number
        self.kind: int = kind
        self.next_offset: int = next_offset
        self.node: int = 0  # that READDIRPLUS has looked up with it; 0: none
        self.entry: Entry | None = None  # what it says of that, unless it is nonsense


def take_attributes(answer: Answer) -> Attributes:
    """struct fuse_attr. Raises EIO."""
    result = Attributes()
    result.number = answer.u64()
    result.size = answer.count()
    result.blocks = answer.u64()
    seconds = _seconds(answer.u64())
    modified = _seconds(answer.u64())
    changed = _seconds(answer.u64())
    result.accessed_ns = seconds + answer.u32() % _SECOND_NS
    result.modified_ns = modified + answer.u32() % _SECOND_NS
    result.changed_ns = changed + answer.u32() % _SECOND_NS
    result.mode = answer.u32() & 0xFFFF
    result.links = answer.u32()
    result.uid = answer.u32()
    result.gid = answer.u32()
    result.device = answer.u32()
    answer.take(8)
    if not is_kind(result.mode):
        raise Errno(EIO)
    result.blocks = max(0, min(result.blocks, _SIZE_LIMIT))
    return result


def is_kind(mode: int) -> bool:
    """Whether a mode's type is one that files have."""
    return mode & S_IFMT in (S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK)


def _seconds(value: int) -> int:
    return max(-_SECONDS_LIMIT, min(_SECONDS_LIMIT, value)) * _SECOND_NS


def _duration_ns(seconds: int, nanoseconds: int) -> int:
    """How long something is valid; negative numbers count as large ones."""
    if seconds < 0 or seconds > _SECONDS_LIMIT:
        seconds = _SECONDS_LIMIT
    return seconds * _SECOND_NS + min(nanoseconds, _SECOND_NS - 1)


def take_attr(answer: Answer) -> Attributes:
    """What GETATTR and SETATTR answer. Raises EIO."""
    seconds = answer.u64()
    nanoseconds = answer.u32()
    answer.u32()
    result = take_attributes(answer)
    result.valid_ns = _duration_ns(seconds, nanoseconds)
    return result


def take_entry(answer: Answer) -> Entry:
    """What LOOKUP and whatever creates a name answer. Raises EIO."""
    result = Entry()
    result.node = answer.u64()
    result.generation = answer.u64()
    entry_seconds = answer.u64()
    attribute_seconds = answer.u64()
    result.valid_ns = _duration_ns(entry_seconds, answer.u32())
    attribute_ns = answer.u32()
    if result.node == 0:
        return result
    result.attributes = take_attributes(answer)
    result.attributes.valid_ns = _duration_ns(attribute_seconds, attribute_ns)
    return result


def take_opened(answer: Answer) -> Opened:
    handle = answer.u64()
    flags = answer.u32()
    answer.u32()
    return Opened(handle, flags)


def take_lock(answer: Answer) -> ServedLock:
    """struct fuse_file_lock. Raises EIO for an unknown kind, or a range that is none."""
    start = answer.u64()
    end = answer.u64()
    kind = answer.u32()
    process = answer.u32()
    if kind not in (F_RDLCK, F_WRLCK, F_UNLCK) or (kind != F_UNLCK and not 0 <= start <= end):
        raise Errno(EIO)
    return ServedLock(start, end, kind, process)


def put_init(message: Message, readahead: int) -> None:
    """struct fuse_init_in: 64 bytes."""
    message.u32(MAJOR).u32(MINOR).u32(readahead).u32(OFFERED & 0xFFFF_FFFF).u32(OFFERED >> 32)


def take_init(answer: Answer) -> Agreed:
    """What INIT answers. Raises EIO for an unsupported protocol."""
    result = Agreed()
    if answer.u32() != MAJOR:
        raise Errno(EIO)
    result.minor = answer.u32()
    if result.minor < OLDEST_MINOR:
        raise Errno(EIO)
    answer.u32()
    flags = answer.u32()
    answer.u32()
    largest = answer.u32()
    result.data_limit = max(4096, min(DATA_LIMIT, largest))
    if flags & INIT_EXT != 0 and answer.left() >= _INIT_EXT_END - _INIT_EXT_BEGIN:
        answer.take(_INIT_EXT_AT - _INIT_EXT_BEGIN)
        flags |= answer.u32() << 32
    result.flags = flags & OFFERED
    return result


def take_sizes(answer: Answer) -> Sizes:
    """struct fuse_kstatfs."""
    result = Sizes()
    result.blocks = _clamped(answer)
    result.blocks_free = _clamped(answer)
    result.blocks_available = _clamped(answer)
    result.files = _clamped(answer)
    result.files_free = _clamped(answer)
    result.block_size = answer.u32()
    result.name_length = answer.u32()
    result.fragment_size = answer.u32()
    return result


def _clamped(answer: Answer) -> int:
    value = answer.u64()
    return _SIZE_LIMIT if value < 0 else min(value, _SIZE_LIMIT)


def take_directory_entry(answer: Answer) -> DirectoryEntry | None:
    """The next record of READDIR; None at the end, where a record may be cut off. Raises EIO for an invalid name or
    offset.
    """
    if answer.left() < _RECORD_SIZE:
        return None
    number = answer.u64()
    next_offset = answer.u64()
    length = answer.u32()
    kind = answer.u32() & 0xF
    if length == 0 or length > _NAME_LIMIT:
        raise Errno(EIO)
    padded = (length + 7) & ~7
    if answer.left() < padded:
        return None
    name = answer.take(padded)[0:length].to_bytes()
    if not is_name(name) or next_offset < 0:
        raise Errno(EIO)
    return DirectoryEntry(name, number, kind, next_offset)


def take_listed_entry(answer: Answer) -> DirectoryEntry | None:
    """The same of READDIRPLUS: an entry as LOOKUP has it, and the record."""
    if answer.left() < ENTRY_SIZE + _RECORD_SIZE:
        return None
    looked_up = answer.part(ENTRY_SIZE)
    result = take_directory_entry(answer)
    if result is None:
        return None
    result.node = looked_up.u64()
    looked_up.at -= 8
    try:
        result.entry = take_entry(looked_up)
    except Errno:
        result.entry = None  # the name counts in any case
    return result
