"""Programs for the tests of BPF, an instruction a call."""

from __future__ import annotations

import struct

from kernel.bpf.code import CGROUP_DEVICE, Code
from kernel.bpf.interpreter import Machine
from kernel.bpf.kinds import make_map
from kernel.bpf.log import Log
from kernel.bpf.machine import World
from kernel.bpf.maps import ARRAY, HASH, Map
from kernel.bpf.subject import subject_of
from kernel.bpf.verifier import check_first, verify

R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 = range(11)
ADD, SUB, MUL, DIV, OR, AND, LSH, RSH, NEG, MOD, XOR, MOV, ARSH, END = range(0, 0xE0, 0x10)
JA, JEQ, JGT, JGE, JSET, JNE, JSGT, JSGE, CALL, EXIT, JLT, JLE, JSLT, JSLE = range(0, 0xE0, 0x10)
W, H, B, DW = 0x00, 0x08, 0x10, 0x18
SIZES = {W: 4, H: 2, B: 1, DW: 8}


def raw(operation: int, destination: int = 0, source: int = 0, offset: int = 0, constant: int = 0) -> bytes:
    signed = (constant & 0xFFFF_FFFF) - (1 << 32 if constant & 0x8000_0000 else 0)
    return struct.pack("<BBhi", operation, destination | source << 4, offset, signed)


def alu(what: int, destination: int, constant: int, wide: bool = True) -> bytes:
    return raw(what | (7 if wide else 4), destination, constant=constant)


def alu_r(what: int, destination: int, source: int, wide: bool = True, offset: int = 0) -> bytes:
    return raw(what | 8 | (7 if wide else 4), destination, source, offset)


def mov(destination: int, constant: int) -> bytes:
    return alu(MOV, destination, constant)


def mov_r(destination: int, source: int) -> bytes:
    return alu_r(MOV, destination, source)


def wide(destination: int, value: int) -> bytes:
    return raw(0x18, destination, constant=value) + raw(0, constant=value >> 32)


def map_(destination: int, place: int = 0) -> bytes:
    return raw(0x18, destination, 1, constant=place) + raw(0)


def load(size: int, destination: int, source: int, offset: int) -> bytes:
    return raw(0x61 | size, destination, source, offset)


def load_signed(size: int, destination: int, source: int, offset: int) -> bytes:
    return raw(0x81 | size, destination, source, offset)


def store(size: int, destination: int, offset: int, source: int) -> bytes:
    return raw(0x63 | size, destination, source, offset)


def store_constant(size: int, destination: int, offset: int, value: int) -> bytes:
    return raw(0x62 | size, destination, 0, offset, value)


def atomic(size: int, destination: int, offset: int, source: int, what: int) -> bytes:
    return raw(0xC3 | size, destination, source, offset, what)


def jump(what: int, destination: int, constant: int, offset: int, is_wide: bool = True) -> bytes:
    return raw(what | (5 if is_wide else 6), destination, 0, offset, constant)


def jump_r(what: int, destination: int, source: int, offset: int, is_wide: bool = True) -> bytes:
    return raw(what | 8 | (5 if is_wide else 6), destination, source, offset)


def go(offset: int) -> bytes:
    return raw(0x05, offset=offset)


def call(helper: int) -> bytes:
    return raw(0x85, constant=helper)


LEAVE = raw(0x95)


def new_map(kind: int = ARRAY, key: int = 4, value: int = 16, most: int = 4, flags: int = 0) -> Map:
    made = make_map(kind, key, value, most, flags)
    while made.grow():
        pass
    return made


def maps() -> list[Map]:
    return [new_map(), new_map(HASH, 8, 8, 3)]


def check(*instructions: bytes, among: list[Map] | None = None, may_leak: bool = True) -> Log:
    """Verify a program. Raises Errno."""
    code = Code(b"".join(instructions))
    subject = subject_of(CGROUP_DEVICE)
    assert subject is not None
    subject.may_leak = may_leak
    log = Log(1)
    try:
        check_first(code, log)
        verify(code, maps() if among is None else among, subject, log)
    finally:
        last.clear()
        last.append(b"".join(log.pieces).decode())
    return log


last: list[str] = []


def run(*instructions: bytes, among: list[Map] | None = None, context: bytes = bytes(12)) -> int:
    """Run a program that the verifier lets through."""
    known = maps() if among is None else among
    check(*instructions, among=known)
    machine = Machine(Code(b"".join(instructions)), known, bytearray(context), World())
    result = machine.run()
    assert not machine.is_broken
    return result
