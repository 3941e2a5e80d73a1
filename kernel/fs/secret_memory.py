"""memfd_secret(2): memory without a name that only the program itself can reach, by mapping it.

It is neither read nor written through its descriptor, nor by a debugger or a device. Its size is set once. Mappings are
shared and always locked; mlock(2) has no effect.

Linux also takes such pages out of the kernel's own map; here they stay in it.

Context: may sleep (allocation).
"""

from typing import Final

from kernel.fs.anonymous import AnonymousInode, InternalMount
from kernel.fs.constants import MAX_FILE_SIZE, MS_NOEXEC, O_LARGEFILE, O_RDWR, S_IFREG
from kernel.fs.file import DESCRIPTION_BYTES, File
from kernel.lang import EFBIG, EINVAL, EOPNOTSUPP, Errno, final
from kernel.lib.credentials import Credentials
from kernel.mm.frames import PAGE_SHIFT, Frame
from kernel.mm.objects import MemoryObject, SharedMemory

_MAGIC: Final = 0x5345_434D
_SECRETS: Final = InternalMount(b"secretmem", _MAGIC)
_SECRETS.mount.flags |= MS_NOEXEC


@final
class SecretPages(SharedMemory):
    """The pages of one."""

    def __init__(self, inode: AnonymousInode) -> None:
        super().__init__(0)
        self.inode: AnonymousInode = inode

    def page(self, index: int, for_write: bool) -> Frame:
        if index >= self.page_limit:
            raise Errno(EINVAL)
        return super().page(index, for_write)

    def is_secret(self) -> bool:
        return True

    def takes_names(self) -> bool:
        return False

    def fillable_pages(self) -> int:
        return -1

    def wants_promise(self) -> bool:
        return False

    def punch(self, first_index: int, end_index: int) -> None:
        raise Errno(EOPNOTSUPP)

    def name(self) -> bytes:
        return b"/secretmem (deleted)"

    def inode_number(self) -> int:
        return self.inode.ino

    def link_count(self) -> int:
        return self.inode.nlink


@final
class SecretFile(File):
    """Its descriptor."""

    def __init__(self, credentials: Credentials) -> None:
        system = _SECRETS.file_system
        inode = AnonymousInode(system, system.new_ino(), S_IFREG | 0o600)
        inode.uid = credentials.fsuid
        inode.gid = credentials.fsgid
        self.pages: SecretPages = SecretPages(inode)
        super().__init__(_SECRETS.place(inode, b"/secretmem (deleted)"), O_RDWR | O_LARGEFILE)
        self.pages.acquire()

    def truncate(self, size: int) -> None:
        if self.inode.size != 0:
            raise Errno(EINVAL)
        if size > MAX_FILE_SIZE:
            raise Errno(EFBIG)
        self.inode.size = size
        self.pages.page_limit = (size >> PAGE_SHIFT) + (1 if size & (1 << PAGE_SHIFT) - 1 != 0 else 0)

    def allocate(self, mode: int, offset: int, length: int) -> None:
        raise Errno(EOPNOTSUPP)

    def memory_object(self) -> MemoryObject:
        return self.pages

    def must_be_shared(self) -> bool:
        return True

    def can_be_watched(self) -> bool:
        return False

    def can_be_spliced(self) -> bool:
        return False

    def has_offsets(self) -> bool:
        return False

    def can_read(self) -> bool:
        return False

    def can_write(self) -> bool:
        return False

    def held_bytes(self) -> int:
        return DESCRIPTION_BYTES + (self.pages.frames.count << PAGE_SHIFT)

    def close(self) -> None:
        self.pages.release()
