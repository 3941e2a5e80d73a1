"""Each part of a description of types by itself: the header, its sections, names, and what is written about each type.

Context: takes safe points. Raises EINVAL, E2BIG, ENOTSUPP, and says why in the log; EAGAIN for a signal, MemoryError.
Source: Linux's Documentation/bpf/btf.rst; the case bpf_types.
"""

from typing import Final

from kernel.bpf.btf import (
    ARRAY,
    ENUM,
    ENUM64,
    FLOAT,
    FORWARD,
    FUNCTION,
    INT,
    MODIFIERS,
    MOST_TYPES,
    POINTER,
    PROTOTYPE,
    SECTION,
    STRUCT,
    TAG_OF_DECLARATION,
    TAG_OF_TYPE,
    TYPE_BYTES,
    TYPEDEF,
    UNION,
    VARIABLE,
    Btf,
)
from kernel.bpf.log import Log
from kernel.bpf.maps import NOT_SUPPORTED
from kernel.lang import E2BIG, EAGAIN, EINVAL, Errno, final, span_of
from kernel.lib.pace import is_dying, is_interrupted, pace
from kernel.mm.keeping import check_room_to_keep

_MAGIC: Final = 0xEB9F
_VERSION: Final = 1
_HEADER: Final = 24
_LEAST_HEADER: Final = 8
_MOST_NAME_OFFSET: Final = 0x00FF_FFFF
_MOST_NUMBER: Final = 0x7FFF_FFFF  # of a type that others refer to
_INFORMATION: Final = 0x9F00_FFFF  # bits that the second word of a type may have
_INTEGER: Final = 0x0FFF_FFFF
_ENCODINGS: Final[list[int]] = [0, 1, 2, 4]  # unsigned, signed, a character, a truth value
_MOST_BITS: Final = 128
_NAME: Final = 512
_FLOATS: Final[list[int]] = [2, 4, 8, 12, 16]
_MEMBER_WORDS: Final = 3
_GLOBAL: Final = 1  # linkage of functions and variables, at most
_LOOK_COST: Final = 400  # instructions of the processor
_TYPES_OF_ROOM: Final = 4096


