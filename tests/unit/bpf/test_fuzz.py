"""Random programs: whatever the verifier lets through ends, returns what it may, and touches nothing outside.

`KRAIT_BPF_PROGRAMS=1000000` says how many are tried, `KRAIT_SEED` where they begin.
"""

from __future__ import annotations

import os
import random
import struct

import pytest

from kernel.bpf import verifier
from kernel.bpf.code import (
    CGROUP_DEVICE,
    CGROUP_SKB,
    CGROUP_SOCK,
    CGROUP_SOCK_ADDR,
    PERF_EVENT,
    RAW_TRACEPOINT,
    SOCKET_FILTER,
    TRACEPOINT,
    Code,
)
from kernel.bpf.held import Held
from kernel.bpf.interpreter import Machine
from kernel.bpf.kept_maps import HeldMap
from kernel.bpf.kinds import make_map
from kernel.bpf.log import Log
from kernel.bpf.machine import SOCKET_POINTER, World
from kernel.bpf.maps import ARRAY, ARRAY_OF_MAPS, EVENT_ARRAY, HASH, PERCPU_ARRAY, PREFIXES, PROGRAM_ARRAY, QUEUE, Map
from kernel.bpf.packet_view import PacketView
from kernel.bpf.storage import SOCKET_OWNERS
from kernel.bpf.subject import (
    ADDRESS_BINDS,
    ADDRESS_CONTEXT,
    ADDRESS_OF_PEER,
    ADDRESS_PORT,
    ADDRESS_SENDS,
    ADDRESS_SOCKET,
    DEVICE_CONTEXT,
    DEVICES,
    EVENT_CONTEXT,
    PACKET_CONTEXT,
    PACKETS_OUT,
    RAW_CONTEXT,
    RECORD_CONTEXT,
    SOCKET_BOUND4,
    SOCKET_CONTEXT,
    SOCKET_CREATED,
    SOCKET_RELEASED,
    subject_of,
)
from kernel.lang import Errno, Span, span_of, u8, u64
from tests.unit.bpf.assembler import (
    ADD,
    DW,
    JNE,
    LEAVE,
    R0,
    R1,
    R2,
    R3,
    R6,
    R10,
    W,
    alu,
    call,
    jump,
    load,
    map_,
    mov,
    mov_r,
    new_map,
    raw,
    store_constant,
)
from tests.unit.bpf.test_address_programs import ADDRESSED
from tests.unit.bpf.test_filters import FILTERS
from tests.unit.bpf.test_mapped_arrays import MAPPED_ARRAYS, a_mapped_array
from tests.unit.bpf.test_rings import PLACE, RINGS, Ring, a_ring
from tests.unit.bpf.test_socket_programs import HEARING
from tests.unit.bpf.test_storage_calls import STORING, a_storage
from tests.unit.bpf.test_trace_calls import EVENTS_PLACE, OF_EVENTS, TRACED
from tests.unit.bpf.test_verifier import BAD, GOOD

COUNT = int(os.environ.get("KRAIT_BPF_PROGRAMS", "3000"))
SEED = int(os.environ.get("KRAIT_SEED", "15"))
FEW_STEPS = 3000  # of the verifier, so that loops do not take all the time

KINDS = [  # types, places, contexts: how often each is tried
    *[(CGROUP_DEVICE, DEVICES, DEVICE_CONTEXT)] * 4,
    *[(CGROUP_SKB, PACKETS_OUT, PACKET_CONTEXT)] * 2,
    *[(SOCKET_FILTER, 0, PACKET_CONTEXT)] * 3,
    (CGROUP_SOCK, SOCKET_CREATED, SOCKET_CONTEXT),
    (CGROUP_SOCK, SOCKET_BOUND4, SOCKET_CONTEXT),
    (CGROUP_SOCK, SOCKET_RELEASED, SOCKET_CONTEXT),
    (CGROUP_SOCK_ADDR, ADDRESS_BINDS, ADDRESS_CONTEXT),
    (CGROUP_SOCK_ADDR, ADDRESS_SENDS + 1, ADDRESS_CONTEXT),
    (CGROUP_SOCK_ADDR, ADDRESS_OF_PEER, ADDRESS_CONTEXT),
    *[(TRACEPOINT, 0, RECORD_CONTEXT)] * 2,
    *[(PERF_EVENT, 0, EVENT_CONTEXT)] * 2,
    (RAW_TRACEPOINT, 0, RAW_CONTEXT),
]
TRACING = (TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT)
FIRST_LOADS = {TRACEPOINT: [8, 16, 8188], PERF_EVENT: [168, 172, 176], RAW_TRACEPOINT: [0, 4, 92]}
"""Where programs of a type may read 4 bytes."""

