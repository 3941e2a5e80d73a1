"""Mounting file systems that a program serves: mount -t fuse -o fd=N,rootmode=40000,user_id=0,group_id=0 NAME
DIRECTORY, where N is a descriptor of /dev/fuse. A type fuse.KIND says what kind of server that is.

Context: sleeps. Source: Linux's Documentation/filesystems/fuse.rst, for the options.
"""

from typing import Final

from kernel.fs.constants import MAX_FILE_SIZE, NAME_MAX, S_IFDIR, S_IFMT
from kernel.fs.descriptors import CALLER_FILES
from kernel.fs.filesystem import FileSystem, Statistics, parse_octal, register_in_place, split_option
from kernel.fs.fuse import protocol
from kernel.fs.fuse.client import Client
from kernel.fs.fuse.connection import NO_NOTICES, Connection, Notices
from kernel.fs.fuse.device import FuseDevice
from kernel.fs.fuse.directory import FuseDirectory
from kernel.fs.fuse.file import FuseFile
from kernel.fs.fuse.inode import FuseInode
from kernel.fs.fuse.instance import Access, FuseInstance
from kernel.fs.fuse.protocol import Agreed, Entry
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext
from kernel.lang import EINVAL, ENOENT, Errno, final
from kernel.lib.credentials import caller_credentials
from kernel.lib.ids import NO_GROUP, NO_USER

MAGIC: Final = 0x6573_5546
_DEFAULT_MAX_READ: Final = 0xFFFF_FFFF
_NUMBER_LIMIT: Final = 0xFFFF_FFFF


@final
class FuseFileSystem(FuseInstance):
    """A mounted file system of any server."""

    def __init__(self, type_name: bytes, source: bytes, client: Client, access: Access, *, ends_politely: bool) -> None:
        super().__init__(type_name, source, MAGIC, client, access)
        self.sleeps = True
        self.waits_for_programs = True
        self.shown_options: bytes = b""
        self._ends_politely: bool = ends_politely  # waits for the answer to DESTROY
        self._top: FuseDirectory | None = None

    def drops_inodes(self) -> bool:
        return True

    def start(self, mode: int) -> None:
        """Send INIT, and create the root. Raises MemoryError."""
        entry = Entry()
        entry.node = protocol.ROOT_NODE
        entry.attributes.number = protocol.ROOT_NODE
        entry.attributes.mode = mode
        entry.attributes.links = 1
        top = FuseDirectory(self, entry)
        top.acquire()  # as long as the file system is mounted
        self.enter(top)
        self._top = top
        self.client.connection.notices = _Notices(self)
        self.client.connection.begin()

    def root(self) -> Inode:
        top = self._top
        if top is None:
            raise Errno(EINVAL)
        return top

    def statistics(self) -> Statistics:
        result = Statistics()
        result.block_size = 0
        credentials = caller_credentials()
        if credentials is not None and not self.permits(credentials):
            result.name_length = 0
            return result  # the server is not asked, and nothing is reported
        sizes = self.client.sizes(protocol.ROOT_NODE)
        result.block_size = sizes.block_size
        result.fragment_size = sizes.fragment_size
        result.name_length = sizes.name_length
        result.blocks = sizes.blocks
        result.blocks_free = sizes.blocks_free
        result.blocks_reserved = max(0, sizes.blocks_free - sizes.blocks_available)
        result.files = sizes.files
        result.files_free = sizes.files_free
        return result

    def options(self) -> bytes:
        return self.shown_options

    # ---- End --------------------------------------------------------------------------------------------------

    def give_up(self) -> None:
        self.client.connection.abort()

    def shut_down(self) -> None:
        top = self._top
        if top is not None:
            self._top = None
            top.release()
        connection = self.client.connection
        connection.notices = NO_NOTICES
        if self._ends_politely:
            self.client.destroy()
        connection.abort()
        self.nodes.clear()


@final
class _Notices(Notices):
    """Handles a server's notices about the files of one file system."""

    def __init__(self, instance: FuseFileSystem) -> None:
        self._instance: FuseFileSystem = instance

    def file_system(self) -> FileSystem | None:
        return self._instance

    def agreed(self, agreed: Agreed) -> None:
        """Owners are mapped only where the kernel checks rights itself."""
        if agreed.maps_owners():
            if not self._instance.access.checks_modes and agreed.flags & protocol.POSIX_ACL == 0:
                raise Errno(EINVAL)
            self._instance.maps_owners = True

    def inode_changed(self, node: int, start: int, length: int) -> None:
        found = self._instance.nodes.get(node)
        if not isinstance(found, FuseInode):
            raise Errno(ENOENT)
        found.valid_until_ns = 0
        pages = found.contents.pages if isinstance(found, FuseFile) else None
        if pages is not None and 0 <= start < MAX_FILE_SIZE:
            end = MAX_FILE_SIZE if length <= 0 or length > MAX_FILE_SIZE - start else start + length
            pages.forget_quickly(start, end)

    def contents_came(self, node: int, start: int, length: int) -> None:
        """The kernel keeps no contents but of mappings, which fetch them when they are used again."""
        self.require_file(node)
        found = self._instance.nodes.get(node)
        if not isinstance(found, FuseFile) or not 0 <= start <= MAX_FILE_SIZE - length:
            raise Errno(EINVAL)
        found.size = max(found.size, start + length)
        pages = found.contents.pages
        if pages is not None:
            pages.forget_quickly(start, start + length)

    def require_file(self, node: int) -> None:
        if not isinstance(self._instance.nodes.get(node), FuseInode):
            raise Errno(ENOENT)

    def name_changed(self, directory: int, name: bytes) -> None:
        found = self._instance.nodes.get(directory)
        if not isinstance(found, FuseDirectory) or len(name) > NAME_MAX:
            raise Errno(ENOENT)
        found.epoch += 1
        found.valid_until_ns = 0


