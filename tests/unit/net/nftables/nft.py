"""What nft(8) would send: messages of nf_tables as bytes, and the answers taken apart."""

from __future__ import annotations

import struct
from typing import NamedTuple

from kernel.lib.credentials import Credentials
from kernel.lib.pace import PACE, PACE_BUDGET
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, Place, Verdict, hooks_of
from kernel.net.link.network import FIRST_NETWORK, Network
from kernel.net.netlink.filter_socket import FilterSocket
from kernel.net.sockets.socket import SOCK_RAW
from tests.unit.net.filter.gate import packet_of
from tests.unit.net.netlink.sending import as_sent

CREATE, EXCL, APPEND, REPLACE, DUMP, ACK = 0x400, 0x200, 0x800, 0x100, 0x300, 4
IP, IP6, INET = 2, 10, 1
PREROUTING, INPUT, FORWARD, OUTPUT, POSTROUTING = range(5)
DROP, ACCEPT, CONTINUE, BREAK, JUMP, GOTO, RETURN = 0, 1, -1, -2, -3, -4, -5


class Answer(NamedTuple):
    kind: int
    flags: int
    sequence: int
    body: bytes


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("<HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def be32(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">I", value & 0xFFFF_FFFF))


def be64(kind: int, value: int) -> bytes:
    return attribute(kind, struct.pack(">Q", value))


def text(kind: int, value: str) -> bytes:
    return attribute(kind, value.encode() + b"\0")


def attributes(data: bytes) -> dict[int, bytes]:
    return {kind: value for kind, value in listed(data)}


def listed(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        length, kind = struct.unpack_from("<HH", data)
        assert 4 <= length <= len(data)
        found.append((kind & 0x3FFF, data[4:length]))
        data = data[(length + 3) & ~3 :]
    return found


# ---- Expressions ----------------------------------------------------------------------------------------------------


def expression(name: str, data: bytes = b"") -> bytes:
    return attribute(1, text(1, name) + attribute(2, data))


def verdict(code: int, chain: str = "") -> bytes:
    return attribute(2, be32(1, code) + (text(2, chain) if chain else b""))


def decide(code: int, chain: str = "") -> bytes:
    return expression("immediate", be32(1, 0) + attribute(2, verdict(code, chain)))


def value(kind: int, data: bytes) -> bytes:
    return attribute(kind, attribute(1, data))


def load(base: int, offset: int, length: int, register: int = 1) -> bytes:
    return expression("payload", be32(1, register) + be32(2, base) + be32(3, offset) + be32(4, length))


def meta(key: int, register: int = 1) -> bytes:
    return expression("meta", be32(2, key) + be32(1, register))


def compare(data: bytes, operation: int = 0, register: int = 1) -> bytes:
    return expression("cmp", be32(1, register) + be32(2, operation) + value(3, data))


def counter() -> bytes:
    return expression("counter")


def to_port(port: int, protocol: int = 6) -> bytes:
    return meta(16) + compare(bytes([protocol])) + load(2, 2, 2) + compare(struct.pack(">H", port))


class Nft:
    def __init__(self, network: Network = FIRST_NETWORK) -> None:
        self.socket = FilterSocket(SOCK_RAW, Credentials(), network)
        self.socket.extends_acknowledgements = True
        self.sequence = 0

    # ---- Messages ---------------------------------------------------------------------------------------------------

    def message(self, kind: int, flags: int, family: int, payload: bytes = b"", subsystem: int = 10) -> bytes:
        self.sequence += 1
        body = bytes([family, 0, 0, 0]) + payload
        return struct.pack("<IHHII", 16 + len(body), subsystem << 8 | kind, flags | 1, self.sequence, 0) + body

    def framed(self, *messages: bytes, generation: int = 0) -> bytes:
        known = be32(1, generation) if generation else b""
        begin = struct.pack("<IHHII", 20 + len(known), 0x10, 1, 0, 0) + bytes([0, 0, 0, 10]) + known
        end = struct.pack("<IHHII", 20, 0x11, 1, 0, 0) + bytes([0, 0, 0, 10])
        return begin + b"".join(messages) + end

    def send(self, data: bytes) -> list[Answer]:
        self.socket.handle(as_sent(data), None)
        found = []
        while self.socket.queue:
            rest = self.socket.queue.popleft().data
            while rest:
                length, kind, flags, sequence, _ = struct.unpack_from("<IHHII", rest)
                assert 16 <= length <= len(rest)
                found.append(Answer(kind, flags, sequence, rest[16:length]))
                rest = rest[(length + 3) & ~3 :]
        self.socket.queued_bytes = 0
        self.socket.is_dumping = False
        return found

    def errors(self, *messages: bytes, generation: int = 0) -> list[int]:
        """What a batch is answered: errno after errno."""
        answers = self.send(self.framed(*messages, generation=generation))
        assert all(answer.kind == 2 for answer in answers)
        return [-struct.unpack_from("<i", answer.body)[0] for answer in answers]

    def batch(self, *messages: bytes) -> None:
        assert self.errors(*messages) == []

    def dump(self, kind: int, family: int = 0, payload: bytes = b"") -> list[dict[int, bytes]]:
        answers = self.send(self.message(kind, DUMP, family, payload))
        assert answers[-1].kind == 3
        return [attributes(answer.body[4:]) for answer in answers[:-1]]

    # ---- Requests ---------------------------------------------------------------------------------------------------

    def table(self, name: str = "t", family: int = INET, flags: int = CREATE) -> bytes:
        return self.message(0, flags, family, text(1, name))

    def delete_table(self, family: int = INET, name: str = "") -> bytes:
        return self.message(2, 0, family, text(1, name) if name else b"")

    def chain(
        self, name: str, point: int = -1, priority: int = 0, policy: int = -1, family: int = INET, kind: str = "filter"
    ) -> bytes:
        payload = text(1, "t") + text(3, name)
        if point >= 0:
            payload += attribute(4, be32(1, point) + be32(2, priority)) + text(7, kind)
        if policy >= 0:
            payload += be32(5, policy)
        return self.message(3, CREATE, family, payload)

    def delete_chain(self, name: str, family: int = INET) -> bytes:
        return self.message(5, 0, family, text(1, "t") + text(3, name))

    def rule(self, chain: str, *expressions: bytes, flags: int = CREATE | APPEND, more: bytes = b"") -> bytes:
        payload = text(1, "t") + text(2, chain) + attribute(4, b"".join(expressions)) + more
        return self.message(6, flags, INET, payload)

    def delete_rule(self, chain: str, handle: int = 0) -> bytes:
        payload = text(1, "t") + text(2, chain) + (be64(3, handle) if handle else b"")
        return self.message(8, 0, INET, payload)

    def set(self, name: str, flags: int, key: int, number: int = 1, more: bytes = b"") -> bytes:
        payload = text(1, "t") + text(2, name) + be32(3, flags) + be32(4, 13) + be32(5, key) + be32(10, number)
        return self.message(9, CREATE, INET, payload + more)

    def elements(self, name: str, *entries: bytes, kind: int = 12, flags: int = CREATE) -> bytes:
        payload = text(1, "t") + text(2, name) + attribute(3, b"".join(attribute(1, each) for each in entries))
        return self.message(kind, flags, INET, payload)

    # ---- Packets ----------------------------------------------------------------------------------------------------

    def verdict(self, data: bytes, point: int = INPUT, left: int | None = PACE_BUDGET) -> Verdict:
        """What the hooks of a point say of a packet, where so much is left before the next safe point (None: as much as
        there is).
        """
        PACE.left = PACE.left if left is None else left
        family = FAMILY_IP4 if data[0] >> 4 == 4 else FAMILY_IP6
        hooks = hooks_of(FIRST_NETWORK, family)
        if hooks is None:
            return Verdict.ACCEPT
        place = Place(FIRST_NETWORK, family, point)
        if point in (PREROUTING, INPUT, FORWARD):
            place.input = FIRST_NETWORK.loopback
        if point in (FORWARD, OUTPUT, POSTROUTING):
            place.output = FIRST_NETWORK.loopback
        return hooks.run(packet_of(data), place)
