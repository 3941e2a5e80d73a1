"""`krait debug`: gdb in front of a machine that waits for it."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time

from tools import cpio
from tools.errors import KraitError
from tools.guest.failure import Reason, reason_of
from tools.guest.guard import ended_in_order, guarded_process, scratch_directory
from tools.guest.running import anonymous_file, place_of_sockets
from tools.machine import require_qemu
from tools.paths import BUILD, ROOT, on_path
from tools.ports import check_ports
from tools.run_command import (
    PARAMETERS,
    ROOT_WAIT_S,
    direct_boot,
    inherited_by,
    initrd_of,
    kernel_of,
    machine_of,
    root_image,
    use_processors,
)
from tools.run_options import add_machine_options

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tools.machine_commands import Commands


def debug(options: argparse.Namespace) -> int:
    """gdb in front, the machine behind it; what the guest prints goes to a file."""
    require_qemu()
    if on_path("gdb") is None:
        raise KraitError("krait debug: gdb is missing")
    check_ports(options.forward)
    from_disk = isinstance(options.root, str)
    if from_disk:
        options.append += f" root={options.root} rw rootwait={ROOT_WAIT_S}"
    options.debug = True
    use_processors(options)
    kernel = kernel_of(options)
    log = BUILD / "debug.log"
    initrd = None if from_disk else initrd_of(root_image(options), cpio.Archive())
    with (
        ended_in_order(), scratch_directory("krait-debug-") as (scratch, guard),
        place_of_sockets(scratch) as (place, descriptor),
    ):  # fmt: skip
        stub = place / "gdb"
        machine = machine_of(options, "-S", "-gdb", f"unix:{stub},server=on,wait=off", "-serial", f"file:{log}")
        command = machine.command(direct_boot(kernel, initrd, f"{PARAMETERS} {options.append}".strip()), scratch)
        errors = anonymous_file([], "errors")
        with guarded_process(guard, command, (descriptor, *inherited_by(initrd)), errors=errors) as qemu:
            while not stub.exists():
                if qemu.poll() is not None:
                    raise _not_started(errors, qemu.returncode, options.memory)
                time.sleep(0.01)
            print(f"krait: the guest's serial line goes to {log}", file=sys.stderr)
            signal.signal(signal.SIGINT, lambda *_: None)  # ^C is for gdb
            attach = ["gdb", "-q", str(kernel), "-ex", f"target remote {stub}", *options.gdb]
            with guarded_process(guard, attach, (descriptor,), has_terminal=True, directory=ROOT) as gdb:
                return gdb.wait()


def _not_started(errors: int, status: int, memory: str) -> KraitError:
    """Why there is no machine for gdb. `errors`: a file with what QEMU said."""
    said = os.pread(errors, 65536, 0).decode(errors="replace")
    reason = reason_of(said, status, memory) or Reason("QEMU ended before gdb began")
    return KraitError(f"krait debug: {reason.text}", reason.status)


def add_debug(commands: Commands) -> None:
    command = commands.add_parser("debug", help="boot under gdb")
    command.set_defaults(action=debug)
    add_machine_options(command)
    command.add_argument("gdb", metavar="GDB-ARGS", nargs=argparse.REMAINDER, help="arguments for gdb, after --")
