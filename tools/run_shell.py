"""`krait run` without a program: QEMU's serial line is our terminal, and the machine runs until somebody ends it.

QEMU copies what the guest prints into a pipe of ours, by whose end we know a machine that has panicked. On a terminal
it stays, so that the screen can be read and Ctrl-A X leaves; elsewhere nobody could, so it restarts (`panic=-1`), which
ends QEMU.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys

from tools.errors import CANNOT_RUN, KraitError
from tools.guest.failure import reason_of, without_warnings
from tools.guest.guard import ended_in_order, guarded, guarded_process
from tools.guest.running import anonymous_file
from tools.guest.standstill import SILENCE_S, does_not_start, has_panicked

RESTART = "panic=-1"
PANICKED = "the kernel has panicked"
_TAIL = 16384  # bytes of the line that are looked at: a whole traceback


def is_interactive() -> bool:
    """Whether somebody reads what the machine prints, and can answer."""
    return os.isatty(0) and os.isatty(1)


def attend_shell(command: list[str], inherited: tuple[int, ...], memory: str) -> int:
    """Start QEMU on our terminal, and wait for its end; our status. Raises KraitError if it does not start the machine,
    or if that panicked and nobody was there to read why.
    """
    reader, writer = os.pipe()
    errors = anonymous_file([], "errors")
    line = [
        "-chardev", f"stdio,id=line,mux=on,signal=off,logfile=/proc/self/fd/{writer}",
        "-serial", "chardev:line", "-mon", "chardev=line",
    ]  # fmt: skip
    with (
        ended_in_order(), guarded() as guard,
        guarded_process(guard, [*command, *line], (writer, *inherited), has_terminal=True, errors=errors) as qemu,
    ):  # fmt: skip
        os.close(writer)
        panicked = _watch(reader, qemu)
        status = qemu.wait()
    return _status(os.pread(errors, 65536, 0).decode(errors="replace"), status, memory, panicked)


def _watch(line: int, qemu: subprocess.Popen[bytes]) -> bool:
    """Read the serial line's copy until QEMU ends; whether the machine had panicked, or did not start. Says how to
    leave one that has; where nobody could, one that will never restart is ended.
    """
    tail = b""
    is_told = False
    while True:
        is_over = _does_not_start(tail) or (is_interactive() and has_panicked(tail))
        patience = SILENCE_S if is_over and not is_told else None
        if not select.select([line], [], [], patience)[0]:
            is_told = True
            if is_interactive():
                with contextlib.suppress(OSError):
                    os.write(2, f"\nkrait: {PANICKED} (Ctrl-A X leaves)\n".encode())
            else:
                qemu.kill()
            continue
        data = os.read(line, 65536)
        if not data:
            return has_panicked(tail) or _does_not_start(tail)
        tail = (tail + data)[-_TAIL:]


def _does_not_start(tail: bytes) -> bool:
    return len(tail) < _TAIL and does_not_start(tail)  # it is all that was printed


def _status(said: str, status: int, memory: str, panicked: bool) -> int:
    """Ours, after QEMU's: its 1 is that of a machine that did not come up; a negative one is a signal that ended it."""
    if not panicked and (status == 1 or status < 0):
        reason = reason_of(said, status, memory)
        if reason is not None:
            raise KraitError(f"krait: {reason.text}", reason.status)
        status = CANNOT_RUN
    sys.stderr.write(without_warnings(said))
    if panicked and not is_interactive():
        raise KraitError(f"krait: {PANICKED}")
    return CANNOT_RUN if panicked else status
