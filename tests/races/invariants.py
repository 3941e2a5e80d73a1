"""What must hold after all programs of a round have ended."""

from __future__ import annotations

import gc
import traceback
from typing import TYPE_CHECKING

from kernel.mm import frames
from kernel.sched.thread import SwitchContext, Thread, first_thread
from kernel.task.task import Task
from tools.simulated.program import KernelBug

if TYPE_CHECKING:
    from tests.races.machine import RacingMachine

COUNTERS = ("count", "executions", "links", "mounts", "pins", "readers", "users", "writers")
SAID = (b"ended with an error", b"ended by a bug")  # of a kernel thread, in the kernel's log
SWITCHING = ("scheduler.py", "switch.py", "context.py", "machine.py", "paging.py", "code.py", "dispatch.py")
PLACES = 16  # of a traceback: the innermost
SLACK_FRAMES = 64  # that may stay in use from one generation to the next: tables grow


def negative_counters() -> list[str]:
    """Objects that were released once too often. Looks at what the collector knows; nothing was frozen since."""
    found = []
    for each in gc.get_objects():
        kind = type(each)
        if not kind.__module__.startswith("kernel.") or kind is SwitchContext:  # whose links are no counter
            continue
        for name in COUNTERS:
            value = getattr(each, name, 0) if hasattr(kind, "__init__") else 0
            if type(value) is int and value < 0:
                found.append(f"{kind.__module__}.{kind.__qualname__}.{name} is {value}")
    return found


def free_frames() -> int:
    """How many frames are free."""
    return frames.free_frame_count()


def complaints(output: bytes) -> list[str]:
    """Lines of the kernel's log that tell of a bug."""
    return [line.decode(errors="replace") for line in output.splitlines() if any(text in line for text in SAID)]


def threads() -> list[Thread]:
    """All of the machine."""
    found = []
    thread = first_thread()
    while thread is not None:
        found.append(thread)
        thread = thread.all_next
    return found


def told(error: BaseException) -> str:
    """An exception, with the places in the kernel that it came through."""
    first = error
    while isinstance(first, KernelBug) and first.__cause__ is not None:
        first = first.__cause__
    stack = [each for each in traceback.extract_tb(first.__traceback__) if not each.filename.endswith(SWITCHING)]
    return "".join([*traceback.format_list(stack[-PLACES:]), *traceback.format_exception_only(first)])


def where(machine: RacingMachine, thread: Thread, limit: int = 24) -> str:
    """What a thread that does not run is about."""
    flow = machine.sleeping_at(thread)
    if flow is None or flow.gr_frame is None:
        return "  (it runs, or has not begun)\n"
    stack = traceback.extract_stack(flow.gr_frame)
    kept = [each for each in stack if not each.filename.endswith(SWITCHING)]
    return "".join(traceback.format_list(kept[-limit:]))


def programs() -> list[Task]:
    """The tasks beside process 1."""
    return [each for each in threads() if isinstance(each, Task) and int(each.pid) != 1]
