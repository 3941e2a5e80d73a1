"""A DHCP client: the state machine alone, without sending, receiving or clocks (RFC 2131, RFC 2132).

`message` returns the next UDP payload to send when its time has come; `receive` takes a payload from port 67; `due_ns`
says when to look again. `lease` is the lease that holds now.

Context: any; pure. MemoryError.
"""

from typing import Final

from kernel.lang import Span, final, span_of, u8

SERVER_PORT: Final = 67
CLIENT_PORT: Final = 68

SELECTING: Final = 0
REQUESTING: Final = 1
BOUND: Final = 2
RENEWING: Final = 3
REBINDING: Final = 4

_DISCOVER: Final = 1
_OFFER: Final = 2
_REQUEST: Final = 3
_ACK: Final = 5
_NAK: Final = 6

_FIXED: Final = 236
_COOKIE: Final = 0x63825363
_LARGEST: Final = 548
_NOTHING: Final[bytes] = bytes(4)
_SECOND_NS: Final = 1_000_000_000
_FIRST_WAIT_NS: Final = _SECOND_NS
_LONGEST_WAIT_NS: Final = 64 * _SECOND_NS
_REQUESTS: Final = 4
_INFINITY: Final = 0xFFFF_FFFF
_LONGEST_LEASE_S: Final = 1 << 30
_PARAMETERS: Final = b"\x01\x03\x06\x0c\x0f\x1a\x1c\x33\x36\x3a\x3b"  # what we ask for
NEVER_NS: Final = (1 << 63) - 1


@final
class Lease:
    """What a server gave."""

    def __init__(self) -> None:
        self.address: bytes = _NOTHING
        self.mask: bytes = b""
        self.router: bytes = b""
        self.broadcast: bytes = b""
        self.servers: list[bytes] = []  # of name servers
        self.host: bytes = b""
        self.domain: bytes = b""
        self.server: bytes = _NOTHING
        self.mtu: int = 0
        self.seconds: int = 0
        self.renew_seconds: int = 0
        self.rebind_seconds: int = 0


