"""Expressions, the parts of rules; and the state of their evaluation.

A rule's expressions are evaluated in turn. They read the packet into registers, compare, and change; the first that
fails ends the rule (BREAK). One that decides sets a verdict.

There are sixteen registers of four bytes. Programs name them one by one (NFT_REG32_00 …), or in fours (NFT_REG_1 …);
here they are offsets in 64 bytes.

Context: evaluation is in thread context; nothing sleeps. Loading is in batches.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, ERANGE, Errno, Span, final, span_of, u8
from kernel.lib.pace import PACE, spend
from kernel.net.link.hooks import Place
from kernel.net.link.packet import Packet
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading
    from kernel.net.nftables.model import Chain

MOST_BEHIND: Final = 600_000  # with the budget of a stretch, and one rule more, below STRETCH_LIMIT
REGISTERS_SIZE: Final = 64
_FIRST_NARROW: Final = 8  # NFT_REG32_00
_LAST_NARROW: Final = 23
_LAST_WIDE: Final = 4  # NFT_REG_4

# Verdicts: NF_DROP, and those besides NF_ACCEPT, NF_STOLEN and NF_QUEUE.
_DROP: Final = 0
CONTINUE: Final = -1
BREAK: Final = -2
JUMP: Final = -3
GOTO: Final = -4
RETURN: Final = -5


@final
class Run:
    """A packet on its path through chains."""

    def __init__(self, packet: Packet, place: Place, generation: int, now_ns: int) -> None:
        self.packet: Packet = packet
        self.place: Place = place
        self.generation: int = generation
        self.now_ns: int = now_ns
        self.registers: bytearray = bytearray(REGISTERS_SIZE)
        self.verdict: int = CONTINUE
        self.target: Chain | None = None  # of JUMP and GOTO
        self.reroutes: bool = False  # an address or mark changed that routes depend on

    def stop(self) -> None:
        """End the rule: it does not match."""
        self.verdict = BREAK

    def affords(self, instructions: int) -> bool:
        """Spend that many. False: it was too much, and the packet is dropped."""
        spend(instructions)
        if PACE.left >= -MOST_BEHIND:
            return True
        self.verdict = _DROP
        return False

    def span(self, place: int, length: int) -> Span[u8]:
        """A span of registers."""
        return span_of(self.registers)[place : place + length]

    def set_word(self, place: int, value: int) -> None:
        """Store a number in the machine's byte order."""
        span_of(self.registers).store_u32(place, value & 0xFFFF_FFFF)

    def take_from_packet(self, place: int, start: int, length: int) -> None:
        """Load bytes of the packet's storage, with zeros up to the end of the last register."""
        if length & 3 != 0:
            self.set_word(place + (length & ~3), 0)
        self.span(place, length).copy_from(span_of(self.packet.storage)[start : start + length])

    def word(self, place: int) -> int:
        """The number at an offset."""
        return span_of(self.registers).load_u32(place)

    def set_short(self, place: int, value: int) -> None:
        """Store 16 bits in network byte order, and zeros up to the register's end."""
        span_of(self.registers).store_u32(place, 0)
        span_of(self.registers).store_be16(place, value & 0xFFFF)

    def set_byte(self, place: int, value: int) -> None:
        """Store 8 bits, and zeros up to the register's end."""
        span_of(self.registers).store_u32(place, value & 0xFF)

    def set_bytes(self, place: int, value: bytes, room: int) -> None:
        """Store bytes, and zeros until `room` is full."""
        target = span_of(self.registers)[place : place + room]
        target.fill(0)
        length = min(room, len(value))
        target[0:length].copy_from(span_of(value)[0:length])


