"""The verifier: which programs may run.

It follows every path through a program with what is known of registers and stack (`state.py`), and refuses the program
if an instruction on any of them might do what it must not: read what was never set, reach past what a pointer points
into, lose the bounds of a pointer, pass a helper an argument of the wrong kind, return something that is no answer. At
a join, a path ends if its state is covered by one from which every path was found safe. A loop is followed for as many
turns as it takes. A loop that returns to the same state is refused, and so is a look at more than MOST_STEPS
instructions.

The interpreter checks each access again, so a mistake here ends a program instead of harming the kernel.

Bounds: at most MOST_STATES states are kept, and MOST_WAITING wait.

Context: takes safe points. Raises EINVAL, EACCES, E2BIG, MemoryError, and says why in the log; EAGAIN for a signal.
Source: bpf(2), Linux's documentation of its verifier.
"""

from typing import Final

from kernel.bpf.arithmetic import signed_of
from kernel.bpf.code import (
    ALU,
    ALU64,
    ATOMIC,
    CALL_CODE,
    COMPARE_EXCHANGE,
    EXCHANGE,
    EXIT_CODE,
    FETCH,
    FROM_REGISTER,
    INDIRECT,
    JMP,
    JMP32,
    LD,
    LDX,
    LOAD_CONSTANT,
    MAP_DESCRIPTOR,
    MEMORY,
    MEMORY_SIGNED,
    MOST_FRAMES,
    OF_FUNCTION,
    PLAIN,
    ST,
    STX,
    Code,
    size_of,
)
from kernel.bpf.flow import Flow, check_encoding, check_fields, is_jump, is_straight
from kernel.bpf.functions import Functions
from kernel.bpf.jumps import branch
from kernel.bpf.log import Log
from kernel.bpf.look import Look
from kernel.bpf.maps import Map
from kernel.bpf.memory import check_helper, load_value, store_value
from kernel.bpf.pointers import arithmetic
from kernel.bpf.state import ANY_NUMBER, CONTEXT, MAP, MAP_VALUE, NOT_SET, NUMBER, RECORD, STACK, State, Value, number
from kernel.bpf.subject import Subject
from kernel.lang import E2BIG, EACCES, EAGAIN, EINVAL, Errno, final
from kernel.lib.pace import is_dying, is_interrupted, pace
from kernel.mm.keeping import check_room_to_keep

MOST_STEPS: Final = 1_000_000
MOST_STATES: Final = 4096
MOST_WAITING: Final = 8192
_MOST_HERE: Final = 64  # states at one place
_STEP_COST: Final = 1500  # instructions of the processor
_COMPARE_COST: Final = 1500
_STATES_OF_ROOM: Final = 256  # that may be kept before room is asked for again
_SAFE: Final = 0
_CONTEXT_OF_LOOK: Final = 6  # the register that says whose packet it is


@final
class Join:
    """A state that was kept where paths join, and how many paths from it are not yet found safe."""

    def __init__(self, state: State, parent: "Join | None") -> None:
        self.state: State = state
        self.parent: Join | None = parent
        self.open: int = 1

    def end(self) -> None:
        """A path from it is safe. When all are, one path from its parent is."""
        join: Join | None = self
        while join is not None:
            join.open -= 1
            if join.open > 0:
                return
            following = join.parent
            join.parent = None
            join = following


@final
class Waiting:
    """The other side of a branch."""

    def __init__(self, state: State, at: int, join: Join) -> None:
        self.state: State = state
        self.at: int = at
        self.join: Join = join


