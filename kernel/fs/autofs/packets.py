"""What the kernel writes to an automounter's pipe, and the numbers of the ioctls by which it answers.

Context: never sleeps. Source: Linux's Documentation/filesystems/autofs.rst, and its headers for programs.
"""

from typing import Final

from kernel.lang import final, span_of

LOWEST_VERSION: Final = 3
HIGHEST_VERSION: Final = 5
MINOR_VERSION: Final = 6

# Kinds of mounts; bits, as /dev/autofs may ask for several.
INDIRECT: Final = 1
DIRECT: Final = 2
OFFSET: Final = 4

# Types of packets, of version 5 unless noted.
OLD_MISSING: Final = 0  # before version 5
OLD_EXPIRE: Final = 1  # what AUTOFS_IOC_EXPIRE fills in
EXPIRE_MULTI: Final = 2  # version 4
_MISSING_INDIRECT: Final = 3
_EXPIRE_INDIRECT: Final = 4
_MISSING_DIRECT: Final = 5
_EXPIRE_DIRECT: Final = 6

# What is expired.
EXPIRE_IMMEDIATE: Final = 1  # whatever was used lately
EXPIRE_LEAVES: Final = 2  # a mount in a tree, rather than all of a tree
EXPIRE_FORCED: Final = 4  # what is in use, too

_NAME_SIZE: Final = 256
LONGEST_NAME: Final = 253  # the path of a requested name, below the root
_SIZE: Final = 304
_OLD_SIZE: Final = 272
_EXPIRE_SIZE: Final = 268


@final
class Asker:
    """The thread that asks, as the automounter sees it."""

    def __init__(self, user: int, group: int, thread: int, process: int) -> None:
        self.user: int = user
        self.group: int = group
        self.thread: int = thread
        self.process: int = process


def packet_type(version: int, kind: int, *, is_expiry: bool) -> int:
    """The type of a packet about a mount of this kind."""
    if version < HIGHEST_VERSION:
        return EXPIRE_MULTI if is_expiry else OLD_MISSING
    if kind == INDIRECT:
        return _EXPIRE_INDIRECT if is_expiry else _MISSING_INDIRECT
    return _EXPIRE_DIRECT if is_expiry else _MISSING_DIRECT


def make_packet(version: int, kind: int, token: int, device: int, inode: int, asker: Asker, name: bytes) -> bytearray:
    """A packet of version 5. Raises MemoryError."""
    data = bytearray(_SIZE)
    message = span_of(data)
    message.store_u32(0, version)
    message.store_u32(4, kind)
    message.store_u32(8, token)
    message.store_u32(12, device)
    message.store_u32(16, inode & 0xFFFF_FFFF)
    message.store_u32(20, inode >> 32)
    message.store_u32(24, asker.user)
    message.store_u32(28, asker.group)
    message.store_u32(32, asker.thread)
    message.store_u32(36, asker.process)
    message.store_u32(40, len(name))
    message[44 : 44 + len(name)].copy_from(span_of(name))
    return data


def make_old_packet(version: int, kind: int, token: int, name: bytes) -> bytearray:
    """A packet of an older version. Raises MemoryError."""
    data = bytearray(_OLD_SIZE)
    message = span_of(data)
    message.store_u32(0, version)
    message.store_u32(4, kind)
    message.store_u32(8, token)
    message.store_u32(12, len(name))
    message[16 : 16 + len(name)].copy_from(span_of(name))
    return data


def make_expiry(version: int, name: bytes) -> bytearray:
    """What AUTOFS_IOC_EXPIRE returns. Raises MemoryError."""
    data = bytearray(_EXPIRE_SIZE)
    message = span_of(data)
    message.store_u32(0, version)
    message.store_u32(4, OLD_EXPIRE)
    message.store_u32(8, len(name))
    message[12 : 12 + len(name)].copy_from(span_of(name))
    return data
