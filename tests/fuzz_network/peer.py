"""The host at the other end of the wire: it answers ARP and neighbour discovery, opens TCP connections to the guest and
remembers their numbers, so that hostile segments can be aimed at them.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from ipaddress import ip_address

from tests.fuzz_network.mutate import internet_sum
from tests.fuzz_network.templates import GUEST4, GUEST6, GUEST_LINK, PEER_LINK, TCP_PORTS

_MASK = 0xFFFFFFFF
_FIN, _SYN, _RST, _PSH, _ACK, _URG = 1, 2, 4, 8, 16, 32
_MOST_CONNECTIONS = 96
_FLAGS = (_ACK, _ACK, _ACK | _PSH, _ACK | _PSH, _ACK | _FIN, _RST, _RST | _ACK, _SYN, _SYN | _ACK, _ACK | _URG, 0, 0xFF)
_OFFSETS = (0, 0, 0, 0, 1, -1, 2, 100, 1000, -1000, 30_000, 65_535, 70_000, 0x7FFFFFFF, 0x80000000)
_SYN_OPTIONS = bytes((2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7))

_MARK = b"\2\xee"  # how the link addresses of marks begin

_link = bytes.fromhex(GUEST_LINK.replace(":", "")) + bytes.fromhex(PEER_LINK.replace(":", ""))
_guest4 = ip_address(GUEST4).packed
_guest6 = ip_address(GUEST6).packed


class Connection:
    """One that the guest has accepted, as we see it."""

    def __init__(self, ours: bytes, our_port: int, port: int, sequence: int) -> None:
        self.ours = ours
        self.our_port = our_port
        self.port = port
        self.sequence = sequence  # our next
        self.guests = 0  # the guest's next
        self.stamp = 1

    def stamps(self) -> bytes:
        """The timestamp option."""
        self.stamp += 1
        return struct.pack(">BBBBII", 1, 1, 8, 10, self.stamp, 0)

    def next_segment(self, flags: int, window: int, data: bytes) -> bytearray:
        """What the guest expects."""
        return self.segment(flags, self.sequence, self.guests, window, self.stamps(), data)

    def segment(
        self, flags: int, sequence: int, acknowledgment: int, window: int, options: bytes, data: bytes
    ) -> bytearray:
        """A frame with right lengths and checksums."""
        offset = (20 + len(options) + 3) // 4
        options = options.ljust(offset * 4 - 20, b"\0")
        tcp = struct.pack(
            ">HHIIBBHHH", self.our_port, self.port, sequence & _MASK, acknowledgment & _MASK, offset << 4 & 0xFF, flags,
            window, 0, 0,
        ) + options + data  # fmt: skip
        if len(self.ours) == 4:
            addresses = self.ours + _guest4
            ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), self.stamp & 0xFFFF, 0, 64, 6, 0) + addresses
            ip = ip[:10] + internet_sum(ip).to_bytes(2, "big") + ip[12:]
            link = _link + b"\x08\x00"
        else:
            addresses = self.ours + _guest6
            ip = struct.pack(">IHBB", 0x60000000, len(tcp), 6, 64) + addresses
            link = _link + b"\x86\xdd"
        total = internet_sum(tcp, int.from_bytes(addresses, "big") + 6 + len(tcp))
        return bytearray(link + ip + tcp[:16] + total.to_bytes(2, "big") + tcp[18:])


class Peer:
    """Answers what the guest sends; `put` sends a frame."""

    def __init__(self, source: random.Random, put: Callable[[bytes | bytearray], None]) -> None:
        self._source = source
        self._put = put
        self._opening: dict[tuple[bytes, int], Connection] = {}
        self._open: dict[tuple[bytes, int], Connection] = {}
        self._list: list[Connection] = []
        self._next_port = 1024
        self.is_ending = False
        self.accepted = 0
        self.resets = 0

    # ---- What the guest sends ----

    def take(self, frame: bytes) -> int:
        """A frame of the guest. Returns the number of the mark that it answers, or 0."""
        kind = frame[12:14]
        if kind == b"\x08\x00" and len(frame) >= 54 and frame[23] == 6:
            self._take_segment(frame[30:34], frame[34:])
        elif kind == b"\x86\xdd" and len(frame) >= 74 and frame[20] == 6:
            self._take_segment(frame[38:54], frame[54:])
        elif kind == b"\x08\x06" and frame[20:22] == b"\0\1" and frame[38:41] == b"\x0a\x09\0":
            # Half of the neighbours answer.
            if frame[41] < 128:
                self._put(_link + b"\x08\x06\0\1\x08\0\6\4\0\2" + _link[6:12] + frame[38:42] + frame[22:32])
        elif kind == b"\x86\xdd" and len(frame) >= 78 and frame[20] == 58 and frame[54] == 135 and frame[77] < 128:
            self._advertise(frame)
        elif kind == b"\x08\x06" and frame[20:22] == b"\0\2" and frame[32:34] == _MARK:
            return int.from_bytes(frame[34:38], "big")
        return 0

    def mark(self, number: int) -> bytes:
        """A question by ARP whose answer has the number in it (as a link address)."""
        sender = _MARK + number.to_bytes(4, "big")
        return _link[:6] + sender + b"\x08\x06\0\1\x08\0\6\4\0\1" + sender + b"\x0a\x09\0\xfe" + bytes(6) + _guest4

    def _advertise(self, question: bytes) -> None:
        target, asker = question[62:78], question[22:38]
        body = b"\x88\0\0\0\x60\0\0\0" + target + b"\2\1" + _link[6:12]
        total = internet_sum(body, int.from_bytes(target + asker, "big") + 58 + len(body))
        body = body[:2] + total.to_bytes(2, "big") + body[4:]
        self._put(_link + b"\x86\xdd" + struct.pack(">IHBB", 0x60000000, len(body), 58, 255) + target + asker + body)

    def _take_segment(self, ours: bytes, tcp: bytes) -> None:
        port, our_port, sequence, acknowledgment, offset, flags = struct.unpack(">HHIIBB", tcp[:14])
        key = (ours, our_port)
        if self.is_ending:
            if flags & _RST == 0:
                self._put(Connection(ours, our_port, port, 0).segment(_RST, acknowledgment, 0, 0, b"", b""))
            return
        if flags & (_SYN | _ACK) == _SYN | _ACK:
            found = self._opening.pop(key, None)
            if found is None or found.port != port:
                return
            found.guests = sequence + 1 & _MASK
            found.sequence = found.sequence + 1 & _MASK
            self._open[key] = found
            self._list.append(found)
            self.accepted += 1
            self._put(found.next_segment(_ACK, 0xFFFF, b""))
            return
        connection = self._open.get(key)
        if connection is None or connection.port != port:
            return
        length = len(tcp) - (offset >> 4) * 4
        if flags & _RST:
            self.resets += 1
            self._forget(key, connection)
        elif sequence == connection.guests and (length > 0 or flags & _FIN):
            connection.guests = connection.guests + length + (flags & _FIN) & _MASK
            if self._source.getrandbits(1):
                window = 0xFFFF if self._source.getrandbits(2) else 0
                self._put(connection.next_segment(_ACK, window, b""))

    def _forget(self, key: tuple[bytes, int], connection: Connection) -> None:
        self._open.pop(key, None)
        if connection in self._list:
            self._list.remove(connection)

    # ---- What we send ----

    def open_one(self) -> None:
        """Ask for a connection; the oldest makes room."""
        source = self._source
        if len(self._list) >= _MOST_CONNECTIONS:
            oldest = self._list[0]
            self._forget((oldest.ours, oldest.our_port), oldest)
            if source.getrandbits(1):
                self._put(oldest.segment(_RST, oldest.sequence, 0, 0, b"", b""))
        if len(self._opening) > 4 * _MOST_CONNECTIONS:
            self._opening.pop(next(iter(self._opening)))
        self._next_port = self._next_port + 1 if self._next_port < 65_000 else 1024
        host = 1 + source.getrandbits(2) % 3
        host += host > 1  # not the guest's own
        ours = bytes((10, 9, 0, host)) if source.getrandbits(1) else b"\xfd\x09" + bytes(13) + bytes((host,))
        connection = Connection(ours, self._next_port, source.choice(TCP_PORTS), source.getrandbits(32))
        self._opening[(ours, self._next_port)] = connection
        self._put(connection.segment(_SYN, connection.sequence, 0, 0xFFFF, _SYN_OPTIONS, b""))

    def send_data(self) -> bool:
        """Something sound on one of the connections."""
        if not self._list:
            return False
        source = self._source
        connection = source.choice(self._list)
        data = source.randbytes(1 + source.getrandbits(9))
        self._put(connection.next_segment(_ACK | _PSH, 0xFFFF, data))
        connection.sequence = connection.sequence + len(data) & _MASK
        return True

    def attack(self) -> bytearray | None:
        """A segment near what one of the connections expects; lengths and checksums are right."""
        if not self._list:
            return None
        source = self._source
        connection = source.choice(self._list)
        flags = source.choice(_FLAGS)
        sequence = connection.sequence + source.choice(_OFFSETS)
        acknowledgment = connection.guests + source.choice(_OFFSETS)
        window = source.choice((0, 1, 0xFFFF, 1000))
        data = source.randbytes(source.choice((0, 0, 1, 3, 100, 1400)))
        return connection.segment(flags, sequence, acknowledgment, window, self._options(connection), data)

    def _options(self, connection: Connection) -> bytes:
        source = self._source
        kind = source.getrandbits(3)
        if kind < 4:
            return connection.stamps()
        if kind == 4:
            return source.randbytes(source.getrandbits(5))
        if kind == 5:
            left = connection.guests + source.choice(_OFFSETS) & _MASK
            right = connection.guests + source.choice(_OFFSETS) & _MASK
            return connection.stamps() + struct.pack(">BBBBIIII", 1, 1, 5, 18, left, right, right, left)
        if kind == 6:
            return struct.pack(">BBBBII", 1, 1, 8, 10, source.getrandbits(32), source.getrandbits(32))
        return bytes((source.choice((2, 3, 4, 5, 8, 19, 34, 254)), source.choice((0, 1, 2, 3, 4, 10, 40, 255))))