@final
class DhcpClient:
    """One interface's client."""

    def __init__(self, link_address: bytes, transaction: int, now_ns: int) -> None:
        self.link_address: bytes = link_address
        self.transaction: int = transaction & 0xFFFF_FFFF
        self.state: int = SELECTING
        self.offer: Lease | None = None
        self.lease: Lease | None = None
        self.started_ns: int = now_ns
        self.due_ns: int = now_ns
        self.wait_ns: int = _FIRST_WAIT_NS
        self.tries: int = 0
        self.renew_ns: int = NEVER_NS
        self.rebind_ns: int = NEVER_NS
        self.end_ns: int = NEVER_NS

    def message(self, now_ns: int) -> bytes:
        """The payload to send now; empty for none."""
        if now_ns < self.due_ns:
            return b""
        self._advance(now_ns)
        if self.state == BOUND:
            return b""
        kind = _DISCOVER if self.state == SELECTING else _REQUEST
        self.tries += 1
        if self.state == RENEWING or self.state == REBINDING:
            end_ns = self.rebind_ns if self.state == RENEWING else self.end_ns
            self.due_ns = min(end_ns, now_ns + max(60 * _SECOND_NS, (end_ns - now_ns) // 2))
        else:
            self.due_ns = now_ns + self.wait_ns
            self.wait_ns = min(_LONGEST_WAIT_NS, self.wait_ns * 2)
        return self._compose(kind, now_ns)

    def destination(self) -> bytes:
        """Where to send: the server while renewing, else broadcast (empty)."""
        lease = self.lease
        return lease.server if self.state == RENEWING and lease is not None else b""

    def _advance(self, now_ns: int) -> None:
        """Enter the state that is due at this time."""
        if self.state == REQUESTING and self.tries >= _REQUESTS:
            self._restart(now_ns)
        if self.state == BOUND and now_ns >= self.renew_ns:
            self.state = RENEWING
            self.transaction = (self.transaction + 1) & 0xFFFF_FFFF
        if self.state == RENEWING and now_ns >= self.rebind_ns:
            self.state = REBINDING
        if self.state == REBINDING and now_ns >= self.end_ns:
            self.lease = None
            self._restart(now_ns)

    def _restart(self, now_ns: int) -> None:
        self.state = SELECTING
        self.offer = None
        self.transaction = (self.transaction + 1) & 0xFFFF_FFFF
        self.started_ns = now_ns
        self.wait_ns = _FIRST_WAIT_NS
        self.tries = 0

    def _compose(self, kind: int, now_ns: int) -> bytes:
        message = bytearray(_FIXED + 4)
        span = span_of(message)
        span[0] = 1
        span[1] = 1
        span[2] = 6
        span.store_be32(4, self.transaction)
        span.store_be16(8, min(0xFFFF, (now_ns - self.started_ns) // _SECOND_NS))
        lease = self.lease
        if (self.state == RENEWING or self.state == REBINDING) and lease is not None:
            span[12:16].copy_from(span_of(lease.address))
        else:
            span.store_be16(10, 0x8000)  # we have no address yet: answer by broadcast
        span[28:34].copy_from(span_of(self.link_address))
        span.store_be32(_FIXED, _COOKIE)
        message.extend(bytes([53, 1, kind, 61, 7, 1]) + self.link_address)
        offer = self.offer
        if self.state == REQUESTING and offer is not None:
            message.extend(b"\x32\x04" + offer.address + b"\x36\x04" + offer.server)
        message.extend(bytes([57, 2, _LARGEST >> 8, _LARGEST & 0xFF, 55, len(_PARAMETERS)]) + _PARAMETERS + b"\xff")
        return bytes(message)

    def receive(self, payload: Span[u8], now_ns: int) -> bool:
        """Take a message from a server. True: `lease` has changed."""
        if len(payload) < _FIXED + 4 or payload[0] != 2 or payload.load_be32(4) != self.transaction:
            return False
        if payload.load_be32(_FIXED) != _COOKIE or payload[28:34].to_bytes() != self.link_address:
            return False
        options = payload[_FIXED + 4 : len(payload)]
        kind = _option(options, 53)
        if len(kind) != 1:
            return False
        if kind[0] == _OFFER and self.state == SELECTING:
            offer = _read_lease(payload, options)
            if offer is None:
                return False
            self.offer = offer
            self.state = REQUESTING
            self.due_ns = now_ns
            self.wait_ns = _FIRST_WAIT_NS
            self.tries = 0
            return False
        waits = self.state == REQUESTING or self.state == RENEWING or self.state == REBINDING
        if kind[0] == _NAK and waits:
            had_lease = self.lease is not None
            self.lease = None
            self._restart(now_ns)
            self.due_ns = now_ns + _SECOND_NS
            return had_lease
        if kind[0] == _ACK and waits:
            return self._bind(_read_lease(payload, options), now_ns)
        return False

    def _bind(self, lease: Lease | None, now_ns: int) -> bool:
        if lease is None:
            return False
        self.lease = lease
        self.state = BOUND
        self.tries = 0
        if lease.seconds == _INFINITY:
            self.due_ns = NEVER_NS
            return True
        self.renew_ns = now_ns + lease.renew_seconds * _SECOND_NS
        self.rebind_ns = now_ns + lease.rebind_seconds * _SECOND_NS
        self.end_ns = now_ns + lease.seconds * _SECOND_NS
        self.due_ns = self.renew_ns
        return True


def _option(options: Span[u8], kind: int) -> bytes:
    """The value of the first option of a kind; empty if there is none, or the options end too soon."""
    at = 0
    while at < len(options) and options[at] != 255:
        if options[at] == 0:
            at += 1
            continue
        if at + 1 >= len(options) or at + 2 + options[at + 1] > len(options):
            return b""
        if options[at] == kind:
            return options[at + 2 : at + 2 + options[at + 1]].to_bytes()
        at += 2 + options[at + 1]
    return b""


def _address_of(options: Span[u8], kind: int) -> bytes:
    """The first address of an option; empty if there is none."""
    value = _option(options, kind)
    return value[:4] if len(value) >= 4 else b""


def _seconds_of(options: Span[u8], kind: int, default: int) -> int:
    value = _option(options, kind)
    return span_of(value).load_be32(0) if len(value) == 4 else default


def _read_lease(payload: Span[u8], options: Span[u8]) -> Lease | None:
    """The lease that a message offers; None if its address cannot be used."""
    lease = Lease()
    lease.address = payload[16:20].to_bytes()
    lease.server = _address_of(options, 54)
    if lease.address == _NOTHING or lease.address[0] >= 224 or lease.address[0] == 127 or len(lease.server) != 4:
        return None
    lease.mask = _address_of(options, 1)
    lease.router = _address_of(options, 3)
    lease.broadcast = _address_of(options, 28)
    names = _option(options, 6)
    for at in range(0, len(names) - 3, 4):
        lease.servers.append(names[at : at + 4])
    lease.host = _printable(_option(options, 12))
    lease.domain = _printable(_option(options, 15))
    mtu = _option(options, 26)
    lease.mtu = mtu[0] << 8 | mtu[1] if len(mtu) == 2 else 0
    lease.seconds = _seconds_of(options, 51, 3600)
    if lease.seconds != _INFINITY:
        lease.seconds = max(60, min(lease.seconds, _LONGEST_LEASE_S))
    lease.renew_seconds = min(_seconds_of(options, 58, lease.seconds // 2), lease.seconds)
    lease.rebind_seconds = min(
        max(lease.renew_seconds, _seconds_of(options, 59, lease.seconds * 7 // 8)), lease.seconds
    )
    return lease


def _printable(text: bytes) -> bytes:
    """A name up to the first byte that is not a letter, digit, dot or dash: it goes into a file."""
    for i in range(len(text)):
        byte = text[i]
        is_letter = ord("a") <= byte | 0x20 <= ord("z")
        if not is_letter and not ord("0") <= byte <= ord("9") and byte != ord(".") and byte != ord("-"):
            return text[:i]
    return text
