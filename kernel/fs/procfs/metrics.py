"""/proc/metrics: the kernel's figures in the text format of Prometheus (exposition format 0.0.4). Krait's own; Linux
has no such file.
"""

from arch import unlocked_calls
from kernel.fs.path import MOUNTS
from kernel.fs.procfs.system import anonymous_pages, running_count, shared_pages
from kernel.lib.log import log
from kernel.lib.proc_files import proc_file
from kernel.mm import slabs
from kernel.mm.frames import PAGE_SIZE, available_frame_count, free_frame_count, total_frame_count
from kernel.mm.reclaim import RECLAIMER, reclaim_in_parts
from kernel.sched.processor import PROCESSORS, idle_ns
from kernel.sched.scheduler import divide_all
from kernel.sched.thread import thread_count
from kernel.task.pids import process_count, task_count
from kernel.time.clock import boottime_ns
from kernel.time.timers import armed_count


def _figure(name: str, kind: str, help_text: str, value: int) -> str:
    return f"# HELP krait_{name} {help_text}\n# TYPE krait_{name} {kind}\nkrait_{name} {value}\n"


def _seconds(name: str, help_text: str, ns: int) -> str:
    micros = max(0, ns) // 1000
    value = f"{micros // 1_000_000}.{micros % 1_000_000:06d}"
    return f"# HELP krait_{name} {help_text}\n# TYPE krait_{name} counter\nkrait_{name} {value}\n"


@proc_file("metrics")
def metrics() -> bytes:
    """All figures. Dead objects are freed first, so they are not counted."""
    reclaim_in_parts()
    divide_all()
    user = 0
    system = 0
    timer_interrupts = 0
    switches = 0
    forks = 0
    unlocked = 0
    for processor in PROCESSORS:
        user += processor.user_ns + processor.nice_ns
        system += processor.system_ns
        timer_interrupts += processor.timer_interrupts
        switches += processor.switches
        forks += processor.forks
        unlocked += unlocked_calls(processor.number)
    text = _seconds("uptime_seconds", "Time since boot.", boottime_ns())
    text += _seconds("idle_seconds", "Time without anything to do.", idle_ns())
    text += _seconds("user_seconds", "Time in programs.", user)
    text += _seconds("system_seconds", "Time in the kernel.", system)
    text += _figure("timer_interrupts", "counter", "Interrupts of processors' timers.", timer_interrupts)
    text += _figure("unlocked_calls", "counter", "System calls that ran without the kernel lock.", unlocked)
    text += _figure("context_switches", "counter", "Switches between threads.", switches)
    text += _figure("threads_started", "counter", "Threads ever started.", forks)
    text += _figure("threads", "gauge", "Threads, the kernel's included.", thread_count())
    text += _figure("threads_running", "gauge", "Threads that run or are ready.", running_count())
    text += _figure("tasks", "gauge", "Threads of programs.", task_count())
    text += _figure("processes", "gauge", "Processes, zombies included.", process_count())
    text += _figure("timers_armed", "gauge", "Timers that will expire.", armed_count())
    text += _figure("memory_total_bytes", "gauge", "Memory that the kernel manages.", total_frame_count() * PAGE_SIZE)
    text += _figure("memory_free_bytes", "gauge", "Memory that nobody uses.", free_frame_count() * PAGE_SIZE)
    text += _figure("memory_available_bytes", "gauge", "Memory for programs.", available_frame_count() * PAGE_SIZE)
    text += _figure("memory_resident_bytes", "gauge", "Pages of all address spaces.", anonymous_pages() * PAGE_SIZE)
    text += _figure("memory_files_bytes", "gauge", "Contents of files in memory.", shared_pages() * PAGE_SIZE)
    text += _figure("heap_held_bytes", "gauge", "Memory that the object heap holds.", slabs.bytes_held())
    text += _figure("heap_used_bytes", "gauge", "Memory of objects in use.", slabs.bytes_in_use())
    text += _figure("heap_objects", "gauge", "Objects in use.", slabs.slots_in_use())
    text += _figure("reclaim_passes", "counter", "Passes of the reclaimer.", RECLAIMER.passes)
    text += _figure("reclaim_freed_objects", "counter", "Objects that the reclaimer freed.", RECLAIMER.freed)
    text += _figure("mounts", "gauge", "Mounted file systems.", len(MOUNTS))
    text += _figure("log_records", "counter", "Messages of the kernel's log.", log.next_sequence)
    return text.encode()
