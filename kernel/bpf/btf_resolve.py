"""What the types of a description refer to: that there are such types, that none contains itself, and that the members
of a struct lie inside it.

A type is followed to what it is in the end, by a stack of types that are not settled yet. A struct or an array settles
the structs and arrays in it, not what its pointers point to; a pointer settles the pointers and modifiers that it leads
to. So a struct may have a pointer to itself.

Context: takes safe points. Raises EINVAL, E2BIG, EEXIST, ELOOP, and says why in the log; EAGAIN for a signal,
MemoryError.
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
    MISSING,
    MODIFIERS,
    POINTER,
    PROTOTYPE,
    SECTION,
    TAG_OF_TYPE,
    TYPEDEF,
    VARIABLE,
    VOID,
    Btf,
    has_no_size,
    is_struct,
    needs_resolution,
    only_refers,
)
from kernel.bpf.btf_check import is_identifier
from kernel.bpf.log import Log
from kernel.lang import E2BIG, EAGAIN, EEXIST, EINVAL, ELOOP, Errno, final
from kernel.lib.pace import is_dying, is_interrupted, pace

_NEW: Final = 0
_BEGUN: Final = 1
_SETTLED: Final = 2
_MOST_DEPTH: Final = 32
_UNDECIDED: Final = 0  # what kind of type the look began with
_POINTERS: Final = 1
_CONTAINERS: Final = 2
_MOST_SIZE: Final = 0xFFFF_FFFF
_MOST_COPIED: Final = 128  # bits of a field, from the byte on where it begins
_LOOK_COST: Final = 500
_INT_BITS: Final = 32
_OPAQUE: Final[list[int]] = [VOID, FORWARD, PROTOTYPE]  # what pointers and modifiers may lead to beside sized types


@final
class Resolution:
    """A look at what types refer to."""

    def __init__(self, btf: Btf, log: Log) -> None:
        """Raises MemoryError."""
        self.btf: Btf = btf
        self.log: Log = log
        self.states: bytearray = bytearray(btf.count())
        self.stack: list[int] = []
        self.next_members: list[int] = []  # of each type of the stack: how far its members are looked at
        self.mode: int = _UNDECIDED

    def run(self) -> None:
        """Check all types."""
        btf = self.btf
        for number in range(1, btf.count()):
            if is_interrupted() or is_dying():
                raise Errno(EAGAIN)
            kind = btf.kind(number)
            if needs_resolution(kind) and self.states[number] != _SETTLED:
                self._settle(number)
            if kind == PROTOTYPE:
                self._check_prototype(number)
            pace(_LOOK_COST)
        self._check_tags()

    def _refuse(self, number: int, text: str, code: int = EINVAL) -> None:
        self.log.say(f"[{number}] {text}")
        raise Errno(code)

    # The walk ---------------------------------------------------------------------------------------------------------

    def _settle(self, number: int) -> None:
        self.mode = _UNDECIDED
        self._push(number, number)
        while len(self.stack) > 0:
            top = self.stack[len(self.stack) - 1]
            kind = self.btf.kind(top)
            if kind in MODIFIERS or kind == POINTER or kind == VARIABLE:
                self._follow(top, kind)
            elif kind == ARRAY:
                self._follow_array(top)
            elif is_struct(kind):
                self._follow_struct(top)
            elif kind == SECTION:
                self._follow_section(top)
            elif kind == FUNCTION:
                self._check_function(top)
            else:
                self._follow_tag(top)
            pace(_LOOK_COST)

    def _push(self, number: int, begun: int) -> None:
        if len(self.stack) == _MOST_DEPTH:
            self._refuse(begun, f"Exceeded max resolving depth:{_MOST_DEPTH}", E2BIG)
        if self.states[number] != _NEW:
            self._refuse(begun, "Loop detected", EEXIST)
        self.states[number] = _BEGUN
        self.stack.append(number)
        self.next_members.append(0)
        if self.mode == _UNDECIDED:
            kind = self.btf.kind(number)
            if kind == POINTER:
                self.mode = _POINTERS
            elif is_struct(kind) or kind == ARRAY:
                self.mode = _CONTAINERS

    def _pop(self, target: int, size: int) -> None:
        """The type on top is settled."""
        number = self.stack.pop()
        self.next_members.pop()
        self.btf.targets[number] = target
        self.btf.sizes[number] = size
        self.states[number] = _SETTLED

    def _must_wait(self, number: int) -> bool:
        """Whether a type must be settled before one that refers to it. If so, it is next."""
        if self.btf.kind(number) <= VOID or self._ends(number) or self.states[number] == _SETTLED:
            return False
        self._push(number, self.stack[0])
        return True

    def _ends(self, number: int) -> bool:
        """Whether the look stops at a type."""
        kind = self.btf.kind(number)
        if self.mode == _POINTERS:
            return kind not in MODIFIERS and kind != POINTER
        if self.mode == _CONTAINERS:
            return kind not in MODIFIERS and kind != ARRAY and not is_struct(kind)
        return not needs_resolution(kind)

    # Kinds of types ---------------------------------------------------------------------------------------------------

    def _follow(self, number: int, kind: int) -> None:
        """A modifier, a pointer or a variable."""
        btf = self.btf
        target = btf.operand(number)
        found = btf.kind(target)
        if found == MISSING or only_refers(found):
            self._refuse(number, "Invalid type_id")
        if self._must_wait(target):
            return
        if kind not in MODIFIERS and found in MODIFIERS:
            # It may have been settled up to a pointer only, which may lead back here.
            end = btf.targets[target]
            if btf.kind(end) == POINTER and self._must_wait(end):
                return
        end = btf.sized(target)
        if end == MISSING:
            end = btf.targets[target] if target != 0 and self.states[target] == _SETTLED else target
            if kind == VARIABLE or btf.kind(end) not in _OPAQUE:
                self._refuse(number, "Invalid type_id")
        self._pop(end, 0)

    def _follow_array(self, number: int) -> None:
        btf = self.btf
        index = btf.more(number, 1)
        if has_no_size(btf.kind(index)) or only_refers(btf.kind(index)):
            self._refuse(number, "Invalid index")
        if self._must_wait(index):
            return
        end = btf.sized(index)
        if end == MISSING or btf.kind(end) != INT or not btf.is_regular(end):
            self._refuse(number, "Invalid index")
        element = btf.more(number, 0)
        if has_no_size(btf.kind(element)) or only_refers(btf.kind(element)):
            self._refuse(number, "Invalid elem")
        if self._must_wait(element):
            return
        end = btf.sized(element)
        if end == MISSING:
            self._refuse(number, "Invalid elem")
        if btf.kind(end) == INT and not btf.is_regular(end):
            self._refuse(number, "Invalid array of int")
        count = btf.more(number, 2)
        size = btf.size(end)
        if count != 0 and size > _MOST_SIZE // count:
            self._refuse(number, "Array size overflows U32_MAX")
        self._pop(end, size * count)

    def _follow_struct(self, number: int) -> None:
        btf = self.btf
        at = len(self.stack) - 1
        index = self.next_members[at]
        while index < btf.length(number):
            member = btf.more(number, 3 * index + 1)
            kind = btf.kind(member)
            if has_no_size(kind) or only_refers(kind):
                self._refuse(number, "Invalid member")
            if self._must_wait(member):
                self.next_members[at] = index  # it is looked at again when that is settled
                return
            self._check_member(number, member, btf.more(number, 3 * index + 2))
            index += 1
            pace(_LOOK_COST)
        self._pop(0, 0)

    def _follow_section(self, number: int) -> None:
        btf = self.btf
        at = len(self.stack) - 1
        index = self.next_members[at]
        while index < btf.length(number):
            variable = btf.more(number, 3 * index)
            if btf.kind(variable) != VARIABLE:
                self._refuse(number, "Not a VAR kind member")
            if self._must_wait(variable):
                # Linux does not look at its size any more.
                self.next_members[at] = index + 1
                return
            end = btf.sized(btf.operand(variable))
            if end == MISSING:
                self._refuse(number, "Invalid type")
            if btf.more(number, 3 * index + 2) < btf.size(end):
                self._refuse(number, "Invalid size")
            index += 1
            pace(_LOOK_COST)
        self._pop(0, 0)

    def _follow_tag(self, number: int) -> None:
        btf = self.btf
        target = btf.operand(number)
        kind = btf.kind(target)
        if kind != FUNCTION and kind != VARIABLE and kind != TYPEDEF and not is_struct(kind):
            self._refuse(number, "Invalid type_id")
        if self._must_wait(target):
            return
        member = btf.more(number, 0)
        if member != 0xFFFF_FFFF:
            if kind == VARIABLE or kind == TYPEDEF:
                self._refuse(number, "Invalid component_idx")
            whole = target if is_struct(kind) else btf.operand(target)
            if member >= btf.length(whole):
                self._refuse(number, "Invalid component_idx")
        self._pop(target, 0)

    def _check_function(self, number: int) -> None:
        btf = self.btf
        prototype = btf.operand(number)
        if btf.kind(prototype) != PROTOTYPE:
            self._refuse(number, "Invalid type_id")
        for index in range(btf.length(prototype)):
            if btf.more(prototype, 2 * index) == 0 and btf.more(prototype, 2 * index + 1) != 0:
                self._refuse(number, f"Invalid arg#{index + 1}")
            pace(_LOOK_COST)
        self._pop(prototype, 0)

    def _check_prototype(self, number: int) -> None:
        btf = self.btf
        result = btf.operand(number)
        if result != 0 and not self._has_value(result):
            self._refuse(number, "Invalid return type")
        count = btf.length(number)
        if count > 0 and btf.more(number, 2 * count - 1) == 0:
            if btf.more(number, 2 * count - 2) != 0:
                self._refuse(number, f"Invalid arg#{count}")
            count -= 1
        for index in range(count):
            name = btf.more(number, 2 * index)
            if name != 0 and not (btf.has_name(name) and is_identifier(btf, name)):
                self._refuse(number, f"Invalid arg#{index + 1}")
            if not self._has_value(btf.more(number, 2 * index + 1)):
                self._refuse(number, f"Invalid arg#{index + 1}")
            pace(_LOOK_COST)

    def _has_value(self, number: int) -> bool:
        """Whether a type is one of arguments and results: it has a size."""
        kind = self.btf.kind(number)
        if kind == MISSING or only_refers(kind):
            return False
        if needs_resolution(kind) and self.states[number] != _SETTLED:
            self._settle(number)
        return not has_no_size(kind) and self.btf.sized(number) != MISSING

    # Members ----------------------------------------------------------------------------------------------------------

    def _check_member(self, struct: int, member: int, place: int) -> None:
        """Check that a member lies in its struct. `place` is the third word about it."""
        btf = self.btf
        end = btf.sized(member)
        if end == MISSING:
            self._refuse(struct, "Invalid member")
        kind = btf.kind(end)
        bits, at = 0, place
        if btf.has_flag(struct):
            bits, at = place >> 24, place & 0xFF_FFFF
        if kind == INT:
            self._check_integer(struct, end, bits, at)
            return
        if kind == ENUM or kind == ENUM64:
            if btf.has_flag(struct):
                self._check_enum(struct, bits, at)
                return
        elif bits != 0:
            self._refuse(struct, "Invalid member bitfield_size")
        unit = 8 * min(8, btf.operand(end)) if kind == FLOAT else 8
        if at % unit != 0:
            self._refuse(struct, "Member is not byte aligned")
        if (at >> 3) + btf.size(end) > btf.operand(struct):
            self._refuse(struct, "Member exceeds struct_size")

    def _check_integer(self, struct: int, integer: int, bits: int, at: int) -> None:
        btf = self.btf
        word = btf.more(integer, 0)
        if btf.has_flag(struct):
            if not btf.is_regular(integer):
                self._refuse(struct, "Invalid member base type")
            if bits == 0 and at & 7 != 0:
                self._refuse(struct, "Invalid member offset")
            if bits > word & 0xFF:
                self._refuse(struct, "Invalid member bitfield_size")
            bits = word & 0xFF if bits == 0 else bits
        else:
            bits = word & 0xFF
            at += word >> 16 & 0xFF
            if at > _MOST_SIZE:
                self._refuse(struct, "bits_offset exceeds U32_MAX")
        copied = bits + (at & 7)
        if copied > _MOST_COPIED:
            self._refuse(struct, "nr_copy_bits exceeds 128")
        if (at >> 3) + (copied + 7 >> 3) > btf.operand(struct):
            self._refuse(struct, "Member exceeds struct_size")

    def _check_enum(self, struct: int, bits: int, at: int) -> None:
        if bits == 0 and at & 7 != 0:
            self._refuse(struct, "Member is not byte aligned")
        if bits > _INT_BITS:
            self._refuse(struct, "Invalid member bitfield_size")
        if at + (_INT_BITS if bits == 0 else bits) + 7 >> 3 > self.btf.operand(struct):
            self._refuse(struct, "Member exceeds struct_size")

    # Tags of types ----------------------------------------------------------------------------------------------------

    def _check_tags(self) -> None:
        """Check that tags come before other modifiers."""
        btf = self.btf
        good = 0
        for number in range(1, btf.count()):
            if btf.kind(number) not in MODIFIERS:
                continue
            in_tags = btf.kind(number) == TAG_OF_TYPE
            at = number
            left = _MOST_DEPTH
            while btf.kind(at) in MODIFIERS:
                if left == 0:
                    self._refuse(number, "Max chain length or cycle detected", ELOOP)
                left -= 1
                if btf.kind(at) != TAG_OF_TYPE:
                    in_tags = False
                elif not in_tags:
                    self._refuse(number, "Type tags don't precede modifiers")
                if at <= good:
                    break
                at = btf.operand(at)
                pace(_LOOK_COST)
            good = number
