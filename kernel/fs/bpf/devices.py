"""Programs of bpf(2) that judge the use of devices by members of a control group.

Context: a run takes safe points. Raises MemoryError.
Source: bpf(2); Linux's Documentation/admin-guide/cgroup-v2.rst, "Device controller".
"""

from typing import Final

from kernel.bpf.machine import World
from kernel.bpf.subject import DEVICE_CONTEXT, DEVICES
from kernel.cgroup.group import TOP_NUMBER
from kernel.cgroup.programs import DEVICE_PROGRAMS, effective_programs
from kernel.fs.bpf.present import read_present, read_present_text
from kernel.fs.constants import device_major, device_minor
from kernel.fs.device_guard import GUARD, DeviceJudge
from kernel.lang import Span, final, span_of, u8
from kernel.lib import random
from kernel.lib.pace import is_dying
from kernel.sched.processor import this_processor
from kernel.task.task import current_or_none
from kernel.time.clock import boottime_ns, monotonic_ns

_ACCESS_SHIFT: Final = 16
_WORD: Final = 0xFFFF_FFFF
_TICK_NS: Final = 4_000_000
_FIRST_TICK: Final = (1 << 32) - 75_000  # as on Linux, five minutes before 32 bits are full


class KernelWorld(World):
    """What helpers tell. A thread of the kernel's own is nobody: packets come to it as well. Base class of what they
    tell programs that trace.
    """

    def now_ns(self) -> int:
        return monotonic_ns()

    def boot_ns(self) -> int:
        return boottime_ns()

    def random(self) -> int:
        return random.word() & _WORD

    def processor(self) -> int:
        return this_processor().number

    def pid_tgid(self) -> int:
        task = current_or_none()
        return 0 if task is None else int(task.process.pid) << 32 | int(task.tid)

    def uid_gid(self) -> int:
        task = current_or_none()
        if task is None:
            return 0
        who = task.credentials  # by their numbers in the first namespace, whatever the thread's own is
        gid = int(who.gid) & _WORD
        high = gid - (1 << 32) if gid >> 31 != 0 else gid
        return high << 32 | (int(who.uid) & _WORD)

    def control_group(self) -> int:
        task = current_or_none()
        return TOP_NUMBER if task is None else task.cgroup.number

    def command(self) -> bytes:
        task = current_or_none()
        return b"" if task is None else task.name

    def jiffies(self) -> int:
        return _FIRST_TICK + monotonic_ns() // _TICK_NS

    def read_memory(self, address: int, target: Span[u8]) -> bool:
        return read_present(address, target)

    def read_text(self, address: int, target: Span[u8]) -> int:
        return read_present_text(address, target)


WORLD: Final = KernelWorld()


@final
class GroupJudge(DeviceJudge):
    """Runs the programs that apply to the running thread's group: all must permit."""

    def permits(self, kind: int, access: int, number: int) -> bool:
        task = current_or_none()
        if task is None or DEVICE_PROGRAMS.count == 0:
            return True
        programs = effective_programs(task.cgroup, DEVICES)
        if len(programs) == 0:
            return True
        context = bytearray(DEVICE_CONTEXT)
        words = span_of(context)
        words.store_u32(0, access << _ACCESS_SHIFT | kind)
        words.store_u32(4, device_major(number))
        words.store_u32(8, device_minor(number))
        is_permitted = True
        for program in programs:  # every program runs, whatever the earlier ones said: they may keep counts
            if is_dying():
                return False
            if program.run(context, WORLD) == 0:
                is_permitted = False
        return is_permitted


_JUDGE: Final = GroupJudge()


def judge_devices() -> None:
    """Consult programs from now on. Before the first is attached, nobody is consulted."""
    GUARD.judge = _JUDGE
