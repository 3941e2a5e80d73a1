"""Addresses of unix sockets: struct sockaddr_un, and the sockets bound to them.

A socket's `name` is the contents of sun_path: a path name with its NUL, an abstract name that starts with NUL, or empty
for a socket without a name. Abstract names are separate for each type of socket and each network, as on Linux; names in
the file system stand for inodes of type S_IFSOCK.

Source: unix(7).
"""

from typing import TYPE_CHECKING, Final

from kernel.fs.inode import Inode
from kernel.lang import EINVAL, Errno, final, span_of
from kernel.lib.pace import pace
from kernel.net.link.network import Network, PartMaker, register_part
from kernel.net.link.part import Part
from kernel.net.sockets.socket import AF_UNIX, SOCK_DGRAM, SOCK_STREAM

if TYPE_CHECKING:
    from kernel.net.unix.base import UnixSocket

_FAMILY_SIZE: Final = 2
_NAME_COST: Final = 500  # instructions for a name that is taken
_LONGEST: Final = 110  # sizeof(struct sockaddr_un)
_FAMILY_BYTES: Final = b"\x01\x00"


def family_of(address: bytes) -> int:
    """The family that an address starts with; -1 when it is too short to have one."""
    return span_of(address).load_u16(0) if len(address) >= _FAMILY_SIZE else -1


def name_of(address: bytes) -> bytes:
    """The name in an address: an abstract one whole, a path name up to its NUL, which is added if it is missing.
    EINVAL for an address of another family, without a name, or too long.
    """
    if not _FAMILY_SIZE < len(address) <= _LONGEST or family_of(address) != AF_UNIX:
        raise Errno(EINVAL)
    name = address[_FAMILY_SIZE:]
    if name[0] == 0:
        return name
    end = name.find(b"\0")
    return (name if end < 0 else name[:end]) + b"\0"


def asks_for_any_name(address: bytes) -> bool:
    """Whether bind(2) is to choose an abstract name (autobind)."""
    return len(address) == _FAMILY_SIZE and family_of(address) == AF_UNIX


def address_with(name: bytes) -> bytes:
    """The address that holds a name."""
    return _FAMILY_BYTES + name


@final
class AbstractNames(Part):
    """The sockets bound to abstract names in a network. A socket leaves when it closes."""

    def __init__(self) -> None:
        super().__init__()
        self._streams: dict[bytes, UnixSocket] = {}
        self._datagrams: dict[bytes, UnixSocket] = {}
        self._packets: dict[bytes, UnixSocket] = {}
        self._next: int = 0  # of the names that autobind chooses

    def find(self, kind: int, name: bytes) -> "UnixSocket | None":
        return self._abstract(kind).get(name)

    def enter(self, kind: int, name: bytes, socket: "UnixSocket") -> None:
        self._abstract(kind)[name] = socket

    def take_out(self, kind: int, name: bytes) -> None:
        table = self._abstract(kind)
        if name in table:
            del table[name]

    def _abstract(self, kind: int) -> "dict[bytes, UnixSocket]":
        if kind == SOCK_STREAM:
            return self._streams
        return self._datagrams if kind == SOCK_DGRAM else self._packets

    def unused_name(self, kind: int) -> bytes:
        """An abstract name of five hexadecimal digits that no socket of this type has; b"" if all are taken. Takes safe
        points before the one that it returns.
        """
        for _ in range(1 << 20):
            name = b"\0" + f"{self._next:05x}".encode()
            self._next = (self._next + 1) & 0xFFFFF
            if name not in self._abstract(kind):
                return name
            pace(_NAME_COST)
        return b""


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.unix_names = AbstractNames()


register_part(_Maker())


def abstract_names_of(network: Network) -> AbstractNames:
    """The abstract names of a network."""
    part = network.unix_names
    assert isinstance(part, AbstractNames)
    return part


@final
class InodeTable:
    """The sockets bound to inodes, in all networks. A socket leaves when it closes."""

    def __init__(self) -> None:
        self._inodes: dict[Inode, UnixSocket] = {}

    def find(self, inode: Inode) -> "UnixSocket | None":
        return self._inodes.get(inode)

    def enter(self, inode: Inode, socket: "UnixSocket") -> None:
        self._inodes[inode] = socket

    def take_out(self, inode: Inode) -> None:
        if inode in self._inodes:
            del self._inodes[inode]


INODES: Final = InodeTable()
