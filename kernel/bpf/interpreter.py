"""Running programs of BPF.

Registers hold numbers of 64 bits. A pointer is such a number: its upper half names a region, its lower half
an offset, so nothing that a program computes is an address of the kernel. Each load and store looks up the region and
checks its bounds, whatever the verifier found, and a run ends after MOST_STEPS instructions. A program that breaks
a rule ends there, is marked as broken, and has the answer 0. So does a run whose thread is killed, without the
mark.

Context: takes safe points, so others may change maps meanwhile. May raise MemoryError.
Source: RFC 9669.
"""

from typing import Final, Literal

from kernel.bpf.arithmetic import (
    WORD_MASK,
    compute,
    compute_32,
    divide_signed,
    holds,
    holds_32,
    signed,
    signed_of,
    swap_bytes,
)
from kernel.bpf.code import (
    ALU,
    ALU64,
    ATOMIC,
    CALL_CODE,
    COMPARE_EXCHANGE,
    DIV,
    END,
    EXCHANGE,
    EXIT_CODE,
    FETCH,
    FRAME,
    FROM_REGISTER,
    INDIRECT,
    JMP,
    JMP32,
    LD,
    LDX,
    LOAD_CONSTANT,
    MAP_DESCRIPTOR,
    MEMORY_SIGNED,
    MOD,
    MOV,
    NEG,
    PLAIN,
    REGISTERS,
    ST,
    STACK_SIZE,
    STX,
    SUB,
    Code,
    size_of,
)
from kernel.bpf.helpers import (
    BOOT_NS,
    COMMAND,
    CURRENT_CGROUP,
    DELETE,
    KTIME_NS,
    LOAD_BYTES,
    LOAD_BYTES_RELATIVE,
    LOOKUP,
    NUMA_NODE,
    PID_TGID,
    PROCESSOR,
    RANDOM,
    SOCKET_COOKIE,
    SOCKET_UID,
    UID_GID,
    UPDATE,
)
from kernel.bpf.maps import PROGRAM_READ_ONLY, PROGRAM_WRITE_ONLY, Map
from kernel.bpf.packet_view import NOWHERE, PacketView
from kernel.lang import EFAULT, ENOMEM, Array, Errno, final, span_of, u64
from kernel.lib.pace import is_dying, pace, spend
from kernel.mm.keeping import has_room_to_keep

MOST_STEPS: Final = 1_000_000
_STEP_COST: Final = 300  # instructions of the processor
_UPDATE_HASHES: Final = 3  # of a key: to check for room, to find it, to place it
_STEPS_TO_KILL: Final = 4096  # between checks for a kill

# Regions: the upper halves of pointers.
_CONTEXT: Final = 1
_STACK: Final = 2
_MAPS: Final = 0x100  # the maps themselves
_VALUES: Final = 0x1000  # and their values
_COMMAND_SIZE: Final = 16
_CONTEXT_OF_LOOK: Final = 6  # the register that says whose packet a load of classic BPF is from
_FROM_START: Final = -1  # of what a program is shown of a packet, not of one of its headers


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


