"""What regular files of 9P and FUSE share: their contents are elsewhere, and each open description has a handle of its
own there. What it reads and writes goes there and back at once; pages are kept only while the file is mapped.

A file that was just created is open already: the description that the creation is for takes that handle over, since the
mode may forbid opening it again.

Context: sleeps, but closing.
"""

from typing import Generic, TypeVar

from kernel.fs.file import InodeFile
from kernel.fs.inode import Inode
from kernel.fs.mapped_place import place_of
from kernel.fs.path import Path
from kernel.fs.remote_pages import RemoteHandle, RemotePages
from kernel.lang import EINVAL, Errno, final, noraise
from kernel.lib.pace import ends_at
from kernel.lib.saturation import sum_of
from kernel.lib.user import Buffer
from kernel.mm.objects import MemoryObject

H = TypeVar("H", bound=RemoteHandle)


@final
class InUse:
    """Lets an inode live as long as a `with` lasts, though no name in the cache may lead to it any more while the body
    sleeps.
    """

    def __init__(self, inode: Inode) -> None:
        self._inode: Inode = inode

    def __enter__(self) -> "InUse":
        self._inode.acquire()
        return self

    def __exit__(self, kind: object, value: object, traceback: object) -> None:
        self._inode.release()


@final
class RemoteContents(Generic[H]):
    """The handles and pages of one file. The inode calls `give_up` when nobody uses it any more."""

    def __init__(self) -> None:
        self.handles: list[H] = []  # those of the descriptions
        self.pages: RemotePages | None = None
        self._created: H | None = None  # open since its creation, until a description takes it

    # ---- Handles ----------------------------------------------------------------------------------------------

    def any_handle(self, *, writes: bool) -> H:
        """A description's, for what is asked of the inode itself. It stays open until the caller releases it, even if
        the description is closed. Raises EINVAL.
        """
        for handle in self.handles:
            if handle.may_write if writes else handle.may_read:
                handle.users += 1
                return handle
        raise Errno(EINVAL)

    def first_handle(self) -> H | None:
        """The same whatever it is open for."""
        if len(self.handles) == 0:
            return None
        handle = self.handles[0]
        handle.users += 1
        return handle

    def keep_open(self, handle: H) -> None:
        """The file was created through a handle: the next description takes it over."""
        old = self._created
        self._created = handle
        if old is not None:
            old.release()

    def take_created(self) -> H | None:
        handle = self._created
        self._created = None
        return handle

    def add(self, handle: H) -> None:
        """A description has been created. Raises MemoryError."""
        self.handles.append(handle)

    @noraise
    def drop(self, handle: H) -> None:
        """A description has gone, or was not created after all. Its handle is still open."""
        for i in range(len(self.handles)):
            if self.handles[i] is handle:
                self.handles[i] = self.handles[len(self.handles) - 1]
                self.handles.pop()
                return

    # ---- Contents ---------------------------------------------------------------------------------------------

    def read(self, handle: H, flags: int, buffer: Buffer, offset: int) -> int:
        """Read in as many messages as it takes; what was written through a mapping is there first. `flags` are the
        description's. Raises what the server reports, EINTR, MemoryError, if nothing was read.
        """
        return self._move(handle, flags, buffer, offset, writes=False)

    def write(self, handle: H, flags: int, buffer: Buffer, offset: int) -> int:
        """The same for writing. The caller forgets the pages whose bytes have changed, after what it knows of them."""
        return self._move(handle, flags, buffer, offset, writes=True)

    def _move(self, handle: H, flags: int, buffer: Buffer, offset: int, *, writes: bool) -> int:
        self.write_back()
        done = 0
        try:
            while buffer.remaining > 0 and not buffer.faulted:
                place = sum_of(offset, done)
                wanted = min(buffer.remaining, handle.data_limit() if writes else handle.read_limit())
                moved = handle.write(flags, buffer, place) if writes else handle.read(flags, buffer, place)
                done += moved
                if moved < wanted or ends_at(sum_of(offset, done)):
                    break
        except (Errno, MemoryError):
            if done == 0:
                raise
        return done

    # ---- Pages ------------------------------------------------------------------------------------------------

    def write_back(self) -> None:
        """Send what may have been written through mappings."""
        pages = self.pages
        if pages is not None:
            pages.write_back()

    def tell_loss(self) -> None:
        """Raises EIO, once, if broken memory has lost what was written through a mapping: at the end of fsync(2)."""
        pages = self.pages
        if pages is not None:
            pages.tell_loss()

    def forget(self, start: int, end: int) -> None:
        """The bytes start … end - 1 have changed."""
        pages = self.pages
        if pages is not None:
            pages.forget(start, end)

    def memory_object(self, file: Inode) -> MemoryObject:
        """The pages, created when the file is first mapped. Raises MemoryError."""
        pages = self.pages
        if pages is None:
            pages = RemotePages(file)
            self.pages = pages
        return pages

    def use(self, handle: H) -> None:
        """The file is about to be mapped through a description."""
        pages = self.pages
        if pages is not None:
            pages.use(handle)

    def mapped_through(self, path: Path) -> None:
        pages = self.pages
        if pages is not None:
            pages.place = place_of(pages.place, path)

    def give_up(self) -> None:
        """Nobody uses the file: pages and inode refer to each other, and it is open elsewhere, no more."""
        pages = self.pages
        if pages is not None:
            self.pages = None
            pages.part()
        created = self.take_created()
        if created is not None:
            created.release()


class RemoteOpenFile(InodeFile):
    """An open description of such a file."""

    def read_here(self, buffer: Buffer, offset: int) -> int:
        """Read through the description's handle."""
        raise Errno(EINVAL)

    def write_here(self, buffer: Buffer, offset: int) -> int:
        """Write through the description's handle."""
        raise Errno(EINVAL)

    def size_now(self) -> int:
        """How long the file is elsewhere by now."""
        raise Errno(EINVAL)

    def read(self, buffer: Buffer) -> int:
        offset = self.position
        done = self.read_here(buffer, offset)
        self.position = sum_of(offset, done)
        return done

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read_here(buffer, offset)
