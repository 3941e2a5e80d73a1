"""Whom a process names as its tracer (prctl(2), PR_SET_PTRACER)."""

import pytest

from kernel.lib.pid import UNSET, Pid
from kernel.task.pids import find_task
from kernel.task.process_tracing import ProcessTracing
from kernel.task.yama import ANYBODY
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PR_SET_PTRACER = 0x5961_6D61


@booted
def test_naming_nobody_makes_nothing(machine: Machine) -> None:
    def child(program: Program) -> None:
        task = find_task(Pid(program.getpid()))
        assert task is not None
        process = task.process

        def tracing() -> ProcessTracing | None:
            return process.tracing

        assert program.prctl(PR_SET_PTRACER, 0, 0, 0, 0) == 0
        assert tracing() is None
        with pytest.raises(OSError, match="EINVAL"):
            program.prctl(PR_SET_PTRACER, 4_000_000, 0, 0, 0)
        assert tracing() is None
        program.prctl(PR_SET_PTRACER, -1, 0, 0, 0)
        made = tracing()
        assert made is not None and made.named_tracer == ANYBODY
        program.prctl(PR_SET_PTRACER, 0, 0, 0, 0)
        assert tracing() is made and made.named_tracer == UNSET

    assert machine.run(child) == 0
