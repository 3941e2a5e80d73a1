"""Processor time and memory used by threads and processes (getrusage(2), times(2), proc(5)).

Run time is measured at each switch. The part spent in the kernel is counted at the doors, by the time-stamp
counter (arch/x86_64/entry.S), and settled at switches and ticks (kernel/sched/scheduler.py): it is exact, where Linux
samples by default. Time in interrupts is charged to the interrupted thread.
"""

from typing import Final

from kernel.lib.pace import pace
from kernel.lib.pid import FIRST, Pid
from kernel.mm.space import AddressSpace
from kernel.sched.scheduler import divide_time
from kernel.task.pids import next_thread
from kernel.task.process import Process
from kernel.task.task import Task
from kernel.task.usage import Usage

CLOCK_TICKS_PER_SECOND: Final = 100  # USER_HZ: the unit of times(2) and /proc
_THREAD_COST: Final = 400  # instructions, for `pace`
_FEW_THREADS: Final = 256  # are summed up at once
_ROUNDS: Final = 4
NS_PER_CLOCK_TICK: Final = 1_000_000_000 // CLOCK_TICKS_PER_SECOND


def add_thread(usage: Usage, task: Task) -> None:
    """Add a thread's use."""
    divide_time(task)
    usage.system_ns += task.accounts.system_ns
    usage.user_ns += task.accounts.user_ns
    usage.minor_faults += task.counts.minor_faults
    usage.voluntary_switches += task.accounts.voluntary_switches
    usage.involuntary_switches += task.accounts.involuntary_switches
    usage.read_calls += task.counts.read_calls
    usage.write_calls += task.counts.write_calls
    usage.read_bytes += task.counts.read_bytes
    usage.written_bytes += task.counts.written_bytes
    usage.disk_read_bytes += task.accounts.disk_read_bytes
    usage.disk_written_bytes += task.accounts.disk_written_bytes
    usage.cancelled_bytes += task.accounts.cancelled_bytes
    memory = task.memory
    if memory is not None:
        usage.peak_pages = max(usage.peak_pages, memory.peak_resident)


def note_peak(process: Process, memory: AddressSpace) -> None:
    """A thread leaves its memory: record how large that was with the process."""
    process.ended.peak_pages = max(process.ended.peak_pages, memory.peak_resident)


def thread_user_ns(task: Task) -> int:
    """The time that a thread spent in user mode."""
    divide_time(task)
    return task.accounts.user_ns


def thread_usage(task: Task) -> Usage:
    """The use of one thread. Raises MemoryError."""
    usage = Usage()
    add_thread(usage, task)
    return usage


def process_usage(process: Process) -> Usage:
    """The use of all threads of a process, ended ones included. Never sleeps. Raises MemoryError."""
    usage = Usage()
    usage.add(process.ended)
    for task in process.threads.values():
        add_thread(usage, task)
    return usage


def usage_by_and_by(process: Process) -> Usage:
    """The same with safe points, if there are many threads. Where some end meanwhile, it begins anew; if that happens
    time and again, it goes without safe points, for no use may be counted twice or not at all. Raises MemoryError.
    """
    for _ in range(_ROUNDS):
        if len(process.threads) <= _FEW_THREADS:
            break
        gone = process.ending.gone
        usage = Usage()
        usage.add(process.ended)
        task = next_thread(process, FIRST)
        while task is not None and process.ending.gone == gone:
            add_thread(usage, task)
            pace(_THREAD_COST)
            task = next_thread(process, Pid(int(task.tid) + 1))
        if process.ending.gone == gone:
            return usage
    return process_usage(process)


def process_time_ns(process: Process) -> int:
    """CLOCK_PROCESS_CPUTIME_ID, when the threads were last charged."""
    return process.time.run_ns


def process_user_ns(process: Process) -> int:
    """The part of it spent in user mode. Of very many threads, each one's as of its last tick, because ticks ask for it
    (see `settle_user_time`).
    """
    if len(process.threads) <= _FEW_THREADS:
        for task in process.threads.values():
            divide_time(task)
    return process.time.user_ns


def settle_user_time(process: Process) -> None:
    """Divide the time of all threads, if there are too many for `process_user_ns` to do so. Sleeps then."""
    if len(process.threads) <= _FEW_THREADS:
        return
    task = next_thread(process, FIRST)
    while task is not None:
        divide_time(task)
        pace(_THREAD_COST)
        task = next_thread(process, Pid(int(task.tid) + 1))


def retire(task: Task) -> None:
    """A thread ends: its use stays with its process, which no longer counts the thread: it leaves `threads` before
    any other thread runs. Its memory has gone (`note_peak`).
    """
    task.process.ending.gone += 1
    add_thread(task.process.ended, task)
    task.shared_time = None