@final
class _Options:
    """The options of mount(2). Raises EINVAL."""

    def __init__(self, text: bytes) -> None:
        self.descriptor: int = -1
        self.mode: int = -1
        self.user: int = -1
        self.group: int = -1
        self.allows_others: bool = False
        self.checks_modes: bool = False
        self.max_read: int = _DEFAULT_MAX_READ
        self.subtype: bytes = b""
        for option in text.split(b","):
            if len(option) > 0:
                self._take(option)

    def require_all(self) -> None:
        """Raise EINVAL unless what must be given was."""
        if self.descriptor < 0 or self.mode < 0 or self.user < 0 or self.group < 0:
            raise Errno(EINVAL)

    def _take(self, option: bytes) -> None:
        key, value = split_option(option)
        if key == b"fd":
            self.descriptor = _number(value)
        elif key == b"rootmode":
            self.mode = parse_octal(value)
            if not protocol.is_kind(self.mode):
                raise Errno(EINVAL)
        elif key == b"user_id":
            self.user = _number(value)
        elif key == b"group_id":
            self.group = _number(value)
        elif key == b"max_read":
            self.max_read = _number(value)
        elif key == b"subtype" and len(self.subtype) == 0:
            self.subtype = value
        elif option == b"allow_other":
            self.allows_others = True
        elif option == b"default_permissions":
            self.checks_modes = True
        else:
            raise Errno(EINVAL)

    def shown(self) -> bytes:
        """For /proc/mounts."""
        text = f",user_id={int(self.user)},group_id={int(self.group)}".encode()
        if self.checks_modes:
            text += b",default_permissions"
        if self.allows_others:
            text += b",allow_other"
        if self.max_read != _DEFAULT_MAX_READ:
            text += f",max_read={self.max_read}".encode()
        return text


def _number(text: bytes) -> int:
    """A decimal number of 32 bits. Raises EINVAL."""
    value = 0
    if len(text) == 0:
        raise Errno(EINVAL)
    for digit in text:
        if not ord("0") <= digit <= ord("9"):
            raise Errno(EINVAL)
        value = value * 10 + digit - ord("0")
        if value > _NUMBER_LIMIT:
            raise Errno(EINVAL)
    return value


def _device_at(descriptor: int) -> FuseDevice:
    """The /dev/fuse that a descriptor leads to. Raises EINVAL."""
    try:
        device = CALLER_FILES.get(descriptor)
    except Errno:
        raise Errno(EINVAL) from None
    if not isinstance(device, FuseDevice):
        raise Errno(EINVAL)
    return device


def make_fuse(context: FsContext, source: bytes, text: bytes) -> FileSystem:
    """For mount(2). Raises EINVAL (an option, no /dev/fuse, or one that has served already), MemoryError."""
    options = _Options(text)
    options.require_all()
    namespace = context.credentials.user_namespace
    access = Access()
    access.owner = namespace.kernel_uid(options.user)
    access.group = namespace.kernel_gid(options.group)
    access.allows_others = options.allows_others
    access.checks_modes = options.checks_modes
    if access.owner == NO_USER or access.group == NO_GROUP or options.mode & S_IFMT != S_IFDIR:
        raise Errno(EINVAL)
    device = _device_at(options.descriptor)
    served = device.served()
    if served is not None:
        return served  # another mount of the same instance
    connection = device.connect(namespace)
    connection.read_limit = max(4096, options.max_read)
    type_name = b"fuse" if len(options.subtype) == 0 else b"fuse." + options.subtype
    made = serve(type_name, source, connection, access, options.mode, ends_politely=False)
    made.shown_options = options.shown()
    made.belong_to(namespace)
    return made


def serve(
    type_name: bytes, source: bytes, connection: Connection, access: Access, mode: int, *, ends_politely: bool
) -> FuseFileSystem:
    """The file system for a fresh connection. Raises MemoryError."""
    made = FuseFileSystem(type_name, source, Client(connection), access, ends_politely=ends_politely)
    done = False
    try:
        made.start(mode)
        done = True
        return made
    finally:
        if not done:
            connection.abort()


def check_fuse_options(context: FsContext, text: bytes) -> None:
    """Raise EINVAL."""
    _Options(text)


_TYPE: Final = register_in_place(b"fuse", make_fuse)
_TYPE.has_subtypes = True
_TYPE.check_options = check_fuse_options
