"""Expressions with a state: counter, limit, quota, last; and numgen, which numbers packets (nft(8)).

Each may be in a rule, in the elements of a set, or, except `last`, under a name of its own.

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, EOVERFLOW, ERANGE, Errno, final
from kernel.lib import random
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32, put64
from kernel.net.nftables.expression import (
    Expression,
    Loader,
    Run,
    Stateful,
    StatefulLoader,
    put_register,
    register_loader,
    register_stateful_loader,
    write_register,
)
from kernel.time import monotonic_ns

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_MOST: Final = (1 << 63) - 1
_WORD: Final = 0xFFFF_FFFF
_SECOND_NS: Final = 1_000_000_000
_MILLISECOND_NS: Final = 1_000_000
_INVERTED: Final = 1
_DEPLETED: Final = 2

# Kinds of named objects (NFT_OBJECT_*).
OBJECT_COUNTER: Final = 1
OBJECT_QUOTA: Final = 2
OBJECT_LIMIT: Final = 4


def _length(run: Run) -> int:
    return run.packet.end - run.packet.network_start


@final
class Counter(Stateful):
    """Counts packets and their bytes."""

    def __init__(self, packets: int, size: int) -> None:
        self.packets: int = packets
        self.bytes: int = size

    def name(self) -> bytes:
        return b"counter"

    def count(self, run: Run) -> None:
        self.packets = min(self.packets, _MOST - 1) + 1
        self.bytes = (self.bytes & _MOST >> 1) + _length(run)

    def put_state(self, writer: MessageWriter) -> None:
        put64(writer, 1, self.bytes)
        put64(writer, 2, self.packets)

    def copy(self) -> Stateful:
        return Counter(self.packets, self.bytes)

    def reset(self) -> None:
        self.packets = 0
        self.bytes = 0


@final
class _CounterLoader(StatefulLoader):
    def name(self) -> bytes:
        return b"counter"

    def load_state(self, attributes: Attributes) -> Stateful:
        return Counter(attributes.be64(2), attributes.be64(1))


_BY_PACKETS: Final = 0
_BY_BYTES: Final = 1
_DEFAULT_BURST: Final = 5
_MOST_UNIT_S: Final = 1 << 32


def _share(time_ns: int, count: int, rate: int) -> int:
    """`time_ns * count // rate`, or close to it, where the product is too large."""
    if count == 0 or time_ns <= _MOST // count:
        return time_ns * count // rate
    part = time_ns // rate
    return _MOST if part != 0 and count > _MOST // part else part * count


@final
class Limit(Stateful):
    """Holds for that many packets or bytes in a time, and a burst more."""

    def __init__(self, rate: int, unit_s: int, burst: int, kind: int, flags: int) -> None:
        self.rate: int = rate
        self.unit_s: int = unit_s
        self.burst: int = burst
        self.kind: int = kind
        self.flags: int = flags
        span_ns = unit_s * _SECOND_NS
        if kind == _BY_PACKETS:
            self.most_ns: int = min(span_ns // rate, _MOST // max(burst, 1)) * burst
        else:
            self.most_ns = _share(span_ns, rate + burst, rate)
        self.left_ns: int = self.most_ns  # the credit; a packet costs its share of the time
        self.last_ns: int = 0

    def name(self) -> bytes:
        return b"limit"

    def count(self, run: Run) -> None:
        count = 1 if self.kind == _BY_PACKETS else _length(run)
        cost = _share(self.unit_s * _SECOND_NS, count, self.rate)
        passed_ns = max(run.now_ns - self.last_ns, 0) if self.last_ns != 0 else 0
        left = self.left_ns + min(passed_ns, self.most_ns - self.left_ns)
        self.last_ns = run.now_ns
        is_over = left < cost
        self.left_ns = left if is_over else left - cost
        if is_over != (self.flags & _INVERTED != 0):
            run.stop()

    def put_state(self, writer: MessageWriter) -> None:
        put64(writer, 1, self.rate)
        put64(writer, 2, self.unit_s)
        put32(writer, 3, self.burst)
        put32(writer, 4, self.kind)
        put32(writer, 5, self.flags & _INVERTED)

    def copy(self) -> Stateful:
        return Limit(self.rate, self.unit_s, self.burst, self.kind, self.flags)


@final
class _LimitLoader(StatefulLoader):
    def name(self) -> bytes:
        return b"limit"

    def load_state(self, attributes: Attributes) -> Stateful:
        kind = attributes.be32(4, _BY_PACKETS)
        if kind > _BY_BYTES:
            raise Errno(EOPNOTSUPP)
        if not attributes.has(1) or not attributes.has(2):
            raise Errno(EINVAL)
        rate = attributes.be64(1)
        if rate == 0:
            raise Errno(EINVAL)
        unit_s = attributes.be64(2)
        burst = attributes.be32(3)
        if unit_s > _MOST_UNIT_S or rate > _MOST - burst:
            raise Errno(EOVERFLOW)
        if burst == 0 and kind == _BY_PACKETS:
            burst = _DEFAULT_BURST
        flags = attributes.be32(5)
        if flags & ~_INVERTED != 0:
            raise Errno(EOPNOTSUPP)
        return Limit(rate, unit_s, burst, kind, flags)


@final
class Quota(Stateful):
    """Holds until that many bytes have passed."""

    def __init__(self, most: int, used: int, flags: int) -> None:
        self.most: int = most
        self.used: int = used
        self.flags: int = flags

    def name(self) -> bytes:
        return b"quota"

    def count(self, run: Run) -> None:
        self.used = min(self.used, _MOST - (1 << 32)) + _length(run)
        if (self.used >= self.most) != (self.flags & _INVERTED != 0):
            run.stop()

    def put_state(self, writer: MessageWriter) -> None:
        is_over = self.used >= self.most
        put64(writer, 1, self.most)
        put64(writer, 4, min(self.used, self.most))
        put32(writer, 2, self.flags | (_DEPLETED if is_over else 0))

    def copy(self) -> Stateful:
        return Quota(self.most, self.used, self.flags)

    def reset(self) -> None:
        self.used = 0


@final
class _QuotaLoader(StatefulLoader):
    def name(self) -> bytes:
        return b"quota"

    def load_state(self, attributes: Attributes) -> Stateful:
        if not attributes.has(1):
            raise Errno(EINVAL)
        most = attributes.be64(1)
        used = attributes.be64(4)
        if most == _MOST:
            raise Errno(EOVERFLOW)
        flags = attributes.be32(2)
        if flags & ~(_INVERTED | _DEPLETED) != 0:
            raise Errno(EOPNOTSUPP)
        if used > most:
            raise Errno(EINVAL)
        return Quota(most, used, flags & _INVERTED)


@final
class Last(Stateful):
    """The time of the last evaluation."""

    def __init__(self) -> None:
        self.at_ns: int = 0  # of the monotonic clock; 0: never

    def name(self) -> bytes:
        return b"last"

    def count(self, run: Run) -> None:
        self.at_ns = run.now_ns

    def put_state(self, writer: MessageWriter) -> None:
        put32(writer, 1, 1 if self.at_ns != 0 else 0)
        if self.at_ns != 0:
            put64(writer, 2, max(monotonic_ns() - self.at_ns, 0) // _MILLISECOND_NS)

    def copy(self) -> Stateful:
        made = Last()
        made.at_ns = self.at_ns
        return made


@final
class _LastLoader(StatefulLoader):
    def name(self) -> bytes:
        return b"last"

    def load_state(self, attributes: Attributes) -> Stateful:
        made = Last()
        if attributes.be32(1) != 0 and attributes.has(2):
            now_ns = monotonic_ns()
            made.at_ns = max(now_ns - min(attributes.be64(2), now_ns // _MILLISECOND_NS) * _MILLISECOND_NS, 1)
        return made


_INCREMENTAL: Final = 0
_RANDOM: Final = 1


@final
class NumberGenerator(Expression):
    """Successive or random numbers below a modulus."""

    def __init__(self, place: int, kind: int, modulus: int, offset: int) -> None:
        self.place: int = place
        self.kind: int = kind
        self.modulus: int = modulus
        self.offset: int = offset
        self.last: int = modulus - 1

    def name(self) -> bytes:
        return b"numgen"

    def evaluate(self, run: Run) -> None:
        if self.kind == _INCREMENTAL:
            self.last = self.last + 1 if self.last + 1 < self.modulus else 0
            number = self.last
        else:
            number = (random.word() & _WORD >> 1) * self.modulus >> 31
        run.set_word(self.place, number + self.offset)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.modulus)
        put32(writer, 3, self.kind)
        put32(writer, 4, self.offset)


@final
class _NumberLoader(Loader):
    def name(self) -> bytes:
        return b"numgen"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2) or not attributes.has(3):
            raise Errno(EINVAL)
        kind = attributes.be32(3)
        if kind > _RANDOM:
            raise Errno(EOPNOTSUPP)
        modulus = attributes.be32(2)
        if modulus == 0:
            raise Errno(ERANGE)
        offset = attributes.be32(4)
        if offset + modulus - 1 > _WORD:
            raise Errno(EOVERFLOW)
        return NumberGenerator(write_register(attributes, 1, 4), kind, modulus, offset)


register_stateful_loader(_CounterLoader())
register_stateful_loader(_LimitLoader())
register_stateful_loader(_QuotaLoader())
register_stateful_loader(_LastLoader())
register_loader(_NumberLoader())
