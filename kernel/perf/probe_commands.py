"""The lines of tracefs's `uprobe_events`, which describe probes of programs.

    p[:[GROUP/][EVENT]] PATH:OFFSET[(COUNTER)] [ARGUMENT…]      r…  at the function's return      -:[GROUP/][EVENT]

An argument is [NAME=]FETCH[:TYPE], where FETCH is a register (%di), the return value ($retval), the stack ($stack,
$stackN), the thread's name ($comm), an immediate number (\\N), memory at an address (@ADDRESS), or memory at another
FETCH plus a number: +N(FETCH), -N(FETCH). Types are u8 to u64, s8 to s64, x8 to x64, and string.

Deviation from Linux: no bit fields, arrays, symbols, nor places in the file (@+OFFSET); they are EINVAL.

Context: system calls; pure.
Source: Documentation/trace/uprobetracer.rst.
"""

from typing import Final

from arch import PROBED_REGISTERS
from kernel.lang import E2BIG, EINVAL, Errno, final

REGISTER: Final = 0
STACK: Final = 1  # a word of the stack
STACK_POINTER: Final = 2
RETURN_VALUE: Final = 3
THREAD_NAME: Final = 4
NUMBER: Final = 5
MEMORY: Final = 6  # at an address

MOST_ARGUMENTS: Final = 128
_MOST_LEVELS: Final = 8  # Linux: as many as instructions fit
_NAME_BYTES: Final = 64
_MOST_STACK: Final = 4096
_BITS: Final[list[int]] = [8, 16, 32, 64]
_ZERO: Final = ord("0")
_NINE: Final = ord("9")
_SMALL: Final = 0x20  # makes letters small
_DEFAULT_GROUP: Final = b"uprobes"


@final
class Fetch:
    """One argument."""

    def __init__(self, name: bytes, text: bytes) -> None:
        self.name: bytes = name
        self.text: bytes = text  # as it was written
        self.kind: int = REGISTER
        self.value: int = 0  # a register, a number, an address
        self.offsets: list[int] = []  # to follow, the innermost first
        self.letter: bytes = b"x"  # u, s or x
        self.size: int = 8  # bytes
        self.is_text: bool = False

    def field_bytes(self) -> int:
        """What it takes in a record, beside its text."""
        return 4 if self.is_text else self.size


@final
class ProbeCommand:
    """A line, taken apart."""

    def __init__(self) -> None:
        self.deletes: bool = False
        self.is_return: bool = False
        self.group: bytes = _DEFAULT_GROUP
        self.event: bytes = b""
        self.path: bytes = b""
        self.offset: int = 0
        self.counter: int = 0
        self.arguments: list[Fetch] = []


def parse(line: bytes) -> ProbeCommand:
    """Take a line apart. Raises EINVAL, E2BIG (too many arguments), MemoryError."""
    words = line.split()
    if len(words) == 0:
        raise Errno(EINVAL)
    found = ProbeCommand()
    head = words[0]
    kind = head[0:1]
    if kind == b"-":
        found.deletes = True
        if head[1:2] != b":" or len(words) > 1:
            raise Errno(EINVAL)
        _take_name(found, head[2:])
        if len(found.event) == 0:
            raise Errno(EINVAL)
        return found
    if kind != b"p" and kind != b"r":
        raise Errno(EINVAL)
    found.is_return = kind == b"r"
    if len(head) > 1:
        if head[1:2] != b":":
            raise Errno(EINVAL)
        _take_name(found, head[2:])
    if len(words) < 2:
        raise Errno(EINVAL)
    _take_place(found, words[1])
    if len(words) - 2 > MOST_ARGUMENTS:
        raise Errno(E2BIG)
    if len(found.event) == 0:
        found.event = _name_for(found)
    for number in range(2, len(words)):
        found.arguments.append(_argument(words[number], number - 1, found))
    return found


def _take_name(found: ProbeCommand, text: bytes) -> None:
    at = text.find(b"/")
    if at < 0:
        at = text.find(b".")
    if at >= 0:
        found.group = text[:at]
        _check_name(found.group)
        text = text[at + 1 :]
    if len(text) > 0:
        _check_name(text)
    found.event = text


def _check_name(name: bytes) -> None:
    if not 0 < len(name) < _NAME_BYTES or name[0:1].isdigit():
        raise Errno(EINVAL)
    for byte in name:
        if not (_ZERO <= byte <= _NINE or ord("a") <= byte | _SMALL <= ord("z") or byte == ord("_")):
            raise Errno(EINVAL)