@final
class Check:
    """A look at a description."""

    def __init__(self, btf: Btf, log: Log) -> None:
        self.btf: Btf = btf
        self.log: Log = log
        self.types_at: int = 0
        self.types_size: int = 0

    def refuse(self, text: str, code: int = EINVAL) -> None:
        """Log the reason, and raise."""
        self.log.say(text)
        raise Errno(code)

    def run(self) -> None:
        """Check everything that does not depend on other types, and find the types."""
        self._check_header()
        self._check_names()
        if self.types_at & 3 != 0:
            self.refuse("Unaligned type_off")
        if self.types_size == 0:
            self.refuse("No type found")
        self._check_types()

    # The whole --------------------------------------------------------------------------------------------------------

    def _check_header(self) -> None:
        data = self.btf.data
        size = len(data)
        if size < _LEAST_HEADER:
            self.refuse("hdr_len not found")
        length = self.btf.word(4)
        if size < length:
            self.refuse("btf_header not found")
        for at in range(_HEADER, length):
            if data[at] != 0:
                self.refuse("Unsupported btf_header", E2BIG)
            pace(4)
        header = bytearray(_HEADER)
        known = min(length, _HEADER)
        span_of(header)[0:known].copy_from(span_of(data)[0:known])
        words = span_of(header)
        if words.load_u16(0) != _MAGIC:
            self.refuse("Invalid magic")
        if header[2] != _VERSION:
            self.refuse("Unsupported version", NOT_SUPPORTED)
        if header[3] != 0:
            self.refuse("Unsupported flags", NOT_SUPPORTED)
        if size == length:
            self.refuse("No data")
        self._check_sections(size - length, [words.load_u32(at) for at in (8, 12, 16, 20)])
        self.types_at = length + words.load_u32(8)
        self.types_size = words.load_u32(12)
        self.btf.names_at = length + words.load_u32(16)
        self.btf.names_size = words.load_u32(20)

    def _check_sections(self, size: int, found: list[int]) -> None:
        """Both sections, in whichever order, fill `size` bytes. `found` has their starts and lengths."""
        first = 0 if found[0] < found[2] or (found[0] == found[2] and found[1] <= found[3]) else 2
        total = 0
        for section in (first, 2 - first):
            start = found[section]
            length = found[section + 1]
            if size < start:
                self.refuse("Invalid section offset")
            if total < start:
                self.refuse("Unsupported section found")
            if total > start:
                self.refuse("Section overlap found")
            if size - total < length:
                self.refuse("Total section length too long")
            total += length
        if total != size:
            self.refuse("Unsupported section found")

    def _check_names(self) -> None:
        btf = self.btf
        if btf.names_at + btf.names_size != len(btf.data):
            self.refuse("String section is not at the end")
        if btf.names_size == 0 or btf.names_size - 1 > _MOST_NAME_OFFSET or btf.data[len(btf.data) - 1] != 0:
            self.refuse("Invalid string section")
        if btf.data[btf.names_at] != 0:
            self.refuse("Invalid string section")

    def _check_types(self) -> None:
        btf = self.btf
        at = self.types_at
        end = at + self.types_size
        while at < end:
            if btf.count() % _TYPES_OF_ROOM == 0:
                check_room_to_keep()
            if is_interrupted() or is_dying():
                raise Errno(EAGAIN)
            if end - at < TYPE_BYTES:
                self.refuse(f"[{btf.count()}] meta_left:{end - at} meta_needed:{TYPE_BYTES}")
            if btf.count() >= MOST_TYPES:
                self.refuse("Too many types", E2BIG)
            btf.places.append(at)
            btf.targets.append(0)
            btf.sizes.append(0)
            at += TYPE_BYTES + self._check_type(btf.count() - 1, end - at - TYPE_BYTES)
            pace(_LOOK_COST)

    # One type ---------------------------------------------------------------------------------------------------------

    def _check_type(self, number: int, left: int) -> int:
        """Check a type behind which there are `left` bytes. Returns how many of them are its own."""
        btf = self.btf
        if btf.word(btf.places[number] + 4) & ~_INFORMATION != 0:
            self.refuse(f"[{number}] Invalid btf_info")
        kind = btf.kind(number)
        if kind > ENUM64 or kind == 0:
            self.refuse(f"[{number}] Invalid kind:{kind}")
        if not btf.has_name(btf.named(number)):
            self.refuse(f"[{number}] Invalid name_offset:{btf.named(number)}")
        needed = _bytes_behind(kind, btf.length(number))
        if left < needed:
            self.refuse(f"[{number}] meta_left:{left} meta_needed:{needed}")
        if kind == INT:
            self._check_integer(number)
        elif kind == POINTER or kind in MODIFIERS:
            self._check_reference(number, kind)
        elif kind == ARRAY:
            self._check_array(number)
        elif kind == STRUCT or kind == UNION:
            self._check_struct(number, kind)
        elif kind == ENUM or kind == ENUM64:
            self._check_enum(number, needed // max(btf.length(number), 1))
        elif kind == FORWARD:
            self._check_plain(number, may_have_flag=True)
            if btf.operand(number) != 0:
                self.refuse(f"[{number}] type != 0")
            self._check_name(number, btf.named(number), is_needed=True)
        elif kind == FUNCTION:
            self._check_name(number, btf.named(number), is_needed=True)
            if btf.length(number) > _GLOBAL:
                self.refuse(f"[{number}] Invalid func linkage")
            self._check_flag(number)
        elif kind == PROTOTYPE:
            self._check_nameless(number)
            self._check_flag(number)
        elif kind == VARIABLE:
            self._check_variable(number)
        elif kind == SECTION:
            self._check_section(number)
        elif kind == FLOAT:
            self._check_plain(number)
            if btf.operand(number) not in _FLOATS:
                self.refuse(f"[{number}] Invalid type_size")
        else:
            self._check_tag(number)
        return needed

    def _check_plain(self, number: int, *, may_have_flag: bool = False) -> None:
        """It has no members, and no flag."""
        if self.btf.length(number) != 0:
            self.refuse(f"[{number}] vlen != 0")
        if not may_have_flag:
            self._check_flag(number)

    def _check_flag(self, number: int) -> None:
        if self.btf.has_flag(number):
            self.refuse(f"[{number}] Invalid btf_info kind_flag")

    def _check_nameless(self, number: int) -> None:
        if self.btf.named(number) != 0:
            self.refuse(f"[{number}] Invalid name")

    def _check_name(self, number: int, offset: int, *, is_needed: bool) -> None:
        """A name of C, which a type or a member has at an offset that exists; or none."""
        if offset == 0:
            if is_needed:
                self.refuse(f"[{number}] Invalid name")
            return
        if not is_identifier(self.btf, offset):
            self.refuse(f"[{number}] Invalid name")

    def _check_target(self, number: int, target: int, *, may_be_void: bool = False) -> None:
        """The number of a type that another refers to: whether there is one, turns out later."""
        if target > _MOST_NUMBER or (target == 0 and not may_be_void):
            self.refuse(f"[{number}] Invalid type_id")

    def _check_integer(self, number: int) -> None:
        btf = self.btf
        self._check_plain(number)
        word = btf.more(number, 0)
        if word & ~_INTEGER != 0:
            self.refuse(f"[{number}] Invalid int_data:{word:x}")
        bits = (word & 0xFF) + (word >> 16 & 0xFF)
        if bits > _MOST_BITS:
            self.refuse(f"[{number}] nr_bits exceeds {_MOST_BITS}")
        if bits + 7 >> 3 > btf.operand(number):
            self.refuse(f"[{number}] nr_bits exceeds type_size")
        if word >> 24 & 0xF not in _ENCODINGS:
            self.refuse(f"[{number}] Unsupported encoding", NOT_SUPPORTED)

    def _check_reference(self, number: int, kind: int) -> None:
        btf = self.btf
        self._check_plain(number)
        self._check_target(number, btf.operand(number), may_be_void=True)
        if kind == TYPEDEF:
            self._check_name(number, btf.named(number), is_needed=True)
        elif kind == TAG_OF_TYPE:
            if btf.data[btf.names_at + btf.named(number)] == 0:
                self.refuse(f"[{number}] Invalid name")
        else:
            self._check_nameless(number)

    def _check_array(self, number: int) -> None:
        self._check_nameless(number)
        self._check_plain(number)
        if self.btf.operand(number) != 0:
            self.refuse(f"[{number}] size != 0")
        self._check_target(number, self.btf.more(number, 0))
        self._check_target(number, self.btf.more(number, 1))

    def _check_struct(self, number: int, kind: int) -> None:
        btf = self.btf
        self._check_name(number, btf.named(number), is_needed=False)
        last = 0
        for index in range(btf.length(number)):
            name = btf.more(number, _MEMBER_WORDS * index)
            if not btf.has_name(name):
                self.refuse(f"[{number}] Invalid member name_offset:{name}")
            self._check_name(number, name, is_needed=False)
            self._check_target(number, btf.more(number, _MEMBER_WORDS * index + 1))
            bits = btf.more(number, _MEMBER_WORDS * index + 2)
            if btf.has_flag(number):
                bits &= 0xFF_FFFF
            if (kind == UNION and bits != 0) or last > bits:
                self.refuse(f"[{number}] Invalid member bits_offset")
            if bits + 7 >> 3 > btf.operand(number):
                self.refuse(f"[{number}] Member bits_offset exceeds its struct size")
            last = bits
            pace(_LOOK_COST)

    def _check_enum(self, number: int, bytes_each: int) -> None:
        btf = self.btf
        size = btf.operand(number)
        if size == 0 or size > 8 or size & size - 1 != 0:
            self.refuse(f"[{number}] Unexpected size")
        self._check_name(number, btf.named(number), is_needed=False)
        for index in range(btf.length(number)):
            name = btf.more(number, bytes_each // 4 * index)
            if not btf.has_name(name):
                self.refuse(f"[{number}] Invalid name_offset:{name}")
            self._check_name(number, name, is_needed=True)
            pace(_LOOK_COST)

    def _check_variable(self, number: int) -> None:
        btf = self.btf
        self._check_plain(number)
        self._check_name(number, btf.named(number), is_needed=True)
        self._check_target(number, btf.operand(number))
        if btf.more(number, 0) > _GLOBAL:
            self.refuse(f"[{number}] Linkage not supported")

    def _check_section(self, number: int) -> None:
        btf = self.btf
        size = btf.operand(number)
        if size == 0:
            self.refuse(f"[{number}] size == 0")
        self._check_flag(number)
        if btf.named(number) == 0 or not _is_printable(btf, btf.named(number)):
            self.refuse(f"[{number}] Invalid name")
        end = 0
        for index in range(btf.length(number)):
            self._check_target(number, btf.more(number, 3 * index))
            start = btf.more(number, 3 * index + 1)
            length = btf.more(number, 3 * index + 2)
            if start < end or start >= size:
                self.refuse(f"[{number}] Invalid offset")
            if length == 0 or length > size:
                self.refuse(f"[{number}] Invalid size")
            end = start + length
            if end > size:
                self.refuse(f"[{number}] Invalid offset+size")
            pace(_LOOK_COST)

    def _check_tag(self, number: int) -> None:
        btf = self.btf
        if btf.data[btf.names_at + btf.named(number)] == 0:
            self.refuse(f"[{number}] Invalid value")
        self._check_plain(number)
        member = btf.more(number, 0)
        if member >= 1 << 31 and member != 0xFFFF_FFFF:
            self.refuse(f"[{number}] Invalid component_idx")


def _bytes_behind(kind: int, length: int) -> int:
    """What follows a type that has that many members."""
    if kind == INT or kind == VARIABLE or kind == TAG_OF_DECLARATION:
        return 4
    if kind == ARRAY:
        return 12
    if kind == STRUCT or kind == UNION or kind == SECTION or kind == ENUM64:
        return 12 * length
    return 8 * length if kind == ENUM or kind == PROTOTYPE else 0


def is_identifier(btf: Btf, offset: int) -> bool:
    """Whether a name is one of C; dots count as letters."""
    name = btf.name(offset, _NAME + 1)
    if len(name) == 0 or len(name) > _NAME or ord("0") <= name[0] <= ord("9"):
        return False
    for octet in name:
        is_letter = ord("A") <= octet & ~0x20 <= ord("Z") or (octet >= 0xC0 and octet & ~0x20 != 0xD7)
        if not is_letter and octet != ord("_") and octet != ord(".") and not ord("0") <= octet <= ord("9"):
            return False
    pace(4 * len(name))
    return True


def _is_printable(btf: Btf, offset: int) -> bool:
    name = btf.name(offset, _NAME + 1)
    if len(name) == 0 or len(name) > _NAME:
        return False
    for octet in name:
        if not ord(" ") <= octet <= ord("~") and octet < 0xA0:
            return False
    pace(4 * len(name))
    return True
