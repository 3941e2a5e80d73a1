"""Places of files that programs have mapped.

Context: releasing one may sleep, if its mount was waiting for that.
"""

from kernel.fs.path import Path, first_mount, path_name
from kernel.lang import final
from kernel.mm.objects import MappedThrough


@final
class MappedPlace(MappedThrough):
    """One such place. The mount is in use as long as an area is mapped through it."""

    def __init__(self, path: Path) -> None:
        self._path: Path = path

    def is_at(self, path: Path) -> bool:
        """Whether it is that place."""
        return self._path.mount is path.mount and self._path.dentry is path.dentry

    def acquire(self) -> None:
        self._path.pin()

    def release(self) -> None:
        self._path.unpin()

    def name(self) -> bytes:
        first = first_mount()
        return b"" if first is None else path_name(self._path, Path(first, first.root))


def place_of(known: MappedPlace | None, path: Path) -> MappedPlace:
    """The known place if it is `path`, so that adjacent areas can be merged; else a new one. Raises MemoryError."""
    return known if known is not None and known.is_at(path) else MappedPlace(path)