@final
class Machine:
    """One run of a program."""

    def __init__(self, code: Code, maps: list[Map], context: bytearray, world: World) -> None:
        self.code: Code = code
        self.maps: list[Map] = maps
        self.context: bytearray = context
        self.may_change_context: bool = False
        self.world: World = world
        self.stack: bytearray = bytearray(STACK_SIZE)
        self.registers: Array[int, Literal[11]] = Array[int, Literal[11]]()
        self.is_broken: bool = False
        self.place: int = 0  # where `_region` found an access
        self.at: int = 0  # the next instruction
        self.steps: int = 0
        self.helped: int = 0  # what helpers took, in instructions of the processor: for bytes copied, and for hashes
        self.packet: PacketView | None = None
        self.cookie: int = 0  # of the socket that it judges
        self.half_at: int = NOWHERE  # a word of the context of which two bytes are kept
        self.is_over: bool = False  # a load from outside the packet has ended it

    def run(self) -> int:
        """The program's answer: 32 bits; 0 if it is broken, or the running thread must end."""
        self._begin()
        while self.steps < MOST_STEPS:
            pace(_STEP_COST)
            if self.steps > 0 and self.steps % _STEPS_TO_KILL == 0 and is_dying():
                return 0
            if self._turn():
                return self.registers[0] & WORD_MASK
            if self.is_broken:
                return 0
        self.is_broken = True
        return 0

    def run_at_once(self, most_cost: int) -> int:
        """The same without safe points, for runs that cost at most this many instructions of the processor, about; past
        that it ends as if it were broken.
        """
        self._begin()
        while self.cost() < most_cost:
            if self._turn():
                return self.registers[0] & WORD_MASK
            if self.is_broken:
                return 0
        self.is_broken = True
        return 0

    def cost(self) -> int:
        """The cost of the run, in instructions of the processor, about."""
        return self.steps * _STEP_COST + self.helped

    def _begin(self) -> None:
        self.registers[1] = _CONTEXT << 32
        self.registers[FRAME] = _STACK << 32 | STACK_SIZE

    def _turn(self) -> bool:
        """Run the next instruction. True at the program's end."""
        code = self.code
        at = self.at
        self.steps += 1
        if at < 0 or at >= code.count:
            self.is_broken = True
            return False
        operation = code.operation(at)
        if operation == EXIT_CODE:
            return True
        if code.destination(at) >= REGISTERS or code.source(at) >= REGISTERS:
            self.is_broken = True
            return False
        self.at = self._step(at, operation)
        return self.is_over

    def _step(self, at: int, operation: int) -> int:
        """Run an instruction. Returns the place of the next one."""
        kind = operation & 7
        if kind == ALU64:
            self._compute(at, operation)
        elif kind == ALU:
            self._compute_32(at, operation)
        elif kind == JMP or kind == JMP32:
            return self._jump(at, operation)
        elif kind == LDX:
            self._load(at, operation)
        elif kind == STX or kind == ST:
            self._store(at, operation)
        elif operation == LOAD_CONSTANT and at + 1 < self.code.count:
            self._load_constant(at)
            return at + 2
        elif kind == LD:
            self._look_into_packet(at, operation)
        else:
            self.is_broken = True
        return at + 1

    # ---- Arithmetic --------------------------------------------------------------------------------------------

    def _operand(self, at: int, operation: int) -> int:
        if operation & FROM_REGISTER != 0:
            return self.registers[self.code.source(at)]
        return self.code.constant(at)

    def _is_size(self, bits: int, least: int, most: int) -> bool:
        """Whether an instruction's field is a size; else the program is broken."""
        is_size = bits == 8 or bits == 16 or bits == 32 or bits == 64
        if not is_size or bits < least or bits > most:
            self.is_broken = True
            return False
        return True

    def _compute(self, at: int, operation: int) -> None:
        code = self.code
        what = operation & 0xF0
        target = code.destination(at)
        old = self.registers[target]
        if what == END:
            bits = code.constant(at)
            if self._is_size(bits, 16, 64):
                self.registers[target] = swap_bytes(old, bits)
            return
        if what == NEG:
            self.registers[target] = compute(SUB, 0, old)
            return
        operand = self._operand(at, operation)
        offset = code.offset(at)
        if what == MOV and offset != 0:
            if self._is_size(offset, 8, 32):
                self.registers[target] = signed_of(operand, offset)
        elif offset != 0 and (what == DIV or what == MOD):
            self.registers[target] = divide_signed(what, old, operand)
        else:
            self.registers[target] = compute(what, old, operand)

    def _compute_32(self, at: int, operation: int) -> None:
        code = self.code
        what = operation & 0xF0
        target = code.destination(at)
        old = self.registers[target]
        if what == END:
            bits = code.constant(at)
            if not self._is_size(bits, 16, 64):
                return
            if operation & FROM_REGISTER != 0:
                self.registers[target] = swap_bytes(old, bits)
            elif bits < 64:
                self.registers[target] = old & ((1 << bits) - 1)
            return
        if what == NEG:
            self.registers[target] = compute_32(SUB, 0, old)
            return
        operand = self._operand(at, operation)
        offset = code.offset(at)
        if what == MOV and offset != 0:
            if self._is_size(offset, 8, 16):
                self.registers[target] = signed_of(operand, offset) & WORD_MASK
        elif offset != 0 and (what == DIV or what == MOD):
            result = divide_signed(what, signed_of(old, 32), signed_of(operand, 32))
            self.registers[target] = result & WORD_MASK
        else:
            self.registers[target] = compute_32(what, old, operand)

    def _jump(self, at: int, operation: int) -> int:
        code = self.code
        if operation == CALL_CODE:
            self._call(code.constant(at))
            return at + 1
        what = operation & 0xF0
        if what == 0:
            return code.target(at)
        value = self.registers[code.destination(at)]
        operand = self._operand(at, operation)
        is_taken = holds(what, value, operand) if operation & 7 == JMP else holds_32(what, value, operand)
        return code.target(at) if is_taken else at + 1

    def _load_constant(self, at: int) -> None:
        code = self.code
        what = code.source(at)
        if what == PLAIN:
            value = code.wide_constant(at)
        elif what == MAP_DESCRIPTOR:
            value = (_MAPS + (code.constant(at) & 0xFF)) << 32
        else:
            value = (_VALUES + (code.constant(at) & 0xFF)) << 32 | (code.constant(at + 1) & WORD_MASK)
        self.registers[code.destination(at)] = value

    # ---- Memory ------------------------------------------------------------------------------------------------

    def _region(self, address: int, size: int, forbidding: int) -> bytearray | None:
        """Where `size` bytes at a pointer lie, from `place` on. None if they are not all in one thing that may be
        accessed: a map must not have the flag `forbidding`, and not every context may be changed.
        """
        region = address >> 32
        offset = address & WORD_MASK
        if region == _STACK:
            self.place = offset
            return self.stack if offset + size <= STACK_SIZE else None
        if region == _CONTEXT:
            self.place = offset
            may = forbidding == PROGRAM_WRITE_ONLY or self.may_change_context
            return self.context if may and offset + size <= len(self.context) else None
        index = region - _VALUES
        if index < 0 or index >= len(self.maps):
            return None
        map_ = self.maps[index]
        slot = offset // map_.stride()
        inside = offset % map_.stride()
        if map_.flags & forbidding != 0 or slot >= map_.most or inside + size > map_.value_size:
            return None
        self.place = map_.start(slot) + inside
        return map_.storage(slot)

    def read(self, address: int, size: int) -> int:
        """Load from a pointer; breaks the program if that is forbidden."""
        storage = self._region(address, size, PROGRAM_WRITE_ONLY)
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
        storage = self._region(address, size, PROGRAM_READ_ONLY)
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
            is_half = place == self.half_at and address >> 32 == _CONTEXT
            view.store_u32(place, value & 0xFFFF if is_half else value & WORD_MASK)
        else:
            view.store_u64(place, u64(value))

    def _bytes(self, address: int, size: int) -> bytes | None:
        """A copy of bytes at a pointer. Raises MemoryError."""
        storage = self._region(address, size, PROGRAM_WRITE_ONLY)
        if storage is None:
            self.is_broken = True
            return None
        spend(size)
        self.helped += size
        return bytes(storage[self.place : self.place + size])

    def _load(self, at: int, operation: int) -> None:
        code = self.code
        size = size_of(operation)
        value = self.read(compute(0, self.registers[code.source(at)], code.offset(at)), size)
        if operation & 0xE0 == MEMORY_SIGNED:
            value = signed_of(value, size * 8)
        self.registers[code.destination(at)] = value

    def _store(self, at: int, operation: int) -> None:
        code = self.code
        size = size_of(operation)
        address = compute(0, self.registers[code.destination(at)], code.offset(at))
        if operation & 7 == ST:
            self.write(address, size, code.constant(at))
        elif operation & 0xE0 == ATOMIC:
            self._atomic(at, address, size)
        else:
            self.write(address, size, self.registers[code.source(at)])

    def _atomic(self, at: int, address: int, size: int) -> None:
        """Atomic, because there are no safe points here."""
        what = self.code.constant(at)
        source = self.code.source(at)
        operand = self.registers[source]
        old = self.read(address, size)
        if self.is_broken:
            return
        if what == COMPARE_EXCHANGE:
            expected = self.registers[0] if size == 8 else self.registers[0] & WORD_MASK
            self.write(address, size, operand if old == expected else old)
            self.registers[0] = old
            return
        if what == EXCHANGE:
            self.write(address, size, operand)
        else:
            self.write(address, size, compute(what & 0xF0, old, operand))
        if what & FETCH != 0:
            self.registers[source] = old

    def _look_into_packet(self, at: int, operation: int) -> None:
        """A load from the packet, in the order of the network. From outside it, it ends the program with 0."""
        code = self.code
        packet = self.packet
        size = size_of(operation)
        if packet is None or size == 8 or self.registers[_CONTEXT_OF_LOOK] != _CONTEXT << 32:
            self.is_broken = True
            return
        offset = code.constant(at)
        if operation & 0xE0 == INDIRECT:
            offset = signed_of(compute(0, self.registers[code.source(at)], offset), 32)
        place = packet.place_of(offset, size)
        if place == NOWHERE:
            self.registers[0] = 0
            self.is_over = True
            return
        view = span_of(packet.storage)
        if size == 1:
            self.registers[0] = packet.storage[place]
        else:
            self.registers[0] = view.load_be16(place) if size == 2 else view.load_be32(place)

    # ---- Helpers -----------------------------------------------------------------------------------------------

    def _call(self, helper: int) -> None:
        result = 0
        world = self.world
        if helper == LOOKUP or helper == UPDATE or helper == DELETE:
            result = self._call_map(helper)
        elif helper == KTIME_NS:
            result = world.now_ns()
        elif helper == BOOT_NS:
            result = world.boot_ns()
        elif helper == RANDOM:
            result = world.random()
        elif helper == PROCESSOR:
            result = world.processor()
        elif helper == PID_TGID:
            result = world.pid_tgid()
        elif helper == UID_GID:
            result = world.uid_gid()
        elif helper == CURRENT_CGROUP:
            result = world.control_group()
        elif helper == LOAD_BYTES:
            result = self._load_bytes(self.registers[2], self.registers[3], self.registers[4], _FROM_START)
        elif helper == LOAD_BYTES_RELATIVE:
            header = self.registers[5] & WORD_MASK
            result = self._load_bytes(self.registers[2], self.registers[3], self.registers[4], header)
        elif helper == SOCKET_COOKIE or helper == SOCKET_UID:
            result = self._tell_of_socket(helper)
        elif helper == COMMAND:
            self._write_command(self.registers[1], self.registers[2])
        elif helper != NUMA_NODE:
            self.is_broken = True
        self.registers[0] = result

    def _call_map(self, helper: int) -> int:
        index = (self.registers[1] >> 32) - _MAPS
        if index < 0 or index >= len(self.maps):
            self.is_broken = True
            return 0
        map_ = self.maps[index]
        key = self._bytes(self.registers[2], map_.key_size)
        if key is None:
            return 0
        self.helped += map_.hash_cost * (_UPDATE_HASHES if helper == UPDATE else 1)
        if helper == LOOKUP:
            slot = map_.find(key)
            return 0 if slot < 0 else (_VALUES + index) << 32 | slot * map_.stride()
        if map_.flags & PROGRAM_READ_ONLY != 0:
            self.is_broken = True
            return 0
        try:
            if helper == DELETE:
                map_.remove(key)
                return 0
            value = self._bytes(self.registers[3], map_.value_size)
            flags = self.registers[4]
            if value is not None:
                if map_.needs_room(key) and not has_room_to_keep():
                    return -ENOMEM
                map_.update(key, span_of(value), flags if 0 <= flags <= 2 else -1)
        except Errno as error:
            return -error.code
        except MemoryError:
            return -ENOMEM  # the program decides
        return 0

    def _load_bytes(self, offset: int, address: int, size: int, header: int) -> int:
        """Copy bytes of the packet, from a header on. What is not all there is filled with zeros."""
        packet = self.packet
        if packet is None or size <= 0 or size > WORD_MASK or self.registers[1] != _CONTEXT << 32:
            self.is_broken = True
            return 0
        storage = self._region(address, size, PROGRAM_READ_ONLY)
        if storage is None:
            self.is_broken = True
            return 0
        spend(size)
        self.helped += size
        target = span_of(storage)[self.place : self.place + size]
        offset &= WORD_MASK
        if header == _FROM_START:
            start = packet.place_for_helper(offset, size)
        else:
            start = packet.place_in_header(header, offset, size)
        if start == NOWHERE:
            target.fill(0)
            return -EFAULT
        target.copy_from(span_of(packet.storage)[start : start + size])
        return 0

    def _tell_of_socket(self, helper: int) -> int:
        """The socket's number, or its owner's."""
        if self.registers[1] != _CONTEXT << 32:
            self.is_broken = True
            return 0
        packet = self.packet
        if packet is None:
            return self.cookie
        return packet.cookie if helper == SOCKET_COOKIE else packet.uid

    def _write_command(self, address: int, size: int) -> None:
        """Write the thread's name, truncated or filled with zeros."""
        if size <= 0 or size > WORD_MASK:
            self.is_broken = True
            return
        storage = self._region(address, size, PROGRAM_READ_ONLY)
        if storage is None:
            self.is_broken = True
            return
        spend(size)
        self.helped += size
        name = self.world.command()
        span_of(storage)[self.place : self.place + size].fill(0)
        for index in range(min(size, _COMMAND_SIZE) - 1):
            if index < len(name):
                storage[self.place + index] = name[index]
