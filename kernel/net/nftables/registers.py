"""Expressions that work on registers alone: immediate, cmp, range, bitwise, byteorder (nft(8)).

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, ERANGE, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32
from kernel.net.nftables.expression import (
    Expression,
    Loader,
    Run,
    put_register,
    read_register,
    register_loader,
    write_register,
)
from kernel.net.nftables.model import Chain
from kernel.net.nftables.values import Decision, load_bytes, load_value, put_bytes, put_decision

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_VERDICT_REGISTER: Final = 0

# cmp
_EQ: Final = 0
_NEQ: Final = 1
_LT: Final = 2
_LTE: Final = 3
_GT: Final = 4
_GTE: Final = 5

_BYTE_COST: Final = 10  # instructions


def _round(length: int) -> int:
    return (length + 3) & ~3


def _order(one: Span[u8], other: bytes) -> int:
    """Below 0, 0 or above 0 as `one` is below, equal to or above `other`; both have the same length in bytes."""
    for i in range(len(one)):
        if one[i] != other[i]:
            spend(i * _BYTE_COST)
            return one[i] - other[i]
    spend(len(one) * _BYTE_COST)
    return 0


@final
class Immediate(Expression):
    """Load a constant into a register."""

    def __init__(self, place: int, data: bytes) -> None:
        self.place: int = place
        self.data: bytes = data

    def name(self) -> bytes:
        return b"immediate"

    def evaluate(self, run: Run) -> None:
        run.set_bytes(self.place, self.data, _round(len(self.data)))

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put_bytes(writer, 2, self.data)


@final
class Verdict(Expression):
    """Set a verdict, in the register of verdicts."""

    def __init__(self, decision: Decision) -> None:
        self.decision: Decision = decision

    def name(self) -> bytes:
        return b"immediate"

    def evaluate(self, run: Run) -> None:
        run.verdict = self.decision.code
        run.target = self.decision.chain

    def put(self, writer: MessageWriter) -> None:
        put32(writer, 1, _VERDICT_REGISTER)
        put_decision(writer, 2, self.decision)

    def targets(self, generation: int) -> list[Chain]:
        chain = self.decision.chain
        return [] if chain is None else [chain]

    def take(self) -> None:
        self.decision.take()

    def release(self) -> None:
        self.decision.release()


@final
class _ImmediateLoader(Loader):
    def name(self) -> bytes:
        return b"immediate"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2):
            raise Errno(EINVAL)
        value = load_value(attributes, 2, loading)
        decision = value.decision
        if attributes.be32(1) == _VERDICT_REGISTER:
            if decision is None:
                raise Errno(EINVAL)
            return Verdict(decision)
        if decision is not None:
            raise Errno(EINVAL)
        return Immediate(write_register(attributes, 1, len(value.data)), value.data)


@final
class Comparison(Expression):
    """Compare a register with a constant."""

    def __init__(self, place: int, operation: int, data: bytes) -> None:
        self.place: int = place
        self.operation: int = operation
        self.data: bytes = data

    def name(self) -> bytes:
        return b"cmp"

    def evaluate(self, run: Run) -> None:
        order = _order(run.span(self.place, len(self.data)), self.data)
        operation = self.operation
        if operation == _EQ:
            holds = order == 0
        elif operation == _NEQ:
            holds = order != 0
        elif operation == _LT:
            holds = order < 0
        elif operation == _LTE:
            holds = order <= 0
        elif operation == _GT:
            holds = order > 0
        else:
            holds = order >= 0
        if not holds:
            run.stop()

    def is_like(self, other: Expression) -> bool:
        if not isinstance(other, Comparison):
            return False
        return self.place == other.place and self.operation == other.operation and self.data == other.data

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.operation)
        put_bytes(writer, 3, self.data)


@final
class _ComparisonLoader(Loader):
    def name(self) -> bytes:
        return b"cmp"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2) or not attributes.has(3):
            raise Errno(EINVAL)
        operation = attributes.be32(2)
        if operation > _GTE:
            raise Errno(EINVAL)
        data = load_bytes(attributes, 3, loading)
        return Comparison(read_register(attributes, 1, len(data)), operation, data)


@final
class Range(Expression):
    """Test whether a register lies between two constants."""

    def __init__(self, place: int, operation: int, first: bytes, last: bytes) -> None:
        self.place: int = place
        self.operation: int = operation
        self.first: bytes = first
        self.last: bytes = last

    def name(self) -> bytes:
        return b"range"

    def evaluate(self, run: Run) -> None:
        value = run.span(self.place, len(self.first))
        is_inside = _order(value, self.first) >= 0 and _order(value, self.last) <= 0
        if is_inside != (self.operation == _EQ):
            run.stop()

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.operation)
        put_bytes(writer, 3, self.first)
        put_bytes(writer, 4, self.last)


@final
class _RangeLoader(Loader):
    def name(self) -> bytes:
        return b"range"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2) or not attributes.has(3) or not attributes.has(4):
            raise Errno(EINVAL)
        first = load_bytes(attributes, 3, loading)
        last = load_bytes(attributes, 4, loading)
        if len(first) != len(last):
            raise Errno(EINVAL)
        place = read_register(attributes, 1, len(first))
        operation = attributes.be32(2)
        if operation > _NEQ:
            raise Errno(EINVAL)
        return Range(place, operation, first, last)


_MASK_XOR: Final = 0
_LEFT: Final = 1
_RIGHT: Final = 2
_WORD: Final = 0xFFFF_FFFF


@final
class Bitwise(Expression):
    """Mask and invert bits of a register with constants, or shift them. A shift takes each four bytes as a number in
    the machine's byte order, the first as the most significant.
    """

    def __init__(self, source: int, target: int, length: int, operation: int) -> None:
        self.source: int = source
        self.destination: int = target
        self.length: int = length
        self.operation: int = operation
        self.mask: bytes = b""
        self.inversion: bytes = b""
        self.shift: int = 0

    def name(self) -> bytes:
        return b"bitwise"

    def evaluate(self, run: Run) -> None:
        spend(self.length * _BYTE_COST)
        if self.operation == _MASK_XOR:
            source = run.span(self.source, self.length)
            target = run.span(self.destination, self.length)
            for i in range(self.length):
                target[i] = source[i] & self.mask[i] ^ self.inversion[i]
            return
        carry = 0
        words = _round(self.length) // 4
        if self.operation == _LEFT:
            for i in range(words - 1, -1, -1):
                word = run.word(self.source + 4 * i)
                run.set_word(self.destination + 4 * i, word << self.shift | carry)
                carry = word >> (32 - self.shift)
        else:
            for i in range(words):
                word = run.word(self.source + 4 * i)
                run.set_word(self.destination + 4 * i, carry | word >> self.shift)
                carry = word << (32 - self.shift) & _WORD

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.source)
        put_register(writer, 2, self.destination)
        put32(writer, 3, self.length)
        put32(writer, 6, self.operation)
        if self.operation == _MASK_XOR:
            put_bytes(writer, 4, self.mask)
            put_bytes(writer, 5, self.inversion)
        else:
            shift = bytearray(4)
            span_of(shift).store_u32(0, self.shift)
            put_bytes(writer, 7, bytes(shift))


@final
class _BitwiseLoader(Loader):
    def name(self) -> bytes:
        return b"bitwise"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2) or not attributes.has(3):
            raise Errno(EINVAL)
        length = attributes.be32(3)
        if length > 0xFF:
            raise Errno(ERANGE)
        source = read_register(attributes, 1, length)
        target = write_register(attributes, 2, length)
        operation = attributes.be32(6, _MASK_XOR)
        if operation > _RIGHT:
            raise Errno(EOPNOTSUPP)
        made = Bitwise(source, target, length, operation)
        if operation == _MASK_XOR:
            if attributes.has(7) or not attributes.has(4) or not attributes.has(5):
                raise Errno(EINVAL)
            made.mask = load_bytes(attributes, 4, loading)
            made.inversion = load_bytes(attributes, 5, loading)
            if len(made.mask) != length or len(made.inversion) != length:
                raise Errno(EINVAL)
            return made
        if attributes.has(4) or attributes.has(5) or not attributes.has(7):
            raise Errno(EINVAL)
        shift = load_bytes(attributes, 7, loading)
        if len(shift) != 4:
            raise Errno(EINVAL)
        made.shift = span_of(shift).load_u32(0)
        if not 0 < made.shift < 32:
            raise Errno(EINVAL)
        return made


@final
class ByteOrder(Expression):
    """Convert numbers of 2, 4 or 8 bytes from one byte order to the other."""

    def __init__(self, source: int, target: int, operation: int, length: int, size: int) -> None:
        self.source: int = source
        self.destination: int = target
        self.operation: int = operation
        self.length: int = length
        self.size: int = size

    def name(self) -> bytes:
        return b"byteorder"

    def evaluate(self, run: Run) -> None:
        size = self.size
        spend(self.length * _BYTE_COST)
        source = run.span(self.source, self.length).to_bytes()
        target = run.span(self.destination, self.length)
        for start in range(0, self.length - self.length % size, size):
            for i in range(size):
                target[start + i] = source[start + size - 1 - i]

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.source)
        put_register(writer, 2, self.destination)
        put32(writer, 3, self.operation)
        put32(writer, 4, self.length)
        put32(writer, 5, self.size)


@final
class _ByteOrderLoader(Loader):
    def name(self) -> bytes:
        return b"byteorder"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        for kind in range(1, 6):
            if not attributes.has(kind):
                raise Errno(EINVAL)
        operation = attributes.be32(3)
        size = attributes.be32(5)
        if operation > 1 or (size != 2 and size != 4 and size != 8):
            raise Errno(EINVAL)
        length = attributes.be32(4)
        if length > 0xFF:
            raise Errno(ERANGE)
        source = read_register(attributes, 1, length)
        return ByteOrder(source, write_register(attributes, 2, length), operation, length, size)


register_loader(_ImmediateLoader())
register_loader(_ComparisonLoader())
register_loader(_RangeLoader())
register_loader(_BitwiseLoader())
register_loader(_ByteOrderLoader())
