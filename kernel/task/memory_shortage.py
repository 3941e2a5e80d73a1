"""When memory runs out: the process that uses most of it is killed (proc(5), oom_score_adj).

Context: any; never sleeps. The victim's memory comes free when it next looks at its signals.
"""

from typing import Final

from kernel.lib import log
from kernel.mm.frames import total_frame_count
from kernel.task.pids import find_process, process_ids
from kernel.task.process import Process
from kernel.task.send import signal_process
from kernel.task.signals import SIGKILL

_NEVER: Final = -1000


def badness(process: Process) -> int:
    """Pages that killing a process would free, moved by its adjustment (thousandths of memory). Negative: not to be
    killed.
    """
    task = process.any_thread()
    if task is None or process.pid == 1 or process.oom_adjustment <= _NEVER:
        return -1
    memory = task.memory
    if memory is None:
        return -1
    return max(0, memory.resident + process.oom_adjustment * total_frame_count() // 1000)


def kill_largest() -> bool:
    """Kill the process that uses most memory; False if there is none to kill. One that is dying already counts: its
    memory is on its way.
    """
    victim: Process | None = None
    worst = -1
    for pid in process_ids():
        process = find_process(pid)
        if process is None or process.is_zombie:
            continue
        if process.is_exiting:
            return True
        score = badness(process)
        if score > worst:
            worst = score
            victim = process
    if victim is None:
        return False
    log.error(f"Out of memory: killed process {victim.pid}, which used {worst * 4} KiB")
    signal_process(victim, SIGKILL)
    return True
