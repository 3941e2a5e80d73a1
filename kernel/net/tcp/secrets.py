"""Numbers that strangers must not guess: initial sequence numbers, timestamp offsets, SYN cookies.

All are keyed hashes of the network, the addresses and the ports; the key is random and created once. The administrator
of a network can use any addresses there, so one network's numbers must reveal nothing about another's. The hash is
HalfSipHash-2-4, which is designed for short inputs and 32-bit words.

Context: thread context; never sleeps.
Source: RFC 6528 (initial sequence numbers), RFC 7323 section 5.4 (timestamp offsets), RFC 4987 section 3.6 (cookies).
"""

from typing import Final

from kernel.lang import final, span_of
from kernel.lib.half_sip_hash import HalfSipHash

_MASK: Final = 0xFFFF_FFFF
_PURPOSE_SEQUENCE: Final = 1
_PURPOSE_TIMESTAMP: Final = 2
_PURPOSE_COOKIE: Final = 3
_PURPOSE_COOKIE_BODY: Final = 4
_PURPOSE_BITS: Final = 3  # the other bits of a word are the network's number, modulo 2^29

# Segment sizes that a cookie can express, for IPv4 and IPv6 alike: it has room for a few.
COOKIE_SIZES: Final[list[int]] = [536, 1220, 1300, 1440, 1460]
_COOKIE_PERIOD_NS: Final = 64 * 1_000_000_000
_COOKIE_PERIODS: Final = 2  # a cookie is good for one to two periods


_hasher: Final = HalfSipHash()


@final
class LastOffset:
    """The timestamp offset computed last. Both ends of a connection of this host with itself ask for the same
    one, and so do many connections to one server.
    """

    def __init__(self) -> None:
        self.network: int = 0
        self.local: bytes = b""
        self.remote: bytes = b""
        self.offset: int = 0


_last: Final = LastOffset()


def _hash(
    purpose: int, network: int, local: bytes, local_port: int, remote: bytes, remote_port: int, extra: int
) -> int:
    """`network`: its number."""
    hasher = _hasher
    hasher.start()
    hasher.add((purpose | network << _PURPOSE_BITS) & _MASK)
    hasher.add(extra & _MASK)
    hasher.add(local_port << 16 | remote_port)
    for at in range(0, len(local), 4):
        hasher.add(span_of(local).load_be32(at))
    for at in range(0, len(remote), 4):
        hasher.add(span_of(remote).load_be32(at))
    return hasher.finish()


def initial_sequence(
    network: int, local: bytes, local_port: int, remote: bytes, remote_port: int, now_ns: int
) -> int:
    """32 bits: a hash of the connection, and a clock of 64 ns, so that a connection's next life starts further on.
    Here and below, `network` is its number.
    """
    return (_hash(_PURPOSE_SEQUENCE, network, local, local_port, remote, remote_port, 0) + (now_ns >> 6)) & _MASK


def timestamp_offset(network: int, local: bytes, remote: bytes) -> int:
    """32 bits: the start of the timestamps of connections between two hosts."""
    last = _last
    if last.network != network or last.local != local or last.remote != remote:
        last.offset = _hash(_PURPOSE_TIMESTAMP, network, local, 0, remote, 0, 0)
        last.network = network
        last.local = local
        last.remote = remote
    return last.offset


def table_hash(network: int, local_port: int, remote: bytes, remote_port: int) -> int:
    """32 bits, for choosing among equal candidates."""
    return _hash(_PURPOSE_TIMESTAMP, network, b"", local_port, remote, remote_port, 1)


def make_cookie(
    network: int,
    local: bytes,
    local_port: int,
    remote: bytes,
    remote_port: int,
    peer_sequence: int,
    peer_mss: int,
    now_ns: int,
) -> int:
    """An initial sequence number that encodes a forgotten SYN: 8 bits of time, 24 bits that hold the class of
    the segment size, both under a hash.
    """
    period = now_ns // _COOKIE_PERIOD_NS
    size_class = len(COOKIE_SIZES) - 1
    while size_class > 0 and COOKIE_SIZES[size_class] > peer_mss:
        size_class -= 1
    outer = _hash(_PURPOSE_COOKIE, network, local, local_port, remote, remote_port, 0)
    inner = _hash(_PURPOSE_COOKIE_BODY, network, local, local_port, remote, remote_port, period)
    return (outer + peer_sequence + ((period & 0xFF) << 24) + ((inner + size_class) & 0xFF_FFFF)) & _MASK


def check_cookie(
    network: int,
    local: bytes,
    local_port: int,
    remote: bytes,
    remote_port: int,
    peer_sequence: int,
    cookie: int,
    now_ns: int,
) -> int:
    """The segment size in the cookie; 0 if it is not one of ours, or too old."""
    outer = _hash(_PURPOSE_COOKIE, network, local, local_port, remote, remote_port, 0)
    rest = (cookie - outer - peer_sequence) & _MASK
    period = now_ns // _COOKIE_PERIOD_NS
    age = (period - (rest >> 24)) & 0xFF
    if age >= _COOKIE_PERIODS:
        return 0
    inner = _hash(_PURPOSE_COOKIE_BODY, network, local, local_port, remote, remote_port, period - age)
    size_class = (rest - inner) & 0xFF_FFFF
    return COOKIE_SIZES[size_class] if size_class < len(COOKIE_SIZES) else 0
