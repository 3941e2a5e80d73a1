"""Page tables, walked as the processor walks them (Intel SDM vol. 3, 5.5), and the memory of programs that they map."""

from __future__ import annotations

from collections.abc import Callable

from arch.x86_64 import usercopy
from arch.x86_64.layout import DIRECT_MAP_BASE, KERNEL_BASE, PAGE_MASK, PAGE_SIZE, USER_END
from arch.x86_64.paging import ADDRESS_BITS, LARGE, NO_EXECUTE, PRESENT, USER, WRITABLE
from arch.x86_64.simulation import UserMemory, processor
from kernel.lang import Span, u8
from kernel.lang.simulation import memory
from kernel.mm.fault import Access


class GivenUp(Exception):
    """A fault in a system call without the kernel lock (give_section_up in entry.S)."""


def entry_of(root: int, address: int) -> tuple[int, int, bool] | None:
    """What `address` leads to by the tables at the physical address `root`: the physical address, the rights that all
    levels give, and whether instructions may be fetched; None if it is not mapped.
    """
    table = root
    rights = WRITABLE | USER
    executable = True
    for shift in (39, 30, 21, 12):
        entry = memory.load(DIRECT_MAP_BASE + table + (address >> shift & 511) * 8, 8)
        if not entry & PRESENT:
            return None
        rights &= entry
        executable = executable and not entry & NO_EXECUTE
        table = entry & ADDRESS_BITS
        if shift == 12 or (shift < 39 and entry & LARGE):
            return table | address & (1 << shift) - 1, rights, executable
    raise AssertionError("the lowest level has leaves only")


def translate(address: int) -> int:
    """For `memory.translate`: kernel addresses outside the direct map."""
    root = processor.registers.get("cr3", 0)
    if root == 0:  # the boot stub's tables
        return DIRECT_MAP_BASE + address - KERNEL_BASE if address >= KERNEL_BASE else address
    found = None if address >= 0 else entry_of(root, address)
    return address if found is None else DIRECT_MAP_BASE + found[0]


# What makes a page accessible, or says that it cannot be: the kernel's page fault.
Fault = Callable[[int, Access], bool]


def read_pages(address: int, size_bytes: int, access: Access, fault: Fault) -> bytes:
    """A program's bytes, up to the first page that cannot be read."""
    data = bytearray()
    while len(data) < size_bytes:
        at = address + len(data)
        count = min(size_bytes - len(data), PAGE_SIZE - (at & PAGE_MASK))
        place = place_of(at, access, fault)
        if place is None:
            break
        buffer, offset = memory.place(place, count)
        data += buffer[offset : offset + count]
    return bytes(data)


def write_pages(address: int, data: bytes, fault: Fault) -> int:
    """Store a program's bytes, up to the first page that cannot be written; returns how many were."""
    done = 0
    while done < len(data):
        at = address + done
        count = min(len(data) - done, PAGE_SIZE - (at & PAGE_MASK))
        place = place_of(at, Access.WRITE, fault)
        if place is None:
            break
        buffer, offset = memory.place(place, count)
        buffer[offset : offset + count] = data[done : done + count]
        done += count
    return done


def place_of(address: int, access: Access, fault: Fault) -> int | None:
    """Where the byte at a user address lies in the direct map, after a page fault if need be."""
    if not 0 <= address < USER_END:
        return None
    while True:
        found = entry_of(processor.registers["cr3"], address)
        if found is not None:
            physical, rights, executable = found
            if rights & USER and (access != Access.WRITE or rights & WRITABLE) and (
                access != Access.EXECUTE or executable
            ):
                return DIRECT_MAP_BASE + physical
        if processor.control.is_in_section():
            raise GivenUp
        if not fault(address, access):
            return None


class CopiedMemory(UserMemory):
    """What the kernel's copy routines see."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault

    def read(self, address: int, size_bytes: int) -> bytes:
        return read_pages(address, size_bytes, Access.READ, self.fault)

    def write(self, address: int, data: bytes) -> int:
        return write_pages(address, data, self.fault)

    # The routines that take spans. Their externs know addresses only, which every span here would need to be given.

    def copy_in(self, destination: Span[u8], address: int) -> int:
        """usercopy.copy_in."""
        data = self.read(address, len(destination))
        for i, byte in enumerate(data):
            destination[i] = byte
        return len(destination) - len(data)

    def copy_out(self, address: int, source: Span[u8]) -> int:
        """usercopy.copy_out."""
        return len(source) - self.write(address, source.to_bytes())

    def copy_string(self, destination: Span[u8], address: int) -> int:
        """usercopy.copy_string."""
        for i in range(len(destination)):
            byte = self.read(address + i, 1)
            if not byte:
                return -1
            destination[i] = byte[0]
            if byte[0] == 0:
                return i
        return len(destination)

    def install(self) -> None:
        """Let the kernel copy from and to this."""
        processor.memory = self
        for name in ("copy_in", "copy_out", "copy_string"):
            setattr(usercopy, name, getattr(self, name))
        for name in ("copy_in", "copy_out"):
            setattr(usercopy, f"{name}_small", getattr(self, name))
