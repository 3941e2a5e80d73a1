"""A text that is made of all processes."""

import os

from tools.project_tests import Machine
from tools.simulated.program import Program


def census(program: Program) -> dict[int, int]:
    descriptor = program.open("/proc/census", os.O_RDONLY, 0)
    buffer = bytearray(1000)
    count = program.read(descriptor, buffer, len(buffer))
    program.close(descriptor)
    return {int(user): int(number) for user, number in (line.split() for line in buffer[:count].splitlines())}


def test_who_has_processes(machine: Machine) -> None:
    host = machine.host
    before = census(host)
    children: list[int] = []

    def sleeper(program: Program) -> int:
        program.setuid(1000)
        program.pause()
        return 0

    for _ in range(3):
        children.append(host.fork(sleeper))
    host.sched_yield()
    after = census(host)
    for child in children:
        host.kill(child, 9)
        host.wait4(child, None, 0, None)
    assert after == {**before, 1000: 3} and list(after) == sorted(after)
    assert census(host) == before
