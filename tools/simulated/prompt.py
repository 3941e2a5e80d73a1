"""`krait python`: a Python prompt in process 1 of a machine that has booted under CPython."""

from __future__ import annotations

import argparse
import code
import os
import pdb
import readline
import rlcompleter
import runpy
import signal
import stat
import struct
import sys
from pathlib import Path
from types import FrameType

from kernel.net.link.device import bring_up
from kernel.net.link.network import LOOPBACK
from tools.arguments import in_bytes
from tools.errors import UsageError
from tools.simulated.call_tree import tree
from tools.simulated.disk import attach_disk
from tools.simulated.machine import MIB, Machine
from tools.simulated.program import KernelBug, Program
from tools.simulated.wire import attach_wire
from tools.version import VERSION

LEAST_MIB = 8
MOST_MIB = 1024

BANNER = f"""\
Krait {VERSION} runs under CPython {sys.version.split()[0]}; you are its process 1. Some things to try:
    init.getpid()                                     a system call; its name and a tab list them
    fd = init.open("/tmp/a", os.O_CREAT | os.O_RDWR, 0o600)
    tree(init.write, fd, b"hello", 5)                 which functions of the kernel ran for it
    machine.run(lambda program: program.getpid())     a child process, and its status
    pdb.runcall(init.mkdir, "/tmp/b", 0o755)          step through the kernel
docs/prompt.md has more; Control-D ends it."""


class Prompt(code.InteractiveConsole):
    """Errors of system calls are one line, as a shell's are; anything else has its traceback."""

    def showtraceback(self) -> None:
        error = sys.exc_info()[1]
        if isinstance(error, OSError) and error.__traceback__ is not None and _is_from_call(error):
            self.write(f"{type(error).__name__}: {error.strerror}\n")
            return
        super().showtraceback()


def _is_from_call(error: OSError) -> bool:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is Program.call.__code__


def names_for(machine: Machine) -> dict[str, object]:
    """What is there at the prompt."""
    return {
        "machine": machine, "init": machine.host, "tree": tree, "attach_disk": attach_disk,
        "attach_wire": attach_wire, "Program": Program,
        "KernelBug": KernelBug, "os": os, "stat": stat, "signal": signal, "struct": struct, "pdb": pdb,
        "__name__": "__main__",
    }  # fmt: skip


def show_byte(byte: int) -> None:
    """The serial line: this terminal."""
    sys.stdout.buffer.write(bytes([byte]))
    if byte == ord("\n"):
        sys.stdout.flush()


def start(options: argparse.Namespace) -> int:
    """The command."""
    size = in_bytes(options.memory) // MIB
    if not LEAST_MIB <= size <= MOST_MIB:
        raise UsageError(f"krait python: memory is {LEAST_MIB}M to {MOST_MIB}M here")
    if options.file is not None and not options.file.is_file():
        raise UsageError(f"krait python: {options.file} is no file")
    machine = Machine(size, options.append, show_byte)
    machine.boot()
    bring_up(LOOPBACK)
    names = names_for(machine)
    _let_control_c_interrupt(machine)
    if options.command is not None:
        exec(compile(options.command, "<command>", "exec"), names)
    elif options.file is not None:
        sys.argv = [str(options.file), *options.arguments]
        runpy.run_path(str(options.file), names, "__main__")
    else:
        _ask(names)
    return 0


def _let_control_c_interrupt(machine: Machine) -> None:
    """^C ends a system call that sleeps; outside the kernel, or typed again, it is Python's own."""

    def interrupt(signo: int, frame: FrameType | None) -> None:
        if not Program.is_in_kernel or machine.interrupted:
            raise KeyboardInterrupt
        machine.interrupted = True

    signal.signal(signal.SIGINT, interrupt)


def _ask(names: dict[str, object]) -> None:
    history = Path(os.environ.get("XDG_STATE_HOME", Path.home() / ".local" / "state")) / "krait" / "python-history"
    if sys.stdin.isatty():
        readline.set_completer(rlcompleter.Completer(names).complete)
        readline.parse_and_bind("tab: complete")
        if history.exists():
            readline.read_history_file(history)
    Prompt(names).interact(BANNER, "")
    if sys.stdin.isatty():
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)