KEY = store_constant(W, R10, -4, 1) + mov_r(R2, R10) + alu(ADD, R2, -4)
DONE = mov(R0, 1) + LEAVE
CALLING = [
    mov(R1, 7) + raw(0x85, 0, 1, constant=2) + DONE + mov_r(R0, R1) + LEAVE,
    store_constant(DW, R10, -8, 1) + mov_r(R1, R10) + alu(ADD, R1, -8) + raw(0x85, 0, 1, constant=3)
    + load(DW, R0, R10, -8) + DONE + store_constant(DW, R1, 0, 0) + DONE,
    mov(R6, 3) + raw(0x85, 0, 1, constant=2) + DONE + raw(0x85, 0, 1, constant=1) + LEAVE + DONE,
    map_(R1, 3) + KEY + mov(R3, 0) + call(87) + DONE,
    map_(R1, 3) + mov_r(R2, R10) + alu(ADD, R2, -8) + call(88) + load(W, R0, R10, -8) + DONE,
    map_(R1, 4) + KEY + call(1) + jump(JNE, R0, 0, 2) + DONE + mov_r(R1, R0) + KEY + call(1)
    + jump(JNE, R0, 0, 2) + DONE + load(W, R0, R0, 12) + DONE,
    map_(R1, 5) + KEY + call(1) + jump(JNE, R0, 0, 2) + DONE + store_constant(W, R0, 4, 5) + DONE,
    map_(R1, 5) + KEY + mov(R3, 1) + call(195) + jump(JNE, R0, 0, 2) + DONE + load(DW, R0, R0, 8) + DONE,
    map_(R1, 6) + store_constant(W, R10, -8, 16) + store_constant(W, R10, -4, 7) + mov_r(R2, R10) + alu(ADD, R2, -8)
    + call(1) + jump(JNE, R0, 0, 2) + DONE + load(W, R0, R0, 4) + DONE,
    map_(R2, 7) + mov(R3, 1) + call(12) + DONE,
    *RINGS.values(),
    *MAPPED_ARRAYS.values(),
]  # fmt: skip
"""Functions, tail calls, and maps other than arrays and tables."""

SOUND = [*GOOD.values(), *FILTERS.values(), *HEARING.values(), *[program for _, program in ADDRESSED.values()]]
SOUND += CALLING * 3
TRACERS = [*TRACED.values(), *OF_EVENTS.values(), *CALLING]
SOUND += [program for _, _, program in STORING.values()] * 2
SEEDS = [*SOUND, *TRACERS, *[program for program, _, _ in BAD.values()]]
OPERATIONS = sorted({program[at] for program in SEEDS for at in range(0, len(program), 8)} | set(range(4, 0xD0, 8)))
CONSTANTS = [0, 1, -1, 2, 4, 7, 8, 15, 16, 31, 32, 63, 255, 256, 0x7FFF_FFFF, -0x8000_0000, 0xFFFF]
OFFSETS = [0, 1, 2, 3, -1, -2, -4, -8, -16, -512, -520, 4, 8, 12, 15, 16, 32767, -32768]


class RandomWorld(World):
    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def now_ns(self) -> int:
        return self.chance.getrandbits(63)

    def random(self) -> int:
        return self.chance.getrandbits(32)

    def read_memory(self, address: int, target: Span[u8]) -> bool:
        target[: self.chance.randrange(len(target) + 1)].fill(self.chance.getrandbits(8))
        return self.chance.random() < 0.5

    def read_text(self, address: int, target: Span[u8]) -> int:
        count = self.chance.randrange(-1, len(target) + 1)
        target[: max(count, 0)].fill(0xFF)
        return count

    def write_event(self, held: Held | None, data: Span[u8]) -> int:
        return -self.chance.randrange(2)

    def read_event(self, held: Held | None, counts: Span[u8]) -> int:
        counts.fill(self.chance.getrandbits(8))
        return -self.chance.randrange(2)


