"""The extended attributes of one inode; this one keeps them in memory. File systems on disks derive from it.

    store.load_value(name)
    value = store.values.get(name)

A change happens between `acquire` and `release`, after a `load_value` in between. `load` loads all names.

Context: in memory, nothing sleeps; on a disk, everything may.
"""

from typing import Final

from kernel.lang import ENOSPC, Errno, final
from kernel.mm.keeping import has_room_to_keep

_LIMIT_BYTES: Final = 65536  # of names and values together


class Store:
    """Names and values, in the order of creation."""

    def __init__(self) -> None:
        self.values: dict[bytes, bytes] = {}
        self.size_bytes: int = 0

    def acquire(self) -> None:
        """Keep others from changing the attributes."""

    def release(self) -> None:
        """Undo `acquire`."""

    def load(self) -> None:
        """Bring `values` up to date. Raises EIO, EUCLEAN."""

    def load_value(self, name: bytes) -> None:
        """The same for one attribute, if it exists: others may be missing from `values` then, or lack their values.
        Raises EIO, EUCLEAN.
        """
        self.load()

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        """Set; `old` is the present value, if any. Raises ENOSPC."""
        size = self.size_bytes + len(value)
        if old is None:
            size += len(name) + 1
        else:
            size -= len(old)
        if size > _LIMIT_BYTES:
            raise Errno(ENOSPC)
        self.values[name] = value
        self.size_bytes = size

    def drop(self, name: bytes) -> None:
        """Remove a name that is there."""
        value = self.values.pop(name)
        self.size_bytes -= len(name) + 1 + len(value)


class KeptStore(Store):
    """Attributes of an inode that lies in memory alone."""

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        if not has_room_to_keep():
            raise Errno(ENOSPC)
        super().put(name, value, old)


@final
class NodeStore(KeptStore):
    """Attributes of an inode that is created anew at each look-up: its file system keeps them by its number."""

    def __init__(self, kept: dict[int, Store], ino: int) -> None:
        super().__init__()
        self._kept: dict[int, Store] = kept
        self._ino: int = ino

    def put(self, name: bytes, value: bytes, old: bytes | None) -> None:
        super().put(name, value, old)
        self._kept[self._ino] = self

    def drop(self, name: bytes) -> None:
        super().drop(name)
        if len(self.values) == 0:
            self._kept.pop(self._ino)


def kept_store(known: Store | None) -> Store:
    """The store of an inode that lies in memory alone, created if it has none. Raises MemoryError."""
    return KeptStore() if known is None else known
