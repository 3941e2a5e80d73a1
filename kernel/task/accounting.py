"""Who used how much processor time and memory (getrusage(2), times(2), proc(5)).

Run time is measured at each switch; how it divides into user and system time is sampled by the tick, as Linux does
without full accounting. A thread that no tick ever met has spent its time in user mode.
"""

from typing import Final

from kernel.sched import Thread
from kernel.task.process import Process, Usage
from kernel.task.task import Task

CLOCK_TICKS_PER_SECOND: Final = 100  # USER_HZ: the unit of times(2) and /proc
NS_PER_CLOCK_TICK: Final = 1_000_000_000 // CLOCK_TICKS_PER_SECOND
_SCALE_LIMIT: Final = 1 << 31


def system_ns(thread: Thread) -> int:
    """The part of a thread's run time that was spent in the kernel."""
    samples = thread.user_sample_ns + thread.system_sample_ns
    if samples == 0 or thread.system_sample_ns == 0:
        return 0
    # Scaled down, so that the product fits.
    system = thread.system_sample_ns
    runtime_ns = thread.runtime_ns
    shift = 0
    while samples >> shift >= _SCALE_LIMIT:
        shift += 1
    part = (system >> shift) * 1000 // max(1, samples >> shift)
    return min(runtime_ns, runtime_ns // 1000 * part + runtime_ns % 1000 * part // 1000)


def add_thread(usage: Usage, task: Task) -> None:
    """Count what a thread used."""
    in_kernel_ns = system_ns(task)
    usage.system_ns += in_kernel_ns
    usage.user_ns += task.runtime_ns - in_kernel_ns
    usage.minor_faults += task.minor_faults
    usage.voluntary_switches += task.voluntary_switches
    usage.involuntary_switches += task.involuntary_switches
    memory = task.memory
    if memory is not None:
        usage.peak_pages = max(usage.peak_pages, memory.peak_resident)


def thread_usage(task: Task) -> Usage:
    """What one thread used. Raises MemoryError."""
    usage = Usage()
    add_thread(usage, task)
    return usage


def process_usage(process: Process) -> Usage:
    """What all threads of a process used, the ended ones included. Raises MemoryError."""
    usage = Usage()
    usage.add(process.ended)
    for tid in process.threads.keys():
        add_thread(usage, process.threads[tid])
    return usage


def process_time_ns(process: Process) -> int:
    """CLOCK_PROCESS_CPUTIME_ID."""
    total = process.ended.user_ns + process.ended.system_ns
    for tid in process.threads.keys():
        total += process.threads[tid].runtime_ns
    return total


def retire(task: Task) -> None:
    """A thread ends: its use stays with its process."""
    add_thread(task.process.ended, task)