def an_instruction(chance: random.Random) -> bytes:
    registers = chance.randrange(11) | chance.randrange(11) << 4
    constant = chance.choice([*CONSTANTS, chance.randint(-(1 << 31), (1 << 31) - 1)])
    return struct.pack("<BBhi", chance.choice(OPERATIONS), registers, chance.choice(OFFSETS), constant)


def tidied(program: bytes) -> bytes:
    """The same with zeros where instructions use no field, or else the verifier would look at little more."""
    result = bytearray(program)
    at = 0
    while at < len(result):
        operation = result[at]
        kind, what, mode = operation & 7, operation & 0xF0, operation & 0xE0
        if operation == 0x18:
            at += 16
            continue
        if kind in (4, 7) or (kind in (5, 6) and what not in (0, 0x80, 0x90)):
            if operation & 8:
                result[at + 4 : at + 8] = bytes(4)
            elif what != 0xD0:
                result[at + 1] &= 15
            if kind in (4, 7):
                result[at + 2 : at + 4] = bytes(2)
            if what == 0x80:
                result[at] &= ~8 & 0xFF
                result[at + 1] &= 15
                result[at + 4 : at + 8] = bytes(4)
        elif kind == 1 or (kind == 3 and mode == 0x60) or operation == 0x95:
            result[at + 4 : at + 8] = bytes(4)
        elif kind == 2 or operation == 0x05:
            result[at + 1] &= 15
        at += 8
    return bytes(result)


def mutated(chance: random.Random, kind: int) -> bytes:
    """A known program, or two, with some changes."""
    sound = TRACERS if kind in TRACING and chance.random() < 0.8 else SOUND
    program = bytearray(chance.choice(sound if chance.random() < 0.9 else SEEDS))
    if chance.random() < 0.4:
        other = chance.choice(sound)
        program[: len(program) - 16] = other[: len(other) - 16] + program[: len(program) - 16]
    for _ in range(chance.choice([1, 1, 1, 2, 2, 3, 4])):
        at = chance.randrange(0, max(len(program) - 16, 8), 8)
        change = chance.randrange(6)
        if change == 0:
            program[at : at + 8] = an_instruction(chance)
        elif change == 1:
            program[at:at] = an_instruction(chance)
        elif change == 2 and len(program) > 16:
            del program[at : at + 8]
        elif change == 3:
            program[at + 1] = chance.randrange(11) | chance.randrange(11) << 4
        elif change == 4:
            struct.pack_into("<h", program, at + 2, chance.choice(OFFSETS))
        else:
            struct.pack_into("<i", program, at + 4, chance.choice(CONSTANTS))
    start = b""
    if chance.random() < 0.8:  # registers that are set, so that changes may read them
        start += b"".join(mov(register, chance.choice(CONSTANTS)) for register in (0, 2, 3, 4, 5, 7, 8, 9))
        place = chance.choice(FIRST_LOADS.get(kind, [0, 4, 8]))
        start += mov_r(6, chance.choice([1, 10])) + load(W, chance.choice([2, 3, 8, 9]), 1, place)
    return start + tidied(bytes(program))


def places_exist(program: bytes, maps: list[Map]) -> bool:
    """Whether maps are named by places in the list, as the system call leaves them."""
    at = 0
    while at < len(program):
        if program[at] == 0x18:
            source = program[at + 1] >> 4
            place, offset = struct.unpack_from("<I", program, at + 4)[0], 0
            if at + 16 <= len(program):
                offset = struct.unpack_from("<i", program, at + 12)[0]
            if source in (1, 2) and place >= len(maps):
                return False
            if source == 2 and (maps[place].kind != ARRAY or maps[place].most != 1):
                return False
            if source == 2 and not 0 <= offset < maps[place].value_size:
                return False
            at += 8
        at += 8
    return True