@final
class Verifier(Look):
    """One look at a program."""

    def __init__(self, code: Code, maps: list[Map], subject: Subject, log: Log) -> None:
        """LOAD_CONSTANT instructions of maps have places in `maps` as their constants."""
        super().__init__(code, maps, subject, log)
        self.flow: Flow = Flow(code)
        self.functions: Functions = Functions(code)
        self.at: int = 0  # the instruction that is looked at
        self.steps: int = 0
        self.kept: int = 0
        waiting: list[Waiting] = []
        self.waiting: list[Waiting] = waiting
        known: dict[int, list[Join]] = {}
        self.known: dict[int, list[Join]] = known
        self.join: Join = Join(self.state, None)

    def run(self) -> None:
        """Check the program."""
        self.functions.find(self.log, self.subject.may_program)
        self.flow.mark_seconds()
        self.flow.check_reach(self.log)
        self.flow.find_live()
        self._explore(0)
        while len(self.waiting) > 0:
            other = self.waiting.pop()
            self.state = other.state
            self.join = other.join
            if self.log.wants_each():
                self.log.say_each(f"from another branch to {other.at}:")
            self._explore(other.at)
        self.known.clear()
        self.functions.check_depth(self.log)

    def _explore(self, start: int) -> None:
        """Follow one path to its end."""
        code = self.code
        at = start
        while True:
            if at >= code.count:
                self.refuse(f"invalid insn idx {at} insn_cnt {code.count}", EINVAL)
            self.at = at
            self.steps += 1
            if self.steps > MOST_STEPS:
                self.refuse(f"BPF program is too large. Processed {self.steps} insn", E2BIG)
            pace(_STEP_COST)
            if is_interrupted() or is_dying():
                raise Errno(EAGAIN)
            if self.flow.joins[at] != 0 and self._is_covered(at):
                self.join.end()
                return
            if self.log.wants_each():
                self.log.say_each(f"{at}: ({code.operation(at):02x})")
            if code.operation(at) == EXIT_CODE:
                self._check_exit_fields(at)
                if self.state.depth() > 0:
                    at = self._leave()
                    continue
                self._check_exit()
                self.join.end()
                return
            at = self._step(at)

    def _is_covered(self, at: int) -> bool:
        """Whether the state was found safe before. If not, keep it. Raises EINVAL for an endless loop."""
        joins = self.known.get(at)
        if joins is None:
            fresh: list[Join] = []
            joins = fresh
            self.known[at] = joins
        live = self.flow.live[at]
        may = self.subject.may_leak
        for join in joins:
            pace(_COMPARE_COST)
            if join.open == _SAFE:
                if join.state.covers(self.state, live, may):
                    return True
            elif join.state.equals(self.state):
                self.log.say(f"infinite loop detected at insn {at}")
                raise Errno(EINVAL)
        if len(joins) < _MOST_HERE and self.kept < MOST_STATES:
            self._ask_for_room(self.kept)
            self.kept += 1
            self.join = Join(self.state.copy(), self.join)
            joins.append(self.join)
        return False

    # ---- Instructions ------------------------------------------------------------------------------------------

    def _step(self, at: int) -> int:
        """What an instruction does to the state. Returns where to go on."""
        code = self.code
        operation = code.operation(at)
        kind = operation & 7
        if kind == ALU or kind == ALU64:
            self._compute(at)
        elif kind == LDX:
            self._load(at)
        elif kind == ST or kind == STX:
            self._store(at)
        elif kind == JMP or kind == JMP32:
            return self._jump(at)
        elif operation == LOAD_CONSTANT:
            self._load_constant(at)
            return at + 2
        elif kind == LD:
            self._look_into_packet(at)
        return at + 1

    def _compute(self, at: int) -> None:
        code = self.code
        operation = code.operation(at)
        check_fields(code, at, self.log)
        what = operation & 0xF0
        target = code.destination(at)
        is_wide = operation & 7 == ALU64
        source = number(code.constant(at), code.constant(at))
        if operation & FROM_REGISTER != 0 and what != 0xD0:
            source = self.read(code.source(at))
        old = source if what == 0xB0 else self.read(target)
        self.check_writable(target)
        self.state.registers[target] = arithmetic(self, what, is_wide, code.offset(at), old, source, at)

    def _load(self, at: int) -> None:
        code = self.code
        operation = code.operation(at)
        base = self.read(code.source(at))
        target = code.destination(at)
        self.check_writable(target)
        size = size_of(operation)
        is_signed = operation & 0xE0 == MEMORY_SIGNED
        if is_signed and size == 8:
            self.refuse(f"unknown opcode {operation:02x}", EINVAL)
        found = load_value(self, code.source(at), base, code.offset(at), size)
        if is_signed:
            found = _extended(found, size)
        self.state.registers[target] = found

    def _store(self, at: int) -> None:
        code = self.code
        operation = code.operation(at)
        mode = operation & 0xE0
        target = code.destination(at)
        if operation & 7 == STX and mode == ATOMIC:
            self._atomic(at)
            return
        if mode != MEMORY:
            self.refuse(f"BPF_{'STX' if operation & 7 == STX else 'ST'} uses reserved fields", EINVAL)
        if operation & 7 == STX:
            if code.constant(at) != 0:
                self.refuse("BPF_STX uses reserved fields", EINVAL)
            value = self.read(code.source(at))
        else:
            if code.source(at) != 0:
                self.refuse("BPF_ST uses reserved fields", EINVAL)
            value = number(code.constant(at), code.constant(at))
        store_value(self, target, self.read(target), code.offset(at), size_of(operation), value)

    def _atomic(self, at: int) -> None:
        code = self.code
        operation = code.operation(at)
        what = code.constant(at)
        plain = what & ~FETCH
        if what != EXCHANGE and what != COMPARE_EXCHANGE and plain not in (0x00, 0x40, 0x50, 0xA0):
            self.refuse(f"BPF_ATOMIC uses invalid atomic opcode {what & 0xFFFF_FFFF:02x}", EINVAL)
        size = size_of(operation)
        if size < 4:
            self.refuse("invalid atomic operand size", EINVAL)
        source = code.source(at)
        value = self.read(source)
        base = self.read(code.destination(at))
        if what == COMPARE_EXCHANGE and self.read(0).is_pointer():
            self.refuse("R0 leaks addr into mem", EACCES)
        if value.is_pointer():
            self.refuse(f"R{source} leaks addr into mem", EACCES)
        if base.kind != MAP_VALUE and base.kind != STACK and base.kind != RECORD:
            where = "ctx" if base.kind == CONTEXT else "mem"
            self.refuse(f"BPF_ATOMIC stores into R{code.destination(at)} {where} is not allowed", EACCES)
        target = 0 if what == COMPARE_EXCHANGE else source
        if what & FETCH != 0:
            self.check_writable(target)
        loaded = load_value(self, code.destination(at), base, code.offset(at), size)
        if loaded.is_pointer():
            self.refuse(f"R{code.destination(at)} invalid mem access 'spilled pointer'", EACCES)
        store_value(self, code.destination(at), base, code.offset(at), size, ANY_NUMBER)
        if what & FETCH != 0:
            self.state.registers[target] = ANY_NUMBER if size == 8 else number(0, 0xFFFF_FFFF)

    def _load_constant(self, at: int) -> None:
        code = self.code
        target = code.destination(at)
        self.check_writable(target)
        value = code.wide_constant(at)
        what = code.source(at)
        if what == PLAIN:
            found = number(value, value)
        elif what == MAP_DESCRIPTOR:
            found = Value(MAP, 0, 0, code.constant(at))
        else:
            offset = code.constant(at + 1)
            found = Value(MAP_VALUE, offset, offset, code.constant(at))
        self.state.registers[target] = found

    def _look_into_packet(self, at: int) -> None:
        """A load from the packet, as classic BPF has it. One from outside it ends the program with 0."""
        code = self.code
        operation = code.operation(at)
        if not self.subject.looks_into_packets:
            self.refuse("BPF_LD_[ABS|IND] instructions not allowed for this program type", EINVAL)
        is_indirect = operation & 0xE0 == INDIRECT
        if (
            code.destination(at) != 0
            or code.offset(at) != 0
            or size_of(operation) == 8
            or (not is_indirect and code.source(at) != 0)
        ):
            self.refuse("BPF_LD_[ABS|IND] uses reserved fields", EINVAL)
        context = self.read(_CONTEXT_OF_LOOK)
        if context.kind != CONTEXT:
            self.refuse("at the time of BPF_LD_ABS|IND R6 != pointer to skb", EINVAL)
        if is_indirect:
            self.read(code.source(at))
        if context.least != 0 or context.most != 0:
            self.refuse(f"dereference of modified ctx ptr R6 off={context.least} disallowed", EACCES)
        if len(self.state.held) > 0:
            self.refuse("BPF_LD_[ABS|IND] would lead to reference leak", EINVAL)
        self._return(ANY_NUMBER)

    # ---- Jumps -------------------------------------------------------------------------------------------------

    def _jump(self, at: int) -> int:
        code = self.code
        operation = code.operation(at)
        if operation == CALL_CODE:
            if code.source(at) > OF_FUNCTION or code.destination(at) != 0 or code.offset(at) != 0:
                self.refuse("BPF_CALL uses reserved fields", EINVAL)
            if code.source(at) == OF_FUNCTION:
                return self._enter(at)
            self._call(code.constant(at))
            return at + 1
        if not is_jump(code, at) or operation & 0xF0 > 0xD0:
            self.refuse(f"unknown opcode {operation:02x}", EINVAL)
        if is_straight(code, at):
            is_far = operation & 7 == JMP32
            unused = code.offset(at) if is_far else code.constant(at)
            if unused != 0 or code.source(at) != 0 or code.destination(at) != 0:
                self.refuse("BPF_JA uses reserved fields", EINVAL)
            return code.target(at)
        if operation & 0xF0 == 0:
            self.refuse(f"unknown opcode {operation:02x}", EINVAL)
        return branch(self, at)

    def wait(self, state: State, at: int) -> None:
        """Go on there later. Raises E2BIG."""
        if len(self.waiting) >= MOST_WAITING:
            self.refuse(f"The sequence of {MOST_WAITING + 1} jumps is too complex.", E2BIG)
        self._ask_for_room(len(self.waiting))
        self.join.open += 1
        self.waiting.append(Waiting(state, at, self.join))

    def _ask_for_room(self, count: int) -> None:
        """One more state is to be kept, beside `count`. Raises MemoryError."""
        if count % _STATES_OF_ROOM == 0:
            check_room_to_keep()

    def _call(self, helper: int) -> None:
        self._return(check_helper(self, helper))

    def _return(self, result: Value) -> None:
        """What a call does to the registers."""
        for register in range(6):
            self.state.registers[register] = NOT_SET
        self.state.registers[0] = result

    def _check_exit_fields(self, at: int) -> None:
        code = self.code
        if code.constant(at) != 0 or code.source(at) != 0 or code.destination(at) != 0 or code.offset(at) != 0:
            self.refuse("BPF_EXIT uses reserved fields", EINVAL)

    def _enter(self, at: int) -> int:
        """Call a function of the program."""
        if self.state.depth() + 1 >= MOST_FRAMES:
            self.refuse(f"the call stack of {self.state.depth() + 2} frames is too deep", E2BIG)
        self.state.enter(at + 1)
        return self.code.call_target(at)

    def _leave(self) -> int:
        """Return from a function."""
        if self.state.registers[0].kind == STACK:
            self.refuse("cannot return stack pointer to the caller", EINVAL)
        return self.state.leave()

    def note_stack(self, frame: int, size: int) -> None:
        is_inner = frame == self.state.depth()
        self.functions.note_stack(self.at if is_inner else self.state.back[frame] - 1, size)

    def _check_exit(self) -> None:
        if len(self.state.held) > 0:
            self.log.say(f"Unreleased reference id={self.state.held[0]}")
            self.refuse("BPF_EXIT instruction in main prog would lead to reference leak", EINVAL)
        value = self.read(0)
        if value.is_pointer() and not self.subject.may_leak:
            self.refuse("R0 leaks addr as return value", EACCES)
        if value.kind == NUMBER:
            self.subject.note_result(value.least)
        least = self.subject.least_result
        most = self.subject.most_result
        if least > most:
            return
        if value.kind != NUMBER:
            self.refuse("At program exit the register R0 is not a known value", EINVAL)
        if value.least < least or value.most > most:
            self.refuse(
                f"At program exit the register R0 has {value.text()} should have been in [{least}, {most}]", EINVAL
            )


