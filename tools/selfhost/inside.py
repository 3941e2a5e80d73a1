"""What runs in the machine of `krait self-build`: it does what the front end types at the serial line, one request in
JSON a line, and answers with lines that begin with a mark. Has the standard library alone.

    {"run": ["python", "-m", …], "environment": {…}}    {"status": 0, "elapsed": 1.5, "user": 1.2, "system": 0.1}
    {"start": "/krait/build/krait.elf", "initrd": …, "line": "generation=1 …"}   the machine goes on in that kernel
    {"end": true}                                       nothing: the machine stops

Run as `python inside.py MARK`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
import time
from typing import Any

KEXEC_FILE_LOAD, REBOOT = 320, 169  # numbers of system calls
REBOOT_WORDS = (0xFEE1DEAD, 672274793, 0x45584543)  # reboot(2): two magic numbers, LINUX_REBOOT_CMD_KEXEC


def without_echo(terminal: int) -> None:
    """Requests are not to be seen among what programs print."""
    settings = termios.tcgetattr(terminal)
    settings[3] &= ~(termios.ECHO | termios.ECHONL)
    termios.tcsetattr(terminal, termios.TCSANOW, settings)


def generation(line: str) -> int:
    """What the kernel's command line says that it is: 0 for one that another machine has built."""
    found = [word.partition("=")[2] for word in line.split() if word.startswith("generation=")]
    return int(found[-1]) if found and found[-1].isdecimal() else 0


def run(request: dict[str, Any]) -> dict[str, float]:
    """A program; its streams are the serial line."""
    before, started = os.times(), time.monotonic()
    environment = os.environ | request.get("environment", {})
    done = subprocess.run(request["run"], check=False, env=environment, stdin=subprocess.DEVNULL)
    after, elapsed = os.times(), time.monotonic() - started
    os.sync()
    return {
        "status": done.returncode, "elapsed": elapsed, "user": after.children_user - before.children_user,
        "system": after.children_system - before.children_system,
    }  # fmt: skip


def start_kernel(request: dict[str, Any]) -> dict[str, object]:
    """Go on in another kernel. Comes back only if that cannot be done."""
    import ctypes  # here, so that the rest does without a library of C

    library = ctypes.CDLL(None, use_errno=True)
    kernel, initrd = os.open(request["start"], os.O_RDONLY), os.open(request["initrd"], os.O_RDONLY)
    line = request["line"].encode() + b"\0"
    if library.syscall(KEXEC_FILE_LOAD, kernel, initrd, ctypes.c_ulong(len(line)), line, ctypes.c_ulong(0)) == 0:
        os.sync()
        termios.tcdrain(1)
        library.syscall(REBOOT, *map(ctypes.c_ulong, REBOOT_WORDS), None)
    return {"status": 1, "error": os.strerror(ctypes.get_errno())}


def main(mark: str) -> None:
    def tell(answer: dict[str, Any]) -> None:
        print(f"{mark}{json.dumps(answer)}", flush=True)

    without_echo(0)
    with open("/proc/cmdline") as line:
        tell({"generation": generation(line.read()), "version": f"{os.uname().release} {os.uname().version}"})
    for text in sys.stdin:
        request = json.loads(text)
        if "run" in request:
            tell(run(request))
        elif "start" in request:
            tell(start_kernel(request))
        else:
            break
    os.sync()


if __name__ == "__main__":
    main(sys.argv[1])