def filled_maps(chance: random.Random) -> list[Map]:
    maps = [new_map(), new_map(HASH, 8, 8, 3), new_map(value=24, most=1)]
    for slot in range(4):
        maps[0].set_value(slot, span_of(chance.randbytes(16)))
    maps[2].set_value(0, span_of(chance.randbytes(24)))
    line, each = make_map(QUEUE, 0, 4, 3, 0), make_map(PERCPU_ARRAY, 4, 16, 4, 0, 0, 3)
    outer = make_map(ARRAY_OF_MAPS, 4, 4, 2, 0)
    outer.inner = make_map(ARRAY, 4, 16, 4, 0)
    outer.put(struct.pack("<I", 1), HeldMap(new_map()), 0)
    prefixes = new_map(PREFIXES, 8, 8, 4, 1)
    prefixes.update(struct.pack("<II", 8, 7), span_of(bytes(8)), 0)
    for made in (line, each):
        while made.grow():
            pass
    events = make_map(EVENT_ARRAY, 4, 4, 3, 0)
    events.put(struct.pack("<I", 1), Held(), 0)
    programs = make_map(PROGRAM_ARRAY, 4, 4, 3, 0)
    maps += [line, outer, each, prefixes, programs, a_ring(4096), a_mapped_array(), events, a_storage()]
    assert maps[EVENTS_PLACE] is events
    return maps


def test_what_passes_does_no_harm(monkeypatch: pytest.MonkeyPatch, record_property: object) -> None:
    monkeypatch.setattr(verifier, "MOST_STEPS", FEW_STEPS)
    passed = dict.fromkeys({kind for kind, _, _ in KINDS}, 0)
    for number in range(COUNT):
        chance = random.Random(SEED * 1_000_003 + number)
        kind, place, size = chance.choice(KINDS)
        program = mutated(chance, kind)
        SOCKET_OWNERS.by_number.clear()
        maps = filled_maps(chance)
        ring = maps[PLACE]
        assert isinstance(ring, Ring)
        if not places_exist(program, maps):
            continue
        code = Code(program)
        subject = subject_of(kind, place)
        assert subject is not None
        subject.may_leak = chance.random() < 0.5
        try:
            verifier.check_first(code, Log(0))
            if subject.most_instructions != 0:
                verifier.check_short(code, subject.most_instructions, Log(0))
            steps = verifier.verify(code, maps, subject, Log(0))
        except Errno:
            continue
        passed[kind] += 1
        for _ in range(3):
            before = bytearray(chance.randbytes(size))
            if kind == CGROUP_SOCK_ADDR:
                span_of(before).store_u64(ADDRESS_SOCKET, u64(SOCKET_POINTER))
            machine = Machine(code, maps, bytearray(before), RandomWorld(chance))
            machine.may_change_context = kind != CGROUP_DEVICE and kind not in TRACING
            machine.cookie, machine.storage_room = 7, chance.choice([0, 400])
            machine.half_at = ADDRESS_PORT if kind == CGROUP_SOCK_ADDR else -1
            if size == PACKET_CONTEXT:
                start = chance.randrange(33)
                packet = PacketView(bytearray(chance.randbytes(64)), start, start + chance.randrange(65 - start))
                packet.network_start = chance.randrange(-1, start + 1)
                packet.link_start = chance.randrange(-1, packet.network_start + 1)
                machine.packet = packet
            answer = machine.run_at_once(1 << 40) if subject.most_instructions != 0 else machine.run()
            told = f"seed {SEED}, program {number}: {program.hex(' ', 8)}"
            assert not machine.is_broken, told
            assert ring.is_settled(), told
            assert machine.steps <= steps and 0 <= answer, told
            assert subject.least_result <= answer <= subject.most_result or kind in (SOCKET_FILTER, *TRACING), told
            for index in range(0, size, 4):
                assert machine.context[index : index + 4] == before[index : index + 4] or any(
                    subject.may_store(index, width) or subject.may_store(index - 4, 8) for width in (1, 2, 4, 8)
                ), told
    assert sum(passed.values()) > COUNT // 10 and min(passed.values()) > COUNT // 200
