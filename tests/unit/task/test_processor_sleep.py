"""Very many sleepers on the processor time of a process: each tick checks some of them."""

import pytest

from kernel.lib.pid import Pid
from kernel.sched.wait import WaitQueue
from kernel.task import processor_sleep
from kernel.task.actions import default_actions
from kernel.task.clocks import ProcessorClock
from kernel.task.limits import Limits
from kernel.task.pid_namespace import FIRST_PID
from kernel.task.process import Process
from kernel.task.processor_sleep import ProcessorSleeper, ProcessorSleepers


def test_ticks_check_some_at_a_time_and_all_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor_sleep, "_CHECKED_AT_ONCE", 3)
    woken: list[WaitQueue] = []
    monkeypatch.setattr(WaitQueue, "wake_all", lambda queue: woken.append(queue))
    process = Process(Pid(1), FIRST_PID, Limits(), default_actions())
    process.time.run_ns = 50
    waiting = ProcessorSleepers()
    sleepers = [ProcessorSleeper(ProcessorClock(process, None, of_user=False), 40) for _ in range(8)]
    for sleeper in sleepers:
        waiting.enter(sleeper)
    waiting.ticked(process)
    assert len(woken) == 3
    waiting.leave(sleepers[1])
    waiting.leave(sleepers[6])
    for place, sleeper in enumerate(waiting.sleepers):
        assert sleeper.place == place
    for _ in range(2):
        waiting.ticked(process)
    assert {id(queue) for queue in woken} >= {id(sleeper.queue) for sleeper in waiting.sleepers}
