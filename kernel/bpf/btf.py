"""Types that a process describes to the kernel (BTF): of a program's functions, of a map's keys and values.

A description is a header, a section of types and one of names. Types have numbers, from 1 on, in the order of the
section; 0 is void. `btf_check.py` looks at each by itself, `btf_resolve.py` at what they refer to; only what both
accept is kept.

Context: any, except where a function says otherwise.
Source: Linux's Documentation/bpf/btf.rst; the case bpf_types.
"""

from typing import Final

from kernel.bpf.numbers import Numbers
from kernel.lang import final, span_of

INT: Final = 1
POINTER: Final = 2
ARRAY: Final = 3
STRUCT: Final = 4
UNION: Final = 5
ENUM: Final = 6
FORWARD: Final = 7
TYPEDEF: Final = 8
VOLATILE: Final = 9
CONST: Final = 10
RESTRICT: Final = 11
FUNCTION: Final = 12
PROTOTYPE: Final = 13
VARIABLE: Final = 14
SECTION: Final = 15
FLOAT: Final = 16
TAG_OF_DECLARATION: Final = 17
TAG_OF_TYPE: Final = 18
ENUM64: Final = 19
VOID: Final = 0
MISSING: Final = -1

MOST_BYTES: Final = 1 << 20
MOST_TYPES: Final = 0xFFFFF
TYPE_BYTES: Final = 12
POINTER_BYTES: Final = 8
MODIFIERS: Final[list[int]] = [TYPEDEF, VOLATILE, CONST, RESTRICT, TAG_OF_TYPE]
_SIZED: Final[list[int]] = [INT, STRUCT, UNION, ENUM, SECTION, FLOAT, ENUM64]
_WITHOUT_SIZE: Final[list[int]] = [VOID, FORWARD, FUNCTION, PROTOTYPE, TAG_OF_DECLARATION, MISSING]
_TO_RESOLVE: Final[list[int]] = [
    POINTER, STRUCT, UNION, ARRAY, VARIABLE, FUNCTION, TAG_OF_DECLARATION, SECTION, *MODIFIERS,
]  # fmt: skip
_REGULAR: Final[list[int]] = [8, 16, 32, 64, 128]


def needs_resolution(kind: int) -> bool:
    return kind in _TO_RESOLVE


def has_no_size(kind: int) -> bool:
    return kind in _WITHOUT_SIZE


def only_refers(kind: int) -> bool:
    """Whether no other type but a section may refer to one."""
    return kind == VARIABLE or kind == TAG_OF_DECLARATION or kind == SECTION


def is_struct(kind: int) -> bool:
    return kind == STRUCT or kind == UNION


@final
class Btf:
    """A description."""

    def __init__(self, data: bytes) -> None:
        self.data: bytes = data
        self.identifier: int = 0
        self.users: int = 0  # descriptors, programs and maps
        self.names_at: int = 0
        self.names_size: int = 0
        self.places: list[int] = [0]  # of each type, in `data`
        self.targets: list[int] = [0]  # of a type that refers to others: what that is in the end
        self.sizes: list[int] = [0]  # of arrays

    def held_bytes(self) -> int:
        return len(self.data) + 24 * len(self.places) + 256

    def word(self, place: int) -> int:
        """The 32 bits at a place of the data."""
        return span_of(self.data).load_u32(place)

    # Types ------------------------------------------------------------------------------------------------------------

    def count(self) -> int:
        """Of types, void included."""
        return len(self.places)

    def kind(self, number: int) -> int:
        """The kind of a type; VOID for 0, MISSING where there is none."""
        if number == 0:
            return VOID
        if not 0 < number < len(self.places):
            return MISSING
        return self.word(self.places[number] + 4) >> 24 & 0x1F

    def length(self, number: int) -> int:
        """How many members, arguments and so on it has."""
        return self.word(self.places[number] + 4) & 0xFFFF

    def has_flag(self, number: int) -> bool:
        return self.word(self.places[number] + 4) >> 31 != 0

    def named(self, number: int) -> int:
        """The offset of its name, 0 if it has none."""
        return self.word(self.places[number])

    def operand(self, number: int) -> int:
        """Its size, or the type that it refers to."""
        return self.word(self.places[number] + 8)

    def more(self, number: int, index: int) -> int:
        """A word behind the type itself."""
        return self.word(self.places[number] + TYPE_BYTES + 4 * index)

    def is_regular(self, number: int) -> bool:
        """Whether an integer has a size that the processor has, and all its bits."""
        word = self.more(number, 0)
        bits = word & 0xFF
        return word >> 16 & 0xFF == 0 and bits in _REGULAR and self.operand(number) * 8 == bits

    def is_sized(self, number: int) -> bool:
        return self.kind(number) in _SIZED

    def sized(self, number: int) -> int:
        """The type that says how large a type is: itself, or what it refers to. MISSING if none does."""
        kind = self.kind(number)
        if kind in MODIFIERS or kind == VARIABLE:
            number = self.targets[number]
            kind = self.kind(number)
        return number if kind in _SIZED or kind == ARRAY or kind == POINTER else MISSING

    def size(self, number: int) -> int:
        """The size of a type that `sized` gave."""
        kind = self.kind(number)
        if kind == ARRAY:
            return self.sizes[number]
        return POINTER_BYTES if kind == POINTER else self.operand(number)

    # Names ------------------------------------------------------------------------------------------------------------

    def has_name(self, offset: int) -> bool:
        """Whether there is a name at an offset."""
        return offset < self.names_size

    def name(self, offset: int, most: int) -> bytes:
        """The name at an offset, which `has_name`; its first `most` bytes."""
        start = self.names_at + offset
        part = self.data[start : min(start + most, len(self.data))]
        end = part.find(b"\0")
        return part if end < 0 else part[:end]


@final
class _Kept:
    """Those in use, by number."""

    def __init__(self) -> None:
        by_number: dict[int, Btf] = {}
        self.by_number: dict[int, Btf] = by_number
        self.numbers: Numbers = Numbers()


DESCRIPTIONS: Final = _Kept()


def keep_btf(btf: Btf) -> None:
    """Count a reference; the first one gives it a number. Raises MemoryError."""
    if btf.users == 0:
        number = DESCRIPTIONS.numbers.take()
        try:
            DESCRIPTIONS.by_number[number] = btf
        except MemoryError:
            DESCRIPTIONS.numbers.give_back(number)
            raise
        btf.identifier = number
    btf.users += 1


def release_btf(btf: Btf) -> None:
    btf.users -= 1
    if btf.users == 0:
        DESCRIPTIONS.by_number.pop(btf.identifier, btf)
        DESCRIPTIONS.numbers.give_back(btf.identifier)
