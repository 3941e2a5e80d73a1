"""Tracers that attach and end at once, on a booted machine whose clock jumps: each round takes another turn at where
the tick lets the other side run.
"""

import random
import signal
import struct

import pytest

from arch.x86_64.simulation import processor
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PTRACE_ATTACH = 16
WALL = 0x4000_0000
JUMPS_NS = (0, 0, 100_000, 1_000_000, 4_000_000)
ROUNDS = 40


def pause_for_ever(program: Program) -> None:
    while True:
        try:
            program.pause()
        except InterruptedError:
            pass


@pytest.mark.parametrize("seed", [1, 2, 3])
@booted
def test_a_kill_ends_what_a_dead_tracer_left(machine: Machine, seed: int) -> None:
    host = machine.host
    chance = random.Random(seed)
    raw = Program.raw

    def jump_before(self: Program, number: int, registers: list[int]) -> int:
        processor.tsc += chance.choice(JUMPS_NS)
        return raw(self, number, registers)

    status = bytearray(4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Program, "raw", jump_before)
        for _ in range(ROUNDS):
            target = host.fork(pause_for_ever)

            def trace(program: Program, target: int = target) -> None:
                program.ptrace(PTRACE_ATTACH, target, 0, 0)
                for _ in range(chance.randrange(5)):
                    program.getpid()

            tracer = host.fork(trace)
            assert host.wait4(tracer, status, 0, 0) == tracer and status == bytes(4)
            if chance.random() < 0.3:
                host.nanosleep(struct.pack("<QQ", 0, chance.randrange(10_000_000)), None)
            host.kill(target, signal.SIGKILL)
            assert host.wait4(target, status, WALL, 0) == target
            assert status[0] == signal.SIGKILL