def _extended(value: Value, size: int) -> Value:
    """A loaded number whose sign is extended."""
    bits = size * 8
    if value.kind == NUMBER and value.least == value.most:
        result = signed_of(value.least, bits)
        return number(result, result)
    return number(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


def verify(code: Code, maps: list[Map], subject: Subject, log: Log) -> int:
    """Check a program whose maps are resolved. Returns how many instructions were looked at."""
    verifier = Verifier(code, maps, subject, log)
    try:
        verifier.run()
    finally:
        log.say_statistics(
            f"processed {verifier.steps} insns (limit {MOST_STEPS}) max_states_per_insn 0 "
            f"total_states {verifier.kept} peak_states {verifier.kept} mark_read 0"
        )
    return verifier.steps


def check_first(code: Code, log: Log, may_program: bool = True) -> None:
    """What is checked before descriptors of maps are looked up."""
    functions = Functions(code)
    functions.find(log, may_program)
    functions.check(log)
    check_encoding(code, log)


def check_short(code: Code, most: int, log: Log) -> None:
    """For programs that run where nothing may sleep: a run takes at most `most` instructions, without loops. Raises
    E2BIG, EINVAL.
    """
    if code.count > most:
        log.say(f"too many instructions for a program of this type: {code.count}, at most {most}")
        raise Errno(E2BIG)
    functions = Functions(code)
    functions.find(log, may_program=True)
    functions.check_depth(log)
    length = functions.longest_path(log)
    if length > most:
        log.say(f"too many instructions for a program of this type: {length} with its calls, at most {most}")
        raise Errno(E2BIG)
