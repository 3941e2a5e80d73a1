"""The verifier's knowledge at a place of a program: the possible values of each register and each word of the stack,
in the function that runs and in those that called it.

A number is known by its least and greatest value, both signed: an unknown one has all 64 bits, and an
upper bound of an unsigned comparison is kept if it is below 2**63. A pointer is known by its target and
its distance from the start. `Value` objects are never changed, so states share them.

A state is *covered* by an earlier one that was found safe if everything possible in it was possible there.

Context: may raise MemoryError.
"""

from typing import Final

from kernel.bpf.arithmetic import LEAST, MOST
from kernel.bpf.code import ARGUMENTS, FRAME, REGISTERS, STACK_SIZE
from kernel.lang import final
from kernel.lib.pace import spend

UNSET: Final = 0
NUMBER: Final = 1
CONTEXT: Final = 2
STACK: Final = 3
MAP: Final = 4
MAP_VALUE: Final = 5
MAYBE_VALUE: Final = 6  # or 0: a lookup's result
MAYBE_MAP: Final = 7  # the same, in a map of maps
RECORD: Final = 8  # memory that the program must give back; the place is its size
MAYBE_RECORD: Final = 9
SOCKET: Final = 10  # a socket, for helpers alone
INNER: Final = 0x1000  # added to the place of a map of maps: one of those that it has

NAMES: Final[list[str]] = [
    "?", "scalar", "ctx", "fp", "map_ptr", "map_value", "map_value_or_null", "map_ptr_or_null",
    "ringbuf_mem", "ringbuf_mem_or_null", "sock",
]  # fmt: skip

MOST_HELD: Final = 64  # records that a program may have at once

_WORD: Final = 8
_ALL_BYTES: Final = 0xFF
_WORD_COST: Final = 80  # instructions, of a look at one


@final
class Value:
    """The possible values of a register or a word of the stack."""

    def __init__(self, kind: int, least: int, most: int, place: int = 0, identity: int = 0) -> None:
        self.kind: int = kind
        self.least: int = least  # of a number; of a pointer, the distance from the start of its target
        self.most: int = most
        self.place: int = place  # of the map in the program's list; of the frame whose stack it is
        self.identity: int = identity  # of the lookup that yielded a MAYBE_VALUE; of a record

    def is_pointer(self) -> bool:
        return self.kind > NUMBER

    def is_start(self) -> bool:
        """Whether a pointer is at the start of its target."""
        return self.least == 0 and self.most == 0

    def is_maybe(self) -> bool:
        """Whether it may be 0 where it looks like a pointer."""
        return self.kind == MAYBE_VALUE or self.kind == MAYBE_MAP or self.kind == MAYBE_RECORD

    def has_identity(self) -> bool:
        """Whether it matters which one it is."""
        return self.is_maybe() or self.kind == RECORD

    def is_known(self) -> bool:
        """Whether it is one number."""
        return self.kind == NUMBER and self.least == self.most

    def text(self) -> str:
        """For the log."""
        if self.kind == NUMBER:
            if self.least == self.most:
                return f"{self.least}"
            if self.least == LEAST and self.most == MOST:
                return "scalar()"
            return f"scalar(smin={self.least},smax={self.most})"
        if self.kind == STACK:
            return f"fp{self.least}" if self.least != 0 else "fp0"
        if self.least == 0 and self.most == 0:
            return f"{NAMES[self.kind]}()"
        return f"{NAMES[self.kind]}(smin={self.least},smax={self.most})"


NOT_SET: Final = Value(UNSET, 0, 0)
ANY_NUMBER: Final = Value(NUMBER, LEAST, MOST)


def number(least: int, most: int) -> Value:
    """A number within bounds. Raises MemoryError."""
    return Value(NUMBER, least, most)


