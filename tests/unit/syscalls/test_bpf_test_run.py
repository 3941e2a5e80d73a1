"""BPF_PROG_TEST_RUN on a booted machine: what a program sees of the bytes, and what is written back."""

from __future__ import annotations

import errno
import struct

from kernel.bpf.kept_maps import MAPS
from tests.unit.booted import booted
from tests.unit.bpf.assembler import LEAVE, R0, R1, W, load, mov, store_constant
from tests.unit.syscalls.test_bpf import Calls
from tools.simulated.machine import Machine

SOCKET_FILTER, DEVICES = 1, 15
NOT_SUPPORTED = 524
FRAME = bytes(range(12)) + b"\x12\x34" + b"packet"


def load_program(calls: Calls, kind: int, instructions: bytes) -> int:
    attributes = struct.pack(
        "<IIQQIIQII", kind, len(instructions) // 8, calls.at(4096, instructions), calls.at(0, b"GPL\0"), 0, 0, 0, 0, 0
    )
    return calls.answers.bpf(5, attributes, len(attributes))


def trial(calls: Calls, program: int, frame: bytes, context: bytes = b"", room: int = 100) -> tuple[int, ...]:
    """The result, then the answer, the size and the context's size as they were written back."""
    there = calls.at(6000, context) if context else 0
    attributes = bytearray(
        struct.pack(
            "<IIIIQQIIIIQQIII", program, 0, len(frame), room, calls.at(5000, frame), calls.memory + 7000, 2, 0,
            len(context), len(context), there, there, 0, 0, 0,
        )
    )  # fmt: skip
    place = calls.at(8000, bytes(attributes))
    result = calls.answers.bpf(10, place, len(attributes))
    answer, _, size = struct.unpack("<III", calls.program.load(place + 4, 12))
    return result, answer, size


@booted
def test_a_program_sees_a_frame_without_its_header(machine: Machine) -> None:
    calls = Calls(machine.host)
    program = load_program(calls, SOCKET_FILTER, load(W, R0, R1, 0) + LEAVE)
    assert trial(calls, program, FRAME) == (0, len(FRAME) - 14, len(FRAME))
    assert calls.program.load(calls.memory + 7000, len(FRAME)) == bytes(14) + b"packet"
    assert trial(calls, program, FRAME, room=3) == (-errno.ENOSPC, len(FRAME) - 14, len(FRAME))
    assert trial(calls, program, FRAME[:13])[0] == -errno.EINVAL
    for protocol, header in ((b"\x08\x00", 20), (b"\x86\xdd", 40)):  # shorter than it must be
        frame = bytes(12) + protocol + bytes(header)
        assert trial(calls, program, frame)[0] == 0
        assert trial(calls, program, frame[:-1])[0] == -errno.EINVAL


@booted
def test_what_it_leaves_for_itself_is_written_back(machine: Machine) -> None:
    calls = Calls(machine.host)
    program = load_program(calls, SOCKET_FILTER, load(W, R0, R1, 8) + store_constant(W, R1, 48, 5) + LEAVE)
    context = bytearray(192)
    struct.pack_into("<I", context, 8, 77)  # mark
    assert trial(calls, program, FRAME, bytes(context))[:2] == (0, 77)
    seen = calls.program.load(calls.memory + 6000, 192)
    assert struct.unpack_from("<II", seen, 40) == (1, 0) and seen[48] == 5
    context[0] = 1  # the length
    assert trial(calls, program, FRAME, bytes(context))[0] == -errno.EINVAL


@booted
def test_only_programs_for_packets_are_run(machine: Machine) -> None:
    calls = Calls(machine.host)
    program = load_program(calls, DEVICES, mov(R0, 1) + LEAVE)
    assert trial(calls, program, FRAME)[0] == -NOT_SUPPORTED


@booted
def test_runs_are_counted_while_somebody_asks(machine: Machine) -> None:
    calls = Calls(machine.host)
    program = load_program(calls, SOCKET_FILTER, mov(R0, 1) + LEAVE)
    trial(calls, program, FRAME)
    asking = calls.answers.bpf(32, struct.pack("<I", 0), 4)
    assert asking >= 0
    trial(calls, program, FRAME)  # runs twice
    machine.host.close(asking)
    trial(calls, program, FRAME)
    place = calls.at(6000, bytes(232))
    assert calls.answers.bpf(15, struct.pack("<IIQ", program, 232, place), 16) == 0
    assert struct.unpack("<Q", calls.program.load(place + 200, 8)) == (2,)


@booted
def test_a_program_keeps_maps_that_are_bound_to_it(machine: Machine) -> None:
    calls = Calls(machine.host)
    program = load_program(calls, SOCKET_FILTER, mov(R0, 1) + LEAVE)
    kept = calls.create(2, 4, 4, 1)
    number = max(MAPS.by_number)
    users = MAPS.by_number[number].users
    for _ in range(2):
        assert calls.answers.bpf(35, struct.pack("<III", program, kept, 0), 12) == 0
        assert MAPS.by_number[number].users == users + 1
    machine.host.close(kept)
    assert number in MAPS.by_number
    machine.host.close(program)
    assert number not in MAPS.by_number
