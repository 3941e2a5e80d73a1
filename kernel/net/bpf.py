"""Classic BPF: small programs that choose packets (SO_ATTACH_FILTER).

A program is checked when it is attached: every instruction is known, jumps go forwards and stay inside, the last
instruction returns, scratch memory is inside its 16 words, no constant divides by zero. So running one always ends, and
a load outside of the packet ends it with 0: the packet is not wanted.

Context: checking may raise MemoryError; running never raises, sleeps or allocates.
Source: McCanne and Jacobson, The BSD Packet Filter (1993); bpf(4) of the BSDs; Linux's networking/filter documentation.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.net.packet import Packet

_MOST: Final = 4096
_SCRATCH: Final = 16
_WORD: Final = 0xFFFF_FFFF

_LD: Final = 0
_LDX: Final = 1
_ST: Final = 2
_STX: Final = 3
_ALU: Final = 4
_JMP: Final = 5
_RET: Final = 6
_MISC: Final = 7

# Ancillary data: loads at these addresses (SKF_AD_OFF) ask about the packet.
_ANCILLARY: Final = 0xFFFF_F000
_NETWORK: Final = 0xFFF0_0000  # SKF_NET_OFF
_LINK: Final = 0xFFE0_0000  # SKF_LL_OFF


@final
class Filter:
    """A checked program: four lists, an entry for each instruction."""

    def __init__(self, program: bytes) -> None:
        """`program` is an array of struct sock_filter. EINVAL for one that is not sound."""
        self.program: bytes = program
        count = len(program) // 8
        if count == 0 or count > _MOST or len(program) % 8 != 0:
            raise Errno(EINVAL)
        span = span_of(program)
        self.codes: list[int] = []
        self.trues: list[int] = []
        self.falses: list[int] = []
        self.values: list[int] = []
        for at in range(0, len(program), 8):
            self.codes.append(span.load_u16(at))
            self.trues.append(span[at + 2])
            self.falses.append(span[at + 3])
            self.values.append(span.load_u32(at + 4))
        self.scratch: list[int] = [0] * _SCRATCH
        for index in range(count):
            self._check(index, count)
        if self.codes[count - 1] & 7 != _RET:
            raise Errno(EINVAL)

    def _check(self, index: int, count: int) -> None:
        code = self.codes[index]
        value = self.values[index]
        kind = code & 7
        if code > 0xFF:
            raise Errno(EINVAL)
        if kind == _LD or kind == _LDX:
            self._check_load(code, value, kind)
        elif kind == _ST or kind == _STX:
            if code != kind or value >= _SCRATCH:
                raise Errno(EINVAL)
        elif kind == _ALU:
            operation = code >> 4
            if operation > 10 or (code & 8 == 0 and (operation == 3 or operation == 9) and value == 0):
                raise Errno(EINVAL)
            if code & 8 == 0 and (operation == 6 or operation == 7) and value >= 32:
                raise Errno(EINVAL)
        elif kind == _JMP:
            self._check_jump(index, count)
        elif kind == _RET:
            if code != 0x06 and code != 0x16:
                raise Errno(EINVAL)
        elif code != 0x07 and code != 0x87:
            raise Errno(EINVAL)

    def _check_load(self, code: int, value: int, kind: int) -> None:
        size = code >> 3 & 3
        mode = code >> 5
        if mode == 0 or mode == 4:  # immediate, length
            sound = size == 0
        elif mode == 3:  # scratch memory
            sound = size == 0 and value < _SCRATCH
        elif mode == 5:  # the length of an IPv4 header
            sound = kind == _LDX and size == 2
        elif mode == 1 or mode == 2:  # absolute, indirect
            sound = kind == _LD and size != 3
        else:
            sound = False
        if not sound:
            raise Errno(EINVAL)

    def _check_jump(self, index: int, count: int) -> None:
        code = self.codes[index]
        operation = code >> 4
        if operation == 0:
            if code != _JMP or self.values[index] >= count - index - 1:
                raise Errno(EINVAL)
            return
        if operation > 4:
            raise Errno(EINVAL)
        if index + 1 + self.trues[index] >= count or index + 1 + self.falses[index] >= count:
            raise Errno(EINVAL)

    def passes(self, packet: Packet, start: int, least: int) -> bool:
        """Whether a packet, whose bytes are seen from `start` on in the storage, is wanted. Of one that is wanted in
        part the rest is cut off, but for `least` bytes from there.
        """
        length = self.run(span_of(packet.storage)[start : packet.end], packet)
        if length != 0:
            packet.end = min(packet.end, max(start + max(length, least), packet.start))
        return length != 0

    def run(self, data: Span[u8], packet: Packet) -> int:
        """How many bytes of the packet, whose bytes are `data`, are wanted; 0: it is not."""
        accumulator = 0
        index = 0
        scratch = self.scratch
        for i in range(_SCRATCH):
            scratch[i] = 0
        at = 0
        while True:
            code = self.codes[at]
            value = self.values[at]
            kind = code & 7
            if kind == _LD:
                mode = code >> 5
                if mode == 0:
                    accumulator = value
                elif mode == 3:
                    accumulator = scratch[value]
                elif mode == 4:
                    accumulator = len(data)
                else:
                    offset = value if mode == 1 else (value + index) & _WORD
                    found = _load(data, packet, offset, code >> 3 & 3)
                    if found < 0:
                        return 0
                    accumulator = found
            elif kind == _LDX:
                mode = code >> 5
                if mode == 0:
                    index = value
                elif mode == 3:
                    index = scratch[value]
                elif mode == 4:
                    index = len(data)
                else:
                    found = _load(data, packet, value, 2)
                    if found < 0:
                        return 0
                    index = (found & 0xF) * 4
            elif kind == _ST:
                scratch[value] = accumulator
            elif kind == _STX:
                scratch[value] = index
            elif kind == _ALU:
                operand = index if code & 8 != 0 else value
                if operand == 0 and (code >> 4 == 3 or code >> 4 == 9):
                    return 0
                accumulator = _compute(code >> 4, accumulator, operand)
            elif kind == _JMP:
                at += self._jump(at, accumulator, index)
            elif kind == _RET:
                return accumulator if code == 0x16 else value
            elif code == 0x07:
                index = accumulator
            else:
                accumulator = index
            at += 1

    def _jump(self, at: int, accumulator: int, index: int) -> int:
        """How many instructions are jumped over."""
        code = self.codes[at]
        value = self.values[at]
        operation = code >> 4
        if operation == 0:
            return value
        operand = index if code & 8 != 0 else value
        if operation == 1:
            holds = accumulator == operand
        elif operation == 2:
            holds = accumulator > operand
        elif operation == 3:
            holds = accumulator >= operand
        else:
            holds = accumulator & operand != 0
        return self.trues[at] if holds else self.falses[at]


def _load(data: Span[u8], packet: Packet, offset: int, size: int) -> int:
    """A word (size 0), half (1) or byte (2) in network order; -1 if it is outside."""
    if offset >= _ANCILLARY:
        return _about(packet, offset - _ANCILLARY)
    width = 4 >> size
    if offset >= _LINK:
        # Counted from the network or the link header.
        base = packet.network_start if offset >= _NETWORK else packet.link_start
        start = base + offset - (_NETWORK if offset >= _NETWORK else _LINK)
        if start + width > packet.end:
            return -1
        storage = span_of(packet.storage)
        return storage.load_be32(start) if size == 0 else storage.load_be16(start) if size == 1 else storage[start]
    if offset + width > len(data):
        return -1
    if size == 0:
        return data.load_be32(offset)
    return data.load_be16(offset) if size == 1 else data[offset]


def _about(packet: Packet, question: int) -> int:
    """SKF_AD_*: the protocol, the packet's kind, the interface; -1 for what is not known."""
    device = packet.device
    if question == 0:
        return packet.protocol
    if question == 4:
        return packet.link_kind
    if question == 8:
        return 0 if device is None else device.index
    if question == 28:
        return 0 if device is None else device.kind
    if question == 20 or question == 36 or question == 44 or question == 48:
        return 0  # mark, processor, VLAN tag
    return -1


def _compute(operation: int, a: int, b: int) -> int:
    if operation == 0:
        return (a + b) & _WORD
    if operation == 1:
        return (a - b) & _WORD
    if operation == 2:
        # In two halves: the product of two words may need 64 bits.
        return (a * (b & 0xFFFF) + (a * (b >> 16) & 0xFFFF) * 0x1_0000) & _WORD
    if operation == 3:
        return a // b
    if operation == 4:
        return a | b
    if operation == 5:
        return a & b
    if operation == 6:
        return (a << (b & 31)) & _WORD
    if operation == 7:
        return a >> (b & 31)
    if operation == 8:
        return -a & _WORD
    if operation == 9:
        return a % b
    return a ^ b
