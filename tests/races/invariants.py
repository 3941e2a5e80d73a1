"""What must hold after all programs of a generation have ended."""

from __future__ import annotations

import gc
import traceback
from typing import TYPE_CHECKING

from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.fs.inode import Inode
from kernel.fs.path import FsContext, Mount, MountNamespace
from kernel.lib.linked import NEXT
from kernel.mm import frames
from kernel.mm.space import AddressSpace
from kernel.mm.swap_slots import SWAP
from kernel.sched.thread import Thread, first_thread
from kernel.task.task import Task
from tools.simulated.program import KernelBug

if TYPE_CHECKING:
    from tests.races.machine import RacingMachine

HELD = (AddressSpace, File, FileTable, FsContext, Inode, Mount, MountNamespace)
COUNTERS = ("count", "executions", "links", "mounts", "pins", "readers", "users", "writers")
SAID = (b"ended with an error", b"ended by a bug")  # of a kernel thread, in the kernel's log
SWITCHING = ("scheduler.py", "switch.py", "context.py", "machine.py", "paging.py", "code.py", "dispatch.py")
PLACES = 16  # of a traceback: the innermost
SLACK_FRAMES = 64  # that may stay in use from one generation to the next: tables grow


def objects() -> list[object]:
    """The kernel's, as far as the collector knows them; nothing was frozen since."""
    return [each for each in gc.get_objects() if type(each).__module__.startswith("kernel.")]


def negative_counters() -> list[str]:
    """Objects that were released once too often."""
    found = []
    for each in objects():
        fields = getattr(each, "__dict__", {})
        for name in COUNTERS:
            value = fields.get(name, 0)
            if type(value) is int and value < 0:
                found.append(f"{type(each).__module__}.{type(each).__qualname__}.{name} is {value}")
    return found


class Holders:
    """Holders of what all programs have left: an object that was released once too little."""

    def __init__(self) -> None:
        self._before = objects()  # kept, so that nothing else gets an identity of these
        self._identities = {id(each) for each in self._before}

    def left(self) -> list[str]:
        """What has come since, and still has users."""
        return [
            f"{type(each).__module__}.{type(each).__qualname__} still has {each.users} users: {_named(each)}"
            for each in objects()
            if isinstance(each, HELD) and each.users > 0 and id(each) not in self._identities and not _is_kept(each)
        ]


def _is_kept(each: object) -> bool:
    """Whether it may stay: an inode does as long as its file system is mounted."""
    return isinstance(each, Inode) and each.file_system.mounts > 0


def _named(each: object) -> str:
    """What tells it from others of its class."""
    if isinstance(each, File):
        return f"{type(each.inode).__qualname__} {each.inode.ino}, flags {each.flags:#o}"
    if isinstance(each, Mount):
        return type(each.file_system).__qualname__
    return f"of {type(each.file_system).__qualname__}, {each.ino}" if isinstance(each, Inode) else ""


def slots_in_use() -> list[str]:
    """Slots of swap areas that nobody can refer to, once all programs have ended, and pages in the swap cache."""
    found = [f"area {each.number} has {each.in_use} slots in use" for each in SWAP.areas if each and each.in_use]
    if SWAP.count() > 0 or SWAP.open_count != sum(each is not None and each.is_open for each in SWAP.areas):
        found.append(f"the swap cache has {SWAP.count()} pages, {SWAP.open_count} areas are open")
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
        thread = thread.all_links[NEXT]
    return found


def error_text(error: BaseException) -> str:
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
