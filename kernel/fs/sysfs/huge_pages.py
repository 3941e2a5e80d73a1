"""/sys/kernel/mm/hugepages/hugepages-2048kB and hugepages-1048576kB: the pools (kernel/mm/huge_pool.py).

    nr_hugepages, nr_hugepages_mempolicy    how many there are; written, how many there are to be
    nr_overcommit_hugepages                 how many surplus ones there may be
    free_hugepages, resv_hugepages, surplus_hugepages
    demote, demote_size                     of pages of 1 GiB: written, how many become pages of 2 MiB

Context: thread context; writing may sleep.
Source: Linux's Documentation/ABI/testing/sysfs-kernel-mm-hugepages.
"""

from typing import Final

from kernel.fs.sysfs.kobject import Kobject, line
from kernel.lang import EINVAL, Errno, final
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.mm.huge_pool import GIGANTIC, OVERCOMMIT, POOL, HugePool

_SETTINGS: Final[list[bytes]] = [b"nr_hugepages", b"nr_hugepages_mempolicy", b"nr_overcommit_hugepages"]
_FILES: Final[list[bytes]] = [b"free_hugepages", b"resv_hugepages", b"surplus_hugepages", *_SETTINGS]

_GIGANTIC_FILES: Final[list[bytes]] = [b"demote", b"demote_size", *_FILES]
_SMALLER: Final = b"2048kB\n"
_MEGABYTES: Final[list[bytes]] = [b"2M", b"2m", b"2048k", b"2048K", b"2048kB", b"2097152"]

_INO: Final = 1 << 54
_GIGANTIC_INO: Final = 1 << 54 | 1 << 20


@final
class PoolKobject(Kobject):
    """The directory of a size."""

    def __init__(self, pool: HugePool) -> None:
        is_gigantic = pool is GIGANTIC
        size = b"1048576kB" if is_gigantic else b"2048kB"
        super().__init__(b"/kernel/mm/hugepages/hugepages-" + size, _GIGANTIC_INO if is_gigantic else _INO)
        self.pool: HugePool = pool

    def attributes(self) -> list[bytes]:
        return _GIGANTIC_FILES if self.pool is GIGANTIC else _FILES

    def mode(self, attribute: bytes) -> int:
        if attribute == b"demote":
            return 0o200
        return 0o644 if attribute in _SETTINGS or attribute == b"demote_size" else 0o444

    def text(self, attribute: bytes) -> bytes:
        match attribute:
            case b"free_hugepages":
                return line(self.pool.free)
            case b"resv_hugepages":
                return line(self.pool.reserved)
            case b"surplus_hugepages":
                return line(self.pool.surplus)
            case b"nr_overcommit_hugepages":
                return line(OVERCOMMIT.value if self.pool is POOL else 0)
            case b"demote_size":
                return _SMALLER
        return line(self.pool.total)

    def store(self, attribute: bytes, text: bytes) -> None:
        """Raises EINVAL, ERANGE. Sleeps."""
        if attribute == b"demote_size":
            if text.strip() not in _MEGABYTES:
                raise Errno(EINVAL)
            return
        if attribute == b"demote":
            self.pool.demote(parse_unsigned(text, 10, LARGEST + 1), POOL)
            return
        if attribute not in _SETTINGS or (self.pool is GIGANTIC and attribute == b"nr_overcommit_hugepages"):
            raise Errno(EINVAL)
        value = parse_unsigned(text, 10, LARGEST + 1)
        if attribute == b"nr_overcommit_hugepages":
            OVERCOMMIT.values[0] = value
        else:
            self.pool.resize(value)
