"""reboot(2)."""

from typing import Final

from arch import leave, power_off, restart, stop
from kernel.doors.table import syscall
from kernel.drivers.virtio.transport import reset_all
from kernel.drivers.watchdog.watchdog import stop_all
from kernel.fs.mount_sync import end_writing
from kernel.lang import EINVAL, EIO, EPERM, Errno, UserAddr, u32
from kernel.lib import log, user
from kernel.lib.capabilities import CAP_SYS_BOOT
from kernel.mm.next_kernel import LOADED
from kernel.sched import current_thread
from kernel.sched.processor import this_processor
from kernel.sched.scheduler import allow_processors, preempt, request_reschedule
from kernel.syscalls.kexec_load import Turn
from kernel.task.exit import end_thread
from kernel.task.pids import find_process
from kernel.task.send import send_from_kernel
from kernel.task.siginfo import from_kernel
from kernel.task.signals import SIGHUP, SIGINT, SIGKILL
from kernel.task.task import Task, current

_REBOOT_MAGIC_1: Final = 0xFEE1_DEAD
_REBOOT_MAGIC_2: Final[list[int]] = [672274793, 85072278, 369367448, 537993216]
_REBOOT_RESTART: Final = 0x0123_4567
_REBOOT_HALT: Final = 0xCDEF_0123
_REBOOT_KEYS_ON: Final = 0x89AB_CDEF
_REBOOT_KEYS_OFF: Final = 0
_REBOOT_POWER_OFF: Final = 0x4321_FEDC
_REBOOT_RESTART_2: Final = 0xA1B2_C3D4
_REBOOT_KEXEC: Final = 0x4558_4543
_REASON_SIZE: Final = 255
_BOOT_PROCESSOR: Final = 1  # as a mask


@syscall(
    "reboot", status="Full", args="one:0xfee1dead one:672274793 one:reboot name:text",
    notes="No keyboard, no swap to suspend to",
)  # fmt: skip
def reboot(magic_1: u32, magic_2: u32, command: u32, argument: int) -> int:
    """reboot(2)."""
    task = current()
    if not task.credentials.capable_in(task.pids.owner, CAP_SYS_BOOT):
        raise Errno(EPERM)
    if magic_1 != _REBOOT_MAGIC_1 or magic_2 not in _REBOOT_MAGIC_2:
        raise Errno(EINVAL)
    if task.pids.level > 0:
        _reboot_namespace(task, command)
    if command == _REBOOT_KEYS_ON or command == _REBOOT_KEYS_OFF:
        return 0
    reason = user.read_string_start(UserAddr(argument), _REASON_SIZE) if command == _REBOOT_RESTART_2 else b""
    if command == _REBOOT_KEXEC:
        _start_next_kernel()
    if command in (_REBOOT_POWER_OFF, _REBOOT_RESTART, _REBOOT_RESTART_2, _REBOOT_HALT):
        end_writing()
        stop_all()
    if command == _REBOOT_POWER_OFF:
        log.info("Power down")
        power_off()
    elif command == _REBOOT_RESTART or command == _REBOOT_RESTART_2:
        log.info(f"Restarting system with command {reason!r}" if len(reason) > 0 else "Restarting system")
        restart()
    elif command == _REBOOT_HALT:
        log.info("System halted")
        stop()
    raise Errno(EINVAL)


def _reboot_namespace(task: Task, command: int) -> None:
    """In a pid namespace its init ends instead, by a signal that stands for the request; and so does the caller.
    Raises EINVAL.
    """
    pids = task.pids
    if command == _REBOOT_RESTART or command == _REBOOT_RESTART_2:
        pids.reboot_signal = SIGHUP
    elif command == _REBOOT_POWER_OFF or command == _REBOOT_HALT:
        pids.reboot_signal = SIGINT
    else:
        raise Errno(EINVAL)
    init = find_process(pids.init)
    if init is not None:
        send_from_kernel(init, from_kernel(SIGKILL))
    end_thread(task, 0)


def _start_next_kernel() -> None:
    """LINUX_REBOOT_CMD_KEXEC: nothing is touched until the loaded kernel was verified. Then disks are written out,
    devices stop, the other processors halt, and the kernel's pages are moved to their place (arch.leave), over
    everything that is here. Raises EBUSY; EINVAL: no kernel is loaded; EIO: it was changed in memory.
    """
    with Turn():
        kernel = LOADED.kernel
        if kernel is None:
            raise Errno(EINVAL)
        if not kernel.is_whole():
            log.error("kexec: the loaded kernel has been damaged in memory")
            raise Errno(EIO)
        end_writing()
        # The others can be stopped by a signal that would send the boot processor back to the firmware.
        allow_processors(current_thread(), _BOOT_PROCESSOR)
        while this_processor().number != 0:
            request_reschedule()
            preempt()
        log.info("Starting new kernel")
        stop_all()
        reset_all()
        leave(kernel.code_page, kernel.moves, kernel.root, kernel.entry, kernel.is_narrow, kernel.argument)