class Expression:
    """Base of all expressions."""

    def name(self) -> bytes:
        """The name that programs use."""
        return b""

    def evaluate(self, run: Run) -> None:
        """Examine the packet. An expensive expression spends its cost, or asks `run.affords`. May raise MemoryError."""

    def is_like(self, other: "Expression") -> bool:
        """Whether it surely gives the same result as another one, however often: both look at registers or the packet,
        and change only registers.
        """
        return False

    def put(self, writer: MessageWriter) -> None:
        """Write the attributes from which it was created."""

    def has_attributes(self) -> bool:
        """Whether it has more than a name."""
        return True

    def check(self, base: "Chain", family: int) -> None:
        """Check whether it may be reached from a base chain. Raises EOPNOTSUPP if it cannot be used there."""

    def targets(self, generation: int) -> "list[Chain]":
        """The chains that it may lead to. Sleeps; raises MemoryError."""
        return []

    def start(self) -> None:
        """Its rule is being created: acquire what it needs. Raises MemoryError, with nothing done."""

    def finish(self) -> None:
        """Its rule is gone: release what it needed."""

    def take(self) -> None:
        """Its rule is in the next generation: count a reference to what it refers to."""

    def release(self) -> None:
        """Its rule has left: drop those references."""


class Stateful(Expression):
    """Base of those that count something. They may be in elements of sets, and under names of their own; there they
    are never nested.
    """

    def count(self, run: Run) -> None:
        """As `evaluate`."""

    def put_state(self, writer: MessageWriter) -> None:
        """As `put`."""

    def copy(self) -> "Stateful":
        """An expression of the same kind with a state of its own. Raises EOPNOTSUPP, MemoryError."""
        raise Errno(EOPNOTSUPP)

    def reset(self) -> None:
        """Start to count anew."""

    def evaluate(self, run: Run) -> None:
        self.count(run)

    def put(self, writer: MessageWriter) -> None:
        self.put_state(writer)


def _place_of(number: int) -> int:
    """The offset of a register; -1 for the one of verdicts. Raises ERANGE."""
    if number == 0:
        return -1
    if number <= _LAST_WIDE:
        return (number - 1) * 16
    if _FIRST_NARROW <= number <= _LAST_NARROW:
        return (number - _FIRST_NARROW) * 4
    raise Errno(ERANGE)


def read_register(attributes: Attributes, kind: int, length: int) -> int:
    """The offset of a register from which `length` bytes are read. Raises EINVAL, ERANGE."""
    attributes.blame(kind)
    place = _place_of(attributes.be32(kind))
    if place < 0 or length == 0:
        raise Errno(EINVAL)
    if place + length > REGISTERS_SIZE:
        raise Errno(ERANGE)
    return place


def write_register(attributes: Attributes, kind: int, length: int) -> int:
    """The offset of a register to which `length` bytes of data are written. Raises EINVAL, ERANGE."""
    attributes.blame(kind)
    place = _place_of(attributes.be32(kind))
    if place < 0 or length == 0:
        raise Errno(EINVAL)
    if place + length > REGISTERS_SIZE:
        raise Errno(ERANGE)
    return place


def put_register(writer: MessageWriter, kind: int, place: int) -> None:
    """Write a register's number as Linux shows it: in fours where possible."""
    put32(writer, kind, place // 16 + 1 if place & 15 == 0 else place // 4 + _FIRST_NARROW)


class Loader:
    """Creates the expressions of a kind. Base class."""

    def name(self) -> bytes:
        """The name of the kind."""
        return b""

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        """Create one from a program's attributes. Raises Errno, MemoryError; no reference is counted yet."""
        raise Errno(EOPNOTSUPP)


class StatefulLoader(Loader):
    """Creates expressions of a kind that counts something. Base class."""

    def load_state(self, attributes: Attributes) -> Stateful:
        """As `load`."""
        raise Errno(EOPNOTSUPP)

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        return self.load_state(attributes)


LOADERS: Final[dict[bytes, Loader]] = {}
STATEFUL_LOADERS: Final[dict[bytes, StatefulLoader]] = {}


def register_loader(loader: Loader) -> None:
    """While the kernel is built."""
    LOADERS[loader.name()] = loader


def register_stateful_loader(loader: StatefulLoader) -> None:
    """The same."""
    register_loader(loader)
    STATEFUL_LOADERS[loader.name()] = loader


def start_all(expressions: list[Expression]) -> None:
    """Start the expressions of a new rule. Raises MemoryError, with nothing done."""
    done = 0
    try:
        for expression in expressions:
            expression.start()
            done += 1
    except MemoryError:
        for i in range(done):
            expressions[i].finish()
        raise


def finish_all(expressions: list[Expression]) -> None:
    """The rule is gone: finish its expressions."""
    for expression in expressions:
        expression.finish()
