"""Events of fanotify(7): what a group keeps of one until it is read, and the bytes that a reader gets.

An event has the file's path, by which it is opened for the reader, or handles that name the file and its directories
(`FAN_REPORT_FID` and its kin). Events that differ only in what happened are merged into one.

Context: only `let_go` sleeps, because it may end a mount. Creating an event may raise MemoryError.
"""

from enum import IntEnum
from typing import Final

from kernel.fs.filesystem import FILE_HANDLE_TYPE
from kernel.fs.inode import Inode
from kernel.fs.path import Path
from kernel.lang import Errno, final, inline
from kernel.lib.linked import Linked
from kernel.lib.pid import Bearer
from kernel.sched import WaitQueue

METADATA_SIZE: Final = 24  # struct fanotify_event_metadata
_VERSION_AND_SIZE: Final = b"\x03\0\x18\0"
_HEAD_OF_PIDFD: Final = b"\x04\0\x08\0"
_HEAD_OF_ERROR: Final = b"\x05\0\x0c\0"
PIDFD_SIZE: Final = 8
NO_HANDLE: Final = 0xFF  # FILEID_INVALID: of damage that is in no file
_RECORD_HEADER: Final = 12  # of a record up to its handle: type, length, identity of the file system
_HANDLE_HEADER: Final = 8
_EVENT_BYTES: Final = 320
HASH_MASK: Final = 0x7FFF_FFFF
_PLAIN_HANDLE: Final = 0x81  # FILEID_INO64_GEN: of file systems that can name a file, but not find it

# Types of records
RECORD_FID: Final = 1
RECORD_DIRECTORY_NAME: Final = 2
RECORD_DIRECTORY: Final = 3
RECORD_OLD_NAME: Final = 10
RECORD_NEW_NAME: Final = 12


class PermissionState(IntEnum):
    """The state of a question."""

    NONE = 0  # not a question
    NEW = 1
    TAKEN = 2
    ANSWERED = 3
    CANCELLED = 4  # the asker was killed


@final
class Event(Linked["Event"]):
    """One event in a group's queue. Events with a `path` have pinned it, and hold the inode."""

    def __init__(self, mask: int, process: Bearer | None, tid: int) -> None:
        super().__init__()
        self.mask: int = mask
        self.process: Bearer | None = process  # its cause; None for none
        self.tid: int = tid  # of the thread, if the group wants that; else 0
        self.path: Path | None = None
        self.inode: Inode | None = None
        self.fsid: int = 0
        self.object: bytes = b""  # handles, with their headers, or nothing
        self.directory: bytes = b""
        self.name: bytes = b""
        self.new_directory: bytes = b""
        self.new_name: bytes = b""
        self.error: int = 0  # of damage: the first one
        self.error_count: int = 0
        self.state: PermissionState = PermissionState.NONE
        self.is_denied: bool = False
        self.descriptor: int = -1  # the reader's, of a question that was taken
        self.answered: WaitQueue | None = None  # of a question: where the asker waits
        self.key: bytes = b""  # equal for events that are merged
        self.hash: int = -1  # of the key or the path, not negative; -1 for events that are never merged
        self.older_there: Event | None = None  # the next older event in the queue with an equal hash
        self.newer_there: Event | None = None

    @inline
    def this(self) -> "Event":
        return self

    def held_bytes(self) -> int:
        """Its cost while it waits, about; always the same."""
        return _EVENT_BYTES + 2 * len(self.key)  # the key has all that the other bytes have

    def hold(self, path: Path, inode: Inode) -> None:
        """Keep the path, to open it later."""
        self.path = path.pin()
        self.inode = inode
        inode.acquire()

    def let_go(self) -> None:
        """Release it. May sleep."""
        path = self.path
        inode = self.inode
        self.path = None
        self.inode = None
        if inode is not None:
            inode.release()
        if path is not None:
            path.unpin()

    def make_key(self, flags: int) -> None:
        """The key that two events with handles must share to be merged, besides the process, whose number may have
        been reused. `flags`: the distinguishing bits of the mask.
        """
        pid = 0 if self.process is None else int(self.process.pid)
        self.key = b"".join(
            [
                (self.mask & flags).to_bytes(8, "little"),
                self.fsid.to_bytes(8, "little"),
                pid.to_bytes(4, "little"),
                self.tid.to_bytes(4, "little"),
                self.object,
                b"/",
                self.directory,
                self.name,
                b"/",
                self.new_directory,
                self.new_name,
            ]
        )
        self.hash = hash(self.key) & HASH_MASK

    def copied(self, mask: int) -> "Event":
        """Another event with the same handles and names, which both share. Raises MemoryError."""
        other = Event(mask, self.process, self.tid)
        other.fsid = self.fsid
        other.object = self.object
        other.directory = self.directory
        other.name = self.name
        other.new_directory = self.new_directory
        other.new_name = self.new_name
        other.key = self.key
        other.hash = self.hash
        return other

    def is_at(self, path: Path) -> bool:
        own = self.path
        return own is not None and own.mount is path.mount and own.dentry is path.dentry


def handle_with_head(found: bytes, kind: int) -> bytes:
    """struct file_handle. Raises MemoryError."""
    return len(found).to_bytes(4, "little") + kind.to_bytes(4, "little") + found


def handle_of(inode: Inode) -> bytes:
    """struct file_handle of an inode. Raises MemoryError."""
    kind = FILE_HANDLE_TYPE
    try:
        found = inode.file_system.handle_of(inode)
    except Errno:
        kind = _PLAIN_HANDLE
        found = inode.ino.to_bytes(8, "little") + bytes(4)
    return handle_with_head(found, kind)


def error_record(event: Event) -> bytes:
    """struct fanotify_event_info_error. Raises MemoryError."""
    return _HEAD_OF_ERROR + event.error.to_bytes(4, "little") + event.error_count.to_bytes(4, "little")


def record(kind: int, fsid: int, handle: bytes, name: bytes) -> bytes:
    """A record with a handle, and perhaps a name. Raises MemoryError."""
    length = _RECORD_HEADER + max(len(handle), _HANDLE_HEADER)
    if len(name) > 0:
        length += len(name) + 1
    padded = length + 3 & ~3
    storage = bytearray(0)
    storage.append(kind)
    storage.append(0)
    storage.extend(padded.to_bytes(2, "little"))
    storage.extend(fsid.to_bytes(8, "little"))
    storage.extend(handle)
    if len(handle) == 0:
        storage.extend(bytes(_HANDLE_HEADER))
    storage.extend(name)
    while len(storage) < padded:
        storage.append(0)
    return bytes(storage)


def pidfd_record(descriptor: int) -> bytes:
    return _HEAD_OF_PIDFD + (descriptor & 0xFFFF_FFFF).to_bytes(4, "little")


def metadata(length: int, mask: int, descriptor: int, pid: int) -> bytes:
    """struct fanotify_event_metadata."""
    return (
        length.to_bytes(4, "little")
        + _VERSION_AND_SIZE
        + mask.to_bytes(8, "little")
        + (descriptor & 0xFFFF_FFFF).to_bytes(4, "little")
        + pid.to_bytes(4, "little")
    )
