"""/proc/PID/{syscall,wchan,stack} of a child that can be found and has not begun."""

import pytest

from kernel.fs.procfs.process_place import kernel_stack, system_call, wait_channel
from kernel.fs.procfs.subject import Subject
from kernel.lib.pid import UNSET
from kernel.sched.scheduler import start_thread
from kernel.sched.thread import Thread
from kernel.task import fork
from kernel.task.pids import find_process
from kernel.task.task import Task
from tests.unit.booted import booted
from tools.simulated.machine import Machine


@booted
def test_a_child_that_has_not_begun_is_nowhere(machine: Machine) -> None:
    """Its maker sleeps before it starts the child, as CLONE_PARENT_SETTID may. The child's stack has an earlier life's
    words, and no stack pointer was saved.
    """
    seen: list[bytes] = []

    def look_first(child: Thread, parent: Thread | None) -> None:
        assert isinstance(child, Task) and find_process(child.tid) is child.process
        subject = Subject(child.process, UNSET, child.process.pids)
        seen.extend([wait_channel(subject), kernel_stack(subject), system_call(subject)])
        start_thread(child, parent)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fork, "start_thread", look_first)
        assert machine.run(lambda program: 3) == 3 << 8
    assert seen == [b"0", b"", b"running\n"]
