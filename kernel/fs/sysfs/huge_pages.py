"""/sys/kernel/mm/hugepages/hugepages-2048kB: the pool of huge pages (kernel/mm/huge_pool.py).

    nr_hugepages, nr_hugepages_mempolicy    how many there are; written, how many there are to be
    nr_overcommit_hugepages                 how many surplus ones there may be
    free_hugepages, resv_hugepages, surplus_hugepages

Context: thread context; writing may sleep.
Source: Linux's Documentation/ABI/testing/sysfs-kernel-mm-hugepages.
"""

from typing import Final

from kernel.fs.sysfs.kobject import Kobject, line
from kernel.lang import EINVAL, Errno, final
from kernel.lib.numbers import LARGEST, parse_unsigned
from kernel.mm.huge_pool import OVERCOMMIT, POOL

_SETTINGS: Final[list[bytes]] = [b"nr_hugepages", b"nr_hugepages_mempolicy", b"nr_overcommit_hugepages"]
_FILES: Final[list[bytes]] = [b"free_hugepages", b"resv_hugepages", b"surplus_hugepages", *_SETTINGS]

_INO: Final = 1 << 54


@final
class PoolKobject(Kobject):
    """The directory."""

    def __init__(self) -> None:
        super().__init__(b"/kernel/mm/hugepages/hugepages-2048kB", _INO)

    def attributes(self) -> list[bytes]:
        return _FILES

    def mode(self, attribute: bytes) -> int:
        return 0o644 if attribute in _SETTINGS else 0o444

    def text(self, attribute: bytes) -> bytes:
        match attribute:
            case b"free_hugepages":
                return line(POOL.free)
            case b"resv_hugepages":
                return line(POOL.reserved)
            case b"surplus_hugepages":
                return line(POOL.surplus)
            case b"nr_overcommit_hugepages":
                return line(OVERCOMMIT.value)
        return line(POOL.total)

    def store(self, attribute: bytes, text: bytes) -> None:
        """Raises EINVAL, ERANGE. Sleeps."""
        if attribute not in _SETTINGS:
            raise Errno(EINVAL)
        value = parse_unsigned(text, 10, LARGEST + 1)
        if attribute == b"nr_overcommit_hugepages":
            OVERCOMMIT.values[0] = value
        else:
            POOL.resize(value)
