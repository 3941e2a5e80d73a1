"""Programs that select sockets (INET_DIAG_REQ_BYTECODE), as `ss 'sport = :22'` sends them.

An instruction has a code and two distances: where to go on if its condition holds, and if not. A socket is selected
when its program arrives exactly at the end; a jump 4 bytes past it refuses. All jumps go forwards, so a run ends.

Invariant: an accepted program has whole instructions wherever it can jump to.
Context: system calls; nothing sleeps, running raises nothing. A run spends its cost.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, Span, final, span_of, u8
from kernel.lib.pace import spend
from kernel.net.sockets.socket import AF_INET, AF_INET6, AF_UNSPEC

_NOP: Final = 0
_JUMP: Final = 1
_SOURCE_GE: Final = 2
_SOURCE_LE: Final = 3
_DESTINATION_GE: Final = 4
_DESTINATION_LE: Final = 5
_AUTOMATIC: Final = 6
_SOURCE_HOST: Final = 7
_DESTINATION_HOST: Final = 8
_DEVICE: Final = 9
_MARK: Final = 10
_SOURCE_EQUAL: Final = 11
_DESTINATION_EQUAL: Final = 12

_INSTRUCTION_COST: Final = 60  # instructions of the processor
_STEP: Final = 4  # the size of an instruction, and of an operand
_HOST: Final = 8  # struct inet_diag_hostcond, without the address
_ANY_PORT: Final = 0xFFFF_FFFF
_MAPPED: Final = b"\0\0\0\0\0\0\0\0\0\0\xff\xff"


@final
class Subject:
    """The properties of a socket that a program sees."""

    def __init__(
        self, family: int, source: bytes, source_port: int, destination: bytes, destination_port: int
    ) -> None:
        self.family: int = family
        self.source: bytes = source
        self.source_port: int = source_port
        self.destination: bytes = destination
        self.destination_port: int = destination_port
        self.device_index: int = 0
        self.mark: int = 0
        self.is_explicit: bool = False  # the program chose the port


@final
class DiagnosisFilter:
    """A valid program."""

    def __init__(self, program: bytes) -> None:
        """EINVAL for an invalid program."""
        self._program: bytes = program
        span = span_of(program)
        starts: dict[int, bool] = {}
        at = 0
        while at < len(program):
            starts[at] = True
            left = len(program) - at
            if left < _STEP:
                raise Errno(EINVAL)
            size = self._size(span[at : len(program)])
            yes = span[at + 1]
            if yes < size or yes > left + _STEP or yes & 3 != 0:
                raise Errno(EINVAL)
            at += yes
        if at != len(program):
            raise Errno(EINVAL)
        for start in starts.keys():
            self._check_refusal(span, start, starts)

    def _size(self, rest: Span[u8]) -> int:
        """The length of the first instruction, with its operands."""
        code = rest[0]
        size = _STEP
        if code == _SOURCE_HOST or code == _DESTINATION_HOST:
            if len(rest) < _STEP + _HOST:
                raise Errno(EINVAL)
            family = rest[_STEP]
            if family != AF_UNSPEC and family != AF_INET and family != AF_INET6:
                raise Errno(EINVAL)
            address = 0 if family == AF_UNSPEC else 4 if family == AF_INET else 16
            if rest[_STEP + 1] > 8 * address:
                raise Errno(EINVAL)
            size = _STEP + _HOST + address
        elif code == _MARK:
            size = _STEP + 8
        elif code == _DEVICE or _SOURCE_GE <= code <= _DESTINATION_LE or _SOURCE_EQUAL <= code <= _DESTINATION_EQUAL:
            size = 2 * _STEP
        elif code != _NOP and code != _JUMP and code != _AUTOMATIC:
            raise Errno(EINVAL)
        if len(rest) < size:
            raise Errno(EINVAL)
        return size

    def _check_refusal(self, span: Span[u8], at: int, starts: dict[int, bool]) -> None:
        """Check where it goes on if the condition does not hold: at an instruction, at the end or right after it."""
        if span[at] == _NOP:
            return
        no = span.load_u16(at + 2)
        left = len(span) - at
        if no < _STEP or no > left + _STEP or no & 3 != 0 or (no < left and at + no not in starts):
            raise Errno(EINVAL)

    def passes(self, subject: Subject) -> bool:
        """Whether the socket is selected."""
        span = span_of(self._program)
        at = 0
        while at < len(span):
            spend(_INSTRUCTION_COST)
            at += span[at + 1] if _holds(span, at, subject) else span.load_u16(at + 2)
        return at == len(span)


def _holds(span: Span[u8], at: int, subject: Subject) -> bool:
    """Whether the condition of the instruction at an offset holds."""
    code = span[at]
    if code == _NOP:
        return True
    if code == _JUMP:
        return False
    if code == _AUTOMATIC:
        return not subject.is_explicit
    if code == _SOURCE_HOST:
        return _is_host(span, at + _STEP, subject.family, subject.source, subject.source_port)
    if code == _DESTINATION_HOST:
        return _is_host(span, at + _STEP, subject.family, subject.destination, subject.destination_port)
    if code == _DEVICE:
        return span.load_u32(at + _STEP) == subject.device_index
    if code == _MARK:
        return subject.mark & span.load_u32(at + _STEP + 4) == span.load_u32(at + _STEP)
    port = span.load_u16(at + _STEP + 2)
    if code == _SOURCE_GE:
        return subject.source_port >= port
    if code == _SOURCE_LE:
        return subject.source_port <= port
    if code == _DESTINATION_GE:
        return subject.destination_port >= port
    if code == _DESTINATION_LE:
        return subject.destination_port <= port
    return (subject.source_port if code == _SOURCE_EQUAL else subject.destination_port) == port


def _is_host(span: Span[u8], at: int, family: int, address: bytes, port: int) -> bool:
    """struct inet_diag_hostcond: family, length of the prefix, port or -1, address."""
    wanted_port = span.load_u32(at + 4)
    if wanted_port != _ANY_PORT and wanted_port != port:
        return False
    wanted = span[at]
    bits = span[at + 1]
    if wanted != AF_UNSPEC and wanted != family:
        if family != AF_INET6 or wanted != AF_INET or not address.startswith(_MAPPED):
            return False
        address = address[12:]
    whole = bits // 8
    for i in range(whole):
        if span[at + _HOST + i] != address[i]:
            return False
    rest = bits % 8
    return rest == 0 or (span[at + _HOST + whole] ^ address[whole]) >> (8 - rest) == 0