@final
class Stack:
    """The stack of a function. The word `index` is the bytes from -8 * (index + 1) of its end."""

    def __init__(self) -> None:
        words: list[Value] = []
        self.words: list[Value] = words  # what was stored whole; NOT_SET where bytes were
        self.stored: bytearray = bytearray()  # a bit for each byte of a word that was stored

    def copy(self) -> "Stack":
        """A copy."""
        other = Stack()
        other.words = list(self.words)
        other.stored = bytearray(self.stored)
        return other

    def reach(self, index: int) -> None:
        """Extend the stack to a word; index below STACK_SIZE / 8."""
        while len(self.words) <= index:
            self.words.append(NOT_SET)
            self.stored.append(0)

    def store_whole(self, offset: int, value: Value) -> None:
        """A value in a word, at an offset that is a multiple of 8."""
        index = -offset // _WORD - 1
        self.reach(index)
        self.words[index] = value
        self.stored[index] = _ALL_BYTES

    def store_bytes(self, offset: int, size: int) -> None:
        """Store bytes of numbers from `offset` on, -512 to -1."""
        self.forget(offset, size)
        for index in range(_word_of(offset + size - 1), _word_of(offset) + 1):
            self.stored[index] |= _bytes_of(index, offset, size)

    def forget(self, offset: int, size: int) -> None:
        """Bytes may have been stored: nothing stored whole remains there."""
        self.reach(_word_of(offset))
        for index in range(_word_of(offset + size - 1), _word_of(offset) + 1):
            self.words[index] = NOT_SET
            spend(_WORD_COST)

    def are_stored(self, offset: int, size: int) -> bool:
        """Whether each byte was stored."""
        for index in range(_word_of(offset + size - 1), _word_of(offset) + 1):
            wanted = _bytes_of(index, offset, size)
            if index >= len(self.words) or self.stored[index] & wanted != wanted:
                return False
            spend(_WORD_COST)
        return True

    def word(self, offset: int) -> Value:
        """The value stored whole in the word that contains the byte at an offset; NOT_SET if there is none."""
        index = _word_of(offset)
        return self.words[index] if index < len(self.words) else NOT_SET

    def has_pointer(self, offset: int, size: int) -> bool:
        """Whether a pointer was stored in one of the bytes."""
        for index in range(_word_of(offset + size - 1), min(_word_of(offset) + 1, len(self.words))):
            if self.words[index].is_pointer():
                return True
            spend(_WORD_COST)
        return False

    def settle(self, identity: int, is_there: bool) -> None:
        """A lookup's result turned out to be there, or 0."""
        _settle_in(self.words, identity, is_there)

    def forget_record(self, identity: int, after: Value) -> None:
        """Nobody may use a record any more: what was a pointer to it is `after`."""
        for index in range(len(self.words)):
            if self.words[index].kind == RECORD and self.words[index].identity == identity:
                self.words[index] = after
                if after.kind == UNSET:
                    self.stored[index] = 0
            spend(_WORD_COST >> 2)

    def covers(self, other: "Stack", may_read_unset: bool, pairs: list[int]) -> bool:
        """Whether everything possible in another was possible here."""
        for index in range(len(self.words)):
            theirs = other.words[index] if index < len(other.words) else NOT_SET
            stored = other.stored[index] if index < len(other.stored) else 0
            ours = self.words[index]
            spend(_WORD_COST)
            if ours.kind != UNSET:
                if not _covers(ours, theirs, pairs):
                    return False
            elif self.stored[index] & ~stored != 0 or theirs.is_pointer():
                return False
        if may_read_unset:
            for index in range(len(self.words), len(other.words)):
                if other.words[index].is_pointer():
                    return False
        return True