def _take_place(found: ProbeCommand, text: bytes) -> None:
    at = text.rfind(b":")
    if at <= 0:
        raise Errno(EINVAL)
    found.path = text[:at]
    place = text[at + 1 :]
    bracket = place.find(b"(")
    if bracket >= 0:
        if not place.endswith(b")"):
            raise Errno(EINVAL)
        found.counter = _number(place[bracket + 1 : -1])
        place = place[:bracket]
    if place.endswith(b"%return"):
        found.is_return = True
        place = place[:-7]
    found.offset = _number(place)


def _name_for(found: ProbeCommand) -> bytes:
    """What Linux calls an event without a name."""
    tail = found.path[found.path.rfind(b"/") + 1 :]
    end = len(tail)
    for index in range(len(tail)):
        if tail[index] in b".-_":
            end = index
            break
    return (b"p_" + tail[:end] + f"_0x{found.offset:x}".encode())[: _NAME_BYTES - 1]


def _number(text: bytes) -> int:
    """A number as C writes it, without a sign."""
    base = 10
    if text.startswith(b"0x") or text.startswith(b"0X"):
        base = 16
        text = text[2:]
    elif len(text) > 1 and text.startswith(b"0"):
        base = 8
        text = text[1:]
    if not 0 < len(text) <= 20:
        raise Errno(EINVAL)
    value = 0
    for byte in text:
        letter = byte | _SMALL
        digit = base
        if _ZERO <= byte <= _NINE:
            digit = byte - _ZERO
        elif ord("a") <= letter <= ord("f"):
            digit = letter - ord("a") + 10
        if digit >= base or value >= 1 << 58:
            raise Errno(EINVAL)
        value = value * base + digit
    return value


def _argument(text: bytes, number: int, command: ProbeCommand) -> Fetch:
    name = f"arg{number}".encode()
    at = text.find(b"=")
    if at >= 0:
        name = text[:at]
        text = text[at + 1 :]
        _check_name(name)
    for other in command.arguments:
        if other.name == name:
            raise Errno(EINVAL)
    found = Fetch(name, text)
    colon = text.rfind(b":")
    source = text
    if colon >= 0:
        _take_type(found, text[colon + 1 :])
        source = text[:colon]
    _take_source(found, source, command)
    if found.kind == THREAD_NAME:
        if colon >= 0 and not found.is_text:
            raise Errno(EINVAL)
        found.is_text = True
    elif found.is_text and len(found.offsets) == 0 and found.kind != MEMORY:
        raise Errno(EINVAL)
    return found


def _take_type(found: Fetch, text: bytes) -> None:
    if text == b"string":
        found.is_text = True
        return
    letter = text[0:1]
    if letter not in (b"u", b"s", b"x"):
        raise Errno(EINVAL)
    bits = _number(text[1:])
    if bits not in _BITS:
        raise Errno(EINVAL)
    found.letter = letter
    found.size = bits >> 3


def _take_source(found: Fetch, text: bytes, command: ProbeCommand) -> None:
    """Where it comes from, from the outside in."""
    while text[0:1] == b"+" or text[0:1] == b"-":
        at = text.find(b"(")
        if at < 0 or not text.endswith(b")"):
            raise Errno(EINVAL)
        if len(found.offsets) >= _MOST_LEVELS:
            raise Errno(E2BIG)
        digits = text[1:at]
        if digits[0:1] == b"u":
            digits = digits[1:]
        value = _number(digits)
        found.offsets.append(value if text[0:1] == b"+" else -value)
        text = text[at + 1 : -1]
    found.offsets.reverse()
    if text[0:1] == b"%":
        if text[1:] not in PROBED_REGISTERS:
            raise Errno(EINVAL)
        found.kind = REGISTER
        found.value = PROBED_REGISTERS.index(text[1:])
    elif text == b"$comm" or text == b"$COMM":
        found.kind = THREAD_NAME
        if len(found.offsets) > 0:
            raise Errno(EINVAL)
    elif text == b"$retval" and command.is_return:
        found.kind = RETURN_VALUE
    elif text == b"$stack":
        found.kind = STACK_POINTER
    elif text.startswith(b"$stack"):
        found.kind = STACK
        found.value = _number(text[6:])
        if found.value >= _MOST_STACK:
            raise Errno(EINVAL)
    elif text[0:1] == b"\\":
        found.kind = NUMBER
        found.value = _number(text[1:])
    elif text[0:1] == b"@":
        found.kind = MEMORY
        found.value = _number(text[1:])
    else:
        raise Errno(EINVAL)
