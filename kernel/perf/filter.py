"""Which records of a tracepoint an event looks at: conditions on their fields (Documentation/trace/events.rst, "Event
filtering").

    common_pid != 42 && (id == 0 || id == 1)

A condition compares a field with a number, by == != < <= > >= or by & (any bit in common), or an array of characters
with a text, by == != or ~ (with * and ?). They are joined by && and ||, turned round by !, and grouped by parentheses.
A filter is kept in postfix order, so that looking at a record needs no recursion; what is turned round says so itself.

Context: parsing in system calls, where it may sleep; `matches` wherever a tracepoint is, between two threads too: it
allocates nothing.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, EPERM, ESRCH, Errno, Span, final, span_of, u8
from kernel.lib.pace import pace
from kernel.perf.tracepoints import Field, Tracepoint
from kernel.perf.words import load_word

_EQUAL: Final = 0
_UNEQUAL: Final = 1
_LESS: Final = 2
_AT_MOST: Final = 3
_GREATER: Final = 4
_AT_LEAST: Final = 5
_HAS_BITS: Final = 6
_LIKE: Final = 7
_AND: Final = 8
_OR: Final = 9
_NOT: Final = 10
_OPEN: Final = 11  # a parenthesis, while parsing

_OPERATORS: Final[list[bytes]] = [b"==", b"!=", b"<=", b">=", b"<", b">", b"&", b"~"]
_MEANINGS: Final[list[int]] = [_EQUAL, _UNEQUAL, _AT_MOST, _AT_LEAST, _LESS, _GREATER, _HAS_BITS, _LIKE]
_PARSING_COST: Final = 6000  # instructions, of a condition
_DEEPEST: Final = 60  # results that wait, a bit each
_LEAST: Final = -(1 << 63)
_BLANKS: Final = b" \t\n"
_CONDITION_COST: Final = 100  # instructions
_CONDITION_BYTES: Final = 64  # that one takes, with its place and the head of its text
_BYTE_COST: Final = 50


@final
class Condition:
    """A condition, or what joins the last two results."""

    def __init__(self, operation: int, field: Field | None, number: int, text: bytes) -> None:
        self.operation: int = operation
        self.field: Field | None = field
        self.number: int = number
        self.text: bytes = text
        self.is_turned_round: bool = False  # its result, which is then the last one

    def holds(self, record: Span[u8]) -> bool:
        """Whether a record is so."""
        field = self.field
        if field is None or field.offset + field.size > len(record):
            return False
        if field.is_text():
            return self._holds_of_text(record[field.offset : field.offset + field.size])
        value = _value_of(field, record)
        number = self.number
        if self.operation == _EQUAL:
            return value == number
        if self.operation == _UNEQUAL:
            return value != number
        if self.operation == _HAS_BITS:
            return value & number != 0
        if not field.is_signed and field.size == 8:
            value ^= _LEAST
            number ^= _LEAST
        if self.operation == _LESS:
            return value < number
        if self.operation == _AT_MOST:
            return value <= number
        if self.operation == _GREATER:
            return value > number
        return value >= number

    def _holds_of_text(self, field: Span[u8]) -> bool:
        length = 0
        while length < len(field) and field[length] != 0:
            length += 1
        is_like = resembles(field[0:length], span_of(self.text), with_wildcards=self.operation == _LIKE)
        return is_like != (self.operation == _UNEQUAL)


def _value_of(field: Field, record: Span[u8]) -> int:
    if field.size == 8:
        return load_word(record, field.offset)
    if field.size == 4:
        value = record.load_u32(field.offset)
        return value - (1 << 32) if field.is_signed and value >= 1 << 31 else value
    if field.size == 2:
        return record.load_u16(field.offset)
    return record.load_u8(field.offset)


def resembles(text: Span[u8], pattern: Span[u8], with_wildcards: bool) -> bool:
    """Whether a text is like a pattern; in one with wildcards, * stands for any bytes and ? for one."""
    at = 0
    place = 0
    star = -1
    resume = 0
    while at < len(text):
        byte = pattern[place] if place < len(pattern) else 0
        if with_wildcards and place < len(pattern) and byte == ord("*"):
            star = place
            resume = at
            place += 1
        elif place < len(pattern) and (byte == text[at] or (with_wildcards and byte == ord("?"))):
            at += 1
            place += 1
        elif star >= 0:
            resume += 1
            at = resume
            place = star + 1
        else:
            return False
    while with_wildcards and place < len(pattern) and pattern[place] == ord("*"):
        place += 1
    return place == len(pattern)


@final
class Filter:
    """Conditions in postfix order."""

    def __init__(self, conditions: list[Condition]) -> None:
        self.conditions: list[Condition] = conditions
        self.cost: int = 0  # of looking at a record, in instructions
        self.held_bytes: int = 0
        for condition in conditions:
            self.cost += _CONDITION_COST + len(condition.text) * _BYTE_COST
            self.held_bytes += _CONDITION_BYTES + len(condition.text)

    def matches(self, record: Span[u8]) -> bool:
        """Whether a record is one to look at."""
        results = 0  # the last one in the lowest bit
        for condition in self.conditions:
            operation = condition.operation
            if operation == _AND:
                results = results >> 1 & ~1 | (results >> 1 & results & 1)
            elif operation == _OR:
                results = results >> 1 | results & 1
            else:
                results = results << 1 | (1 if condition.holds(record) else 0)
            if condition.is_turned_round:
                results ^= 1
        return results & 1 != 0


@final
class _Parser:
    """Reads a filter: operators wait until what they join is there."""

    def __init__(self, text: bytes, point: Tracepoint) -> None:
        self.text: bytes = text
        self.at: int = 0
        self.point: Tracepoint = point
        self.done: list[Condition] = []
        self.waiting: list[int] = []

    def parse(self) -> Filter:
        """Raises EINVAL, EPERM, ENOENT, ESRCH, MemoryError."""
        self._check_pairs()
        while True:
            self._skip_blanks()
            if self._takes(b"!"):
                self._wait(_NOT)
            elif self._takes(b"("):
                self._wait(_OPEN)
            else:
                self._take_condition()
                pace(_PARSING_COST)
                if not self._take_joint():
                    break
        self._join(_OPEN)
        if len(self.waiting) > 0:
            raise Errno(EINVAL)
        return Filter(self.done)

    def _check_pairs(self) -> None:
        """Whether parentheses and quotes come in pairs. That they do not, Linux says with numbers of its own, which
        programs see as EPERM, ENOENT and ESRCH.
        """
        depth = 0
        is_quoted = False
        for byte in self.text:
            if byte == ord('"'):
                is_quoted = not is_quoted
            elif is_quoted:
                continue
            elif byte == ord("("):
                depth += 1
            elif byte == ord(")"):
                depth -= 1
                if depth < 0:
                    raise Errno(EPERM)
        if is_quoted:
            raise Errno(ESRCH)
        if depth > 0:
            raise Errno(ENOENT)

    def _take_joint(self) -> bool:
        """What comes after a condition. False at the end."""
        while True:
            self._skip_blanks()
            if self.at >= len(self.text):
                return False
            if self._takes(b")"):
                self._join(_OPEN)
                if len(self.waiting) == 0:
                    raise Errno(EINVAL)
                self.waiting.pop()
            elif self._takes(b"&&"):
                self._join(_AND)
                self._wait(_AND)
                return True
            elif self._takes(b"||"):
                self._join(_OR)
                self._wait(_OR)
                return True
            else:
                raise Errno(EPERM)  # more than a condition

    def _wait(self, operation: int) -> None:
        if len(self.waiting) >= _DEEPEST // 2:
            raise Errno(EINVAL)
        self.waiting.append(operation)

    def _join(self, operation: int) -> None:
        """Operators that bind as closely as one that comes, or more closely, have all that they join."""
        while len(self.waiting) > 0:
            last = self.waiting[len(self.waiting) - 1]
            if last == _OPEN or (operation == _AND and last == _OR):
                return
            self.waiting.pop()
            if last == _NOT:
                turned = self.done[len(self.done) - 1]
                turned.is_turned_round = not turned.is_turned_round
            else:
                self.done.append(Condition(last, None, 0, b""))

    def _take_condition(self) -> None:
        if self.at < len(self.text) and not _is_of_word(self.text[self.at]):
            raise Errno(EPERM)
        name = self._take_word()
        field = self.point.field(name)
        if field is None or field.declaration.startswith(b"__data_loc"):
            raise Errno(EINVAL)
        self._skip_blanks()
        operation = self._take_operation()
        self._skip_blanks()
        if field.is_text():
            if operation not in (_EQUAL, _UNEQUAL, _LIKE):
                raise Errno(EINVAL)
            self.done.append(Condition(operation, field, 0, self._take_text()))
        else:
            if operation == _LIKE or field.size > 8:
                raise Errno(EINVAL)
            self.done.append(Condition(operation, field, _number(self._take_word()), b""))

    def _take_operation(self) -> int:
        for i in range(len(_OPERATORS)):
            if self._takes(_OPERATORS[i]):
                return _MEANINGS[i]
        raise Errno(EINVAL)

    def _take_word(self) -> bytes:
        start = self.at
        while self.at < len(self.text) and _is_of_word(self.text[self.at]):
            self.at += 1
        if self.at == start:
            raise Errno(EINVAL)
        return self.text[start : self.at]

    def _take_text(self) -> bytes:
        if not self._takes(b'"'):
            return self._take_word()
        end = self.text.find(b'"', self.at)
        if end < 0:
            raise Errno(EINVAL)
        text = self.text[self.at : end]
        self.at = end + 1
        return text

    def _takes(self, text: bytes) -> bool:
        if self.text[self.at : self.at + len(text)] != text:
            return False
        self.at += len(text)
        return True

    def _skip_blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _BLANKS:
            self.at += 1


def _is_of_word(byte: int) -> bool:
    if ord("a") <= byte <= ord("z") or ord("A") <= byte <= ord("Z") or ord("0") <= byte <= ord("9"):
        return True
    return byte == ord("_") or byte == ord("-") or byte == ord(".") or byte == ord("*") or byte == ord("?")


def _number(text: bytes) -> int:
    """A number, decimal or hexadecimal. Raises EINVAL."""
    is_negative = text.startswith(b"-")
    digits = text[1:] if is_negative else text
    base = 10
    if digits.startswith(b"0x") or digits.startswith(b"0X"):
        digits = digits[2:]
        base = 16
    if len(digits) == 0 or len(digits) > 18:
        raise Errno(EINVAL)
    value = 0
    for byte in digits:
        digit = 99
        if ord("0") <= byte <= ord("9"):
            digit = byte - ord("0")
        elif ord("a") <= byte <= ord("f"):
            digit = byte - ord("a") + 10
        elif ord("A") <= byte <= ord("F"):
            digit = byte - ord("A") + 10
        if digit >= base or value > 1 << 58:
            raise Errno(EINVAL)
        value = value * base + digit
    return -value if is_negative else value


def parse_filter(text: bytes, point: Tracepoint) -> Filter:
    """A filter for records of a tracepoint. Raises EINVAL, EPERM, ENOENT, ESRCH (what makes no sense), MemoryError."""
    return _Parser(text, point).parse()
