"""What a program of BPF reaches while it runs: its registers, and the memory that its pointers lead to.

Registers hold numbers of 64 bits. A pointer is such a number: its upper half names a region, its lower half
an offset, so nothing that a program computes is an address of the kernel. Each access looks up the region and
checks its bounds, whatever the verifier found.

Context: may raise MemoryError.
"""

from typing import Final, Literal

from kernel.bpf.arithmetic import WORD_MASK, signed
from kernel.bpf.code import STACK_SIZE
from kernel.bpf.held import Held
from kernel.bpf.mapped_array import MappedArray
from kernel.bpf.maps import PROGRAM_READ_ONLY, PROGRAM_WRITE_ONLY, Map
from kernel.bpf.packet_view import NOWHERE, PacketView
from kernel.bpf.ring import Record
from kernel.lang import ENOENT, Array, Span, span_of, u8, u64
from kernel.lib.pace import spend

# Regions: the upper halves of pointers.
CONTEXT_REGION: Final = 1
STACK_REGION: Final = 2  # of the program; those of the functions that are at work follow
MAP_REGION: Final = 0x1000  # the maps themselves
VALUE_REGION: Final = 0x2000  # and their values
RECORD_REGION: Final = 0x3000  # records of rings that are being written
SOCKET_REGION: Final = 0x20  # the socket that it judges, which helpers take; no bytes of it are seen
CONTEXT_POINTER: Final = CONTEXT_REGION << 32
SOCKET_POINTER: Final = SOCKET_REGION << 32


class World:
    """The helpers' view of the machine and the running thread. Base class: nothing."""

    def now_ns(self) -> int:
        """The monotonic clock."""
        return 0

    def boot_ns(self) -> int:
        """The same with the time that the machine slept."""
        return 0

    def random(self) -> int:
        """32 bits."""
        return 0

    def processor(self) -> int:
        return 0

    def pid_tgid(self) -> int:
        """The process in the upper half, the thread in the lower."""
        return 0

    def uid_gid(self) -> int:
        """The group in the upper half, the user in the lower."""
        return 0

    def control_group(self) -> int:
        """Its number."""
        return 0

    def command(self) -> bytes:
        """The thread's name."""
        return b""

    def jiffies(self) -> int:
        """The clock in ticks."""
        return 0

    def read_memory(self, address: int, target: Span[u8]) -> bool:
        """Read memory of the running program, as far as nothing sleeps. False if it is not all there."""
        return False

    def read_text(self, address: int, target: Span[u8]) -> int:
        """The same up to a zero byte, or as much as there is room for: how many bytes, with that one; -1 as above."""
        return -1

    def write_event(self, held: Held | None, data: Span[u8]) -> int:
        """Put a sample with these bytes where an event writes. The result of the helper."""
        return -ENOENT

    def read_event(self, held: Held | None, counts: Span[u8]) -> int:
        """The count of an event, and how long it was enabled and ran; None: of the one that the program runs for."""
        return -ENOENT


class Memory:
    """The registers and the memory of a run. Base class of those that use them."""

    def __init__(self, maps: list[Map], context: bytearray, world: World) -> None:
        self.maps: list[Map] = maps
        self.own_maps: int = len(maps)  # those behind were found in maps of maps
        self.context: bytearray = context
        self.may_change_context: bool = False
        self.world: World = world
        stacks: list[bytearray] = [bytearray(STACK_SIZE)]
        self.stacks: list[bytearray] = stacks
        self.depth: int = 0  # functions that wait for others
        self.registers: Array[int, Literal[11]] = Array[int, Literal[11]]()
        self.is_broken: bool = False
        self.place: int = 0  # where `region` found an access
        self.lent: bytearray = bytearray()  # the copy that it gave, of an array that can be mapped
        self.lent_by: MappedArray | None = None
        self.lent_from: int = 0
        self.helped: int = 0  # what helpers took, in instructions of the processor: for bytes copied, and for hashes
        records: list[Record] = []
        self.records: list[Record] = records
        self.packet: PacketView | None = None
        self.cookie: int = 0  # of the socket that it judges, or given with the program that traces
        self.storage_room: int = 0  # bytes that the socket's values in maps may count
        self.half_at: int = NOWHERE  # a word of the context of which two bytes are kept

    def region(self, address: int, size: int, forbidding: int) -> bytearray | None:
        """Where `size` bytes at a pointer lie, from `place` on. None if they are not all in one thing that may be
        accessed: a map must not have the flag `forbidding`, and not every context may be changed.
        """
        self.lent_by = None
        region = address >> 32
        offset = address & WORD_MASK
        if STACK_REGION <= region <= STACK_REGION + self.depth:
            self.place = offset
            return self.stacks[region - STACK_REGION] if offset + size <= STACK_SIZE else None
        if region == CONTEXT_REGION:
            self.place = offset
            may = forbidding == PROGRAM_WRITE_ONLY or self.may_change_context
            return self.context if may and offset + size <= len(self.context) else None
        if 0 <= region - RECORD_REGION < len(self.records):
            record = self.records[region - RECORD_REGION]
            self.place = offset
            return record.data if record.is_open and offset + size <= len(record.data) else None
        index = region - VALUE_REGION
        if index < 0 or index >= len(self.maps):
            return None
        map_ = self.maps[index]
        slot = offset // max(map_.stride(), 1)
        inside = offset % max(map_.stride(), 1)
        if not map_.has_values or map_.flags & forbidding != 0:
            return None
        if slot >= map_.slots or inside + size > map_.value_size:
            return None
        if isinstance(map_, MappedArray):
            self.place = 0
            self.lent_by = map_
            self.lent_from = offset
            self.lent = map_.borrow(offset, size)
            return self.lent
        self.place = map_.start(slot) + inside
        return map_.storage(slot)

    def stored(self) -> None:
        """What `region` gave last was written: if it was a copy, it goes back."""
        lender = self.lent_by
        if lender is not None:
            lender.give_back(self.lent_from, span_of(self.lent))
            self.lent_by = None

    def read(self, address: int, size: int) -> int:
        """Load from a pointer; breaks the program if that is forbidden."""
        storage = self.region(address, size, PROGRAM_WRITE_ONLY)
        if storage is None:
            self.is_broken = True
            return 0
        place = self.place
        if size == 1:
            return storage[place]
        view = span_of(storage)
        if size == 2:
            return view.load_u16(place)
        if size == 4:
            return view.load_u32(place)
        return signed(view.load_u64(place))

    def write(self, address: int, size: int, value: int) -> None:
        """Store at a pointer."""
        storage = self.region(address, size, PROGRAM_READ_ONLY)
        if storage is None:
            self.is_broken = True
            return
        view = span_of(storage)
        place = self.place
        if size == 1:
            view.store_u8(place, value & 0xFF)
        elif size == 2:
            view.store_u16(place, value & 0xFFFF)
        elif size == 4:
            is_half = place == self.half_at and address >> 32 == CONTEXT_REGION
            view.store_u32(place, value & 0xFFFF if is_half else value & WORD_MASK)
        else:
            view.store_u64(place, u64(value))
        if self.lent_by is not None:
            self.stored()

    def bytes(self, address: int, size: int) -> bytes | None:
        """A copy of bytes at a pointer. Raises MemoryError."""
        storage = self.region(address, size, PROGRAM_WRITE_ONLY)
        if storage is None:
            self.is_broken = True
            return None
        spend(size)
        self.helped += size
        return bytes(storage[self.place : self.place + size])
