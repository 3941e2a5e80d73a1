"""Running programs of BPF.

Registers and memory are those of `machine.py`, whose checks do not rely on the verifier. A run ends after MOST_STEPS
instructions. A program that breaks a rule ends there, is marked as broken, and has the answer 0. So does a run whose
thread is killed, without the mark.

Context: takes safe points, so others may change maps meanwhile. May raise MemoryError.
Source: RFC 9669.
"""

from typing import Final

from kernel.bpf.arithmetic import (
    WORD_MASK,
    compute,
    compute_32,
    divide_signed,
    holds,
    holds_32,
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
    MOST_FRAMES,
    MOV,
    NEG,
    OF_FUNCTION,
    PLAIN,
    REGISTERS,
    ST,
    STACK_SIZE,
    STX,
    SUB,
    Code,
    size_of,
)
from kernel.bpf.held import Held
from kernel.bpf.helper_calls import HelperCalls
from kernel.bpf.helpers import TAIL_CALL
from kernel.bpf.machine import CONTEXT_POINTER, MAP_REGION, STACK_REGION, VALUE_REGION, World
from kernel.bpf.maps import Map
from kernel.bpf.packet_view import NOWHERE
from kernel.lang import final, inline, span_of
from kernel.lib.pace import is_dying, pace

MOST_STEPS: Final = 1_000_000
_STEP_COST: Final = 300  # instructions of the processor
_STEPS_TO_KILL: Final = 4096  # between checks for a kill
MOST_TAIL_CALLS: Final = 33
_CONTEXT_OF_LOOK: Final = 6  # the register that says whose packet a load of classic BPF is from
_KEPT_FROM: Final = 6  # registers that a function leaves as they were
_KEPT: Final = 4


class Runnable(Held):
    """A program that others may leave the rest to. Base class of programs."""

    def __init__(self, code: Code, maps: list[Map]) -> None:
        self.code: Code = code
        self.maps: list[Map] = maps


@final
class Machine(HelperCalls):
    """One run of a program."""

    def __init__(self, code: Code, maps: list[Map], context: bytearray, world: World) -> None:
        super().__init__(maps, context, world)
        self.code: Code = code
        self.saved: list[int] = []  # of each function that waits for another: where it goes on, and registers
        self.tail_calls: int = 0
        self.at: int = 0  # the next instruction
        self.steps: int = 0
        self.is_over: bool = False  # a load from outside the packet has ended it

    def run(self) -> int:
        """The program's answer: 32 bits; 0 if it is broken, or the running thread must end."""
        try:
            return self._run()
        finally:
            self.drop_records()

    @inline
    def run_at_once(self, most_cost: int) -> int:
        """The same without safe points, for runs that cost at most this many instructions of the processor, about; past
        that it ends as if it were broken.
        """
        try:
            return self._run_at_once(most_cost)
        finally:
            self.drop_records()

    def _run(self) -> int:
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

    @inline
    def _run_at_once(self, most_cost: int) -> int:
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
        self.registers[1] = CONTEXT_POINTER
        self.registers[FRAME] = STACK_REGION << 32 | STACK_SIZE

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
            if self.depth == 0:
                return True
            self._leave()
            return False
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
            if code.source(at) == OF_FUNCTION:
                return self._enter(at)
            if code.constant(at) == TAIL_CALL:
                return self._go_on_elsewhere(at)
            self.call_helper(code.constant(at))
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
            value = (MAP_REGION + (code.constant(at) & 0xFF)) << 32
        else:
            value = (VALUE_REGION + (code.constant(at) & 0xFF)) << 32 | (code.constant(at + 1) & WORD_MASK)
        self.registers[code.destination(at)] = value

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
        if packet is None or size == 8 or self.registers[_CONTEXT_OF_LOOK] != CONTEXT_POINTER:
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

    # ---- Functions and other programs --------------------------------------------------------------------------

    def _enter(self, at: int) -> int:
        """Call a function of the program. Returns where it begins."""
        if self.depth + 1 >= MOST_FRAMES:
            self.is_broken = True
            return at + 1
        self.saved.append(at + 1)
        for register in range(_KEPT_FROM, _KEPT_FROM + _KEPT):
            self.saved.append(self.registers[register])
        self.depth += 1
        if len(self.stacks) <= self.depth:
            self.stacks.append(bytearray(STACK_SIZE))
        self.registers[FRAME] = (STACK_REGION + self.depth) << 32 | STACK_SIZE
        return self.code.call_target(at)

    def _leave(self) -> None:
        """Return from a function."""
        for register in range(_KEPT_FROM + _KEPT - 1, _KEPT_FROM - 1, -1):
            self.registers[register] = self.saved.pop()
        self.at = self.saved.pop()
        self.depth -= 1
        self.registers[FRAME] = (STACK_REGION + self.depth) << 32 | STACK_SIZE

    def _go_on_elsewhere(self, at: int) -> int:
        """A tail call: another program takes over for good. If there is none, or too many have, this one goes on."""
        index = self.map_in(2, TAIL_CALL)
        if index < 0 or self.depth > 0 or self.registers[1] != CONTEXT_POINTER:
            self.is_broken = True
            return at + 1
        found = self.maps[index].held(self.registers[3] & WORD_MASK)
        if not isinstance(found, Runnable) or self.tail_calls >= MOST_TAIL_CALLS:
            return at + 1
        self.tail_calls += 1
        self.code = found.code
        self.maps = found.maps
        self.own_maps = len(found.maps)
        self._begin()
        return 0