@final
class State:
    """Registers and stacks of a function and those that called it, the program itself first."""

    def __init__(self) -> None:
        self.registers: list[Value] = [NOT_SET] * REGISTERS
        stacks: list[Stack] = []
        self.stacks: list[Stack] = stacks
        saved: list[list[Value]] = []
        self.saved: list[list[Value]] = saved  # registers of the callers
        self.back: list[int] = []  # where they go on
        self.held: list[int] = []  # identities of records, which the program must give back

    def depth(self) -> int:
        """How many functions have called."""
        return len(self.back)

    def copy(self) -> "State":
        """A copy."""
        other = State()
        other.registers = list(self.registers)
        for stack in self.stacks:
            other.stacks.append(stack.copy())
        for registers in self.saved:
            other.saved.append(list(registers))
        other.back = list(self.back)
        other.held = list(self.held)
        return other

    def enter(self, back: int) -> None:
        """Call a function, which has the arguments in registers 1 to 5."""
        self.registers[0] = NOT_SET
        inner: list[Value] = [NOT_SET] * REGISTERS
        for register in range(1, ARGUMENTS + 1):
            inner[register] = self.registers[register]
            self.registers[register] = NOT_SET
        self.saved.append(self.registers)
        self.back.append(back)
        self.stacks.append(Stack())
        inner[FRAME] = Value(STACK, 0, 0, self.depth())
        self.registers = inner

    def leave(self) -> int:
        """Return from a function. Returns where its caller goes on."""
        result = self.registers[0]
        self.registers = self.saved.pop()
        self.registers[0] = result
        self.stacks.pop()
        return self.back.pop()

    def settle(self, identity: int, is_there: bool) -> None:
        """A lookup's result turned out to be a value, or 0."""
        _settle_in(self.registers, identity, is_there)
        for registers in self.saved:
            _settle_in(registers, identity, is_there)
        for stack in self.stacks:
            stack.settle(identity, is_there)
        if not is_there:
            self._drop(identity)

    def give_back(self, identity: int, after: Value) -> None:
        """The program has finished a record: what was a pointer to it is `after`, a number or unset."""
        self._drop(identity)
        _forget_in(self.registers, identity, after)
        for registers in self.saved:
            _forget_in(registers, identity, after)
        for stack in self.stacks:
            stack.forget_record(identity, after)

    def _drop(self, identity: int) -> None:
        if identity in self.held:
            self.held.remove(identity)

    # ---- Comparison --------------------------------------------------------------------------------------------

    def covers(self, other: "State", live: int, may_read_unset: bool) -> bool:
        """Whether everything possible in another state was possible here, for the `live` registers (a bit each)."""
        if len(self.back) != len(other.back):
            return False
        for depth in range(len(self.back)):
            if self.back[depth] != other.back[depth]:
                return False
        if len(self.held) != len(other.held):
            return False
        pairs: list[int] = []
        for index in range(len(self.held)):
            pairs.append(self.held[index])
            pairs.append(other.held[index])
        for index in range(REGISTERS):
            if live >> index & 1 != 0 and not _covers(self.registers[index], other.registers[index], pairs):
                return False
        for depth in range(len(self.saved)):
            for index in range(REGISTERS):
                if not _covers(self.saved[depth][index], other.saved[depth][index], pairs):
                    return False
        for depth in range(len(self.stacks)):
            if not self.stacks[depth].covers(other.stacks[depth], may_read_unset, pairs):
                return False
        return True

    def equals(self, other: "State") -> bool:
        """Whether both say the same."""
        return self.covers(other, (1 << REGISTERS) - 1, may_read_unset=True) and other.covers(
            self, (1 << REGISTERS) - 1, may_read_unset=True
        )


def _settle_in(values: list[Value], identity: int, is_there: bool) -> None:
    for index in range(len(values)):
        if _is_of(values[index], identity):
            values[index] = _settled(values[index], is_there)


def _forget_in(values: list[Value], identity: int, after: Value) -> None:
    for index in range(len(values)):
        if values[index].kind == RECORD and values[index].identity == identity:
            values[index] = after


def _word_of(offset: int) -> int:
    """The word that a byte of the stack is in."""
    return (-offset - 1) // _WORD


def _bytes_of(index: int, offset: int, size: int) -> int:
    """The bytes of a word that are among some, a bit each."""
    start = -_WORD * (index + 1)
    return (1 << (min(offset + size, start + _WORD) - start)) - (1 << (max(offset, start) - start))


def _is_of(value: Value, identity: int) -> bool:
    return value.is_maybe() and value.identity == identity


def _settled(value: Value, is_there: bool) -> Value:
    if not is_there:
        return Value(NUMBER, 0, 0)
    if value.kind == MAYBE_RECORD:
        return Value(RECORD, value.least, value.most, value.place, value.identity)
    return Value(MAP_VALUE if value.kind == MAYBE_VALUE else MAP, value.least, value.most, value.place)


def _covers(ours: Value, theirs: Value, pairs: list[int]) -> bool:
    """The same for values. `pairs` has the identities that stand for each other, ours before theirs."""
    if ours is theirs and not ours.has_identity():
        return True
    if ours.kind == UNSET:
        return True  # no path from there read an unset one
    if ours.kind != theirs.kind or ours.place != theirs.place:
        return False
    if ours.least > theirs.least or ours.most < theirs.most:
        return False
    if ours.kind == STACK or ours.kind == CONTEXT:
        return ours.least == theirs.least and ours.most == theirs.most
    if not ours.has_identity():
        return True
    for index in range(0, len(pairs), 2):
        if pairs[index] == ours.identity or pairs[index + 1] == theirs.identity:
            return pairs[index] == ours.identity and pairs[index + 1] == theirs.identity
    pairs.append(ours.identity)
    pairs.append(theirs.identity)
    return True


def first_state() -> State:
    """At the start of a program. Raises MemoryError."""
    state = State()
    state.stacks.append(Stack())
    state.registers[1] = Value(CONTEXT, 0, 0)
    state.registers[FRAME] = Value(STACK, 0, 0)
    return state


STACK_WORDS: Final = STACK_SIZE // _WORD
