"""Start QEMU for a program. It ends and leaves nothing behind, however we end (tools/guest/guard.py).

The initial RAM disk is a file that is kept, or one without a name; the main program's port is a pair of sockets.
Sockets for further programs (`krait exec`) lie in a directory of the machine.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.guest.guard import guarded, guarded_process

EXTRA_PORTS = 8  # programs beside the main one at a time
SOCKET_NAME = "port-{}"
POWER_OFF_S = 10.0  # for a machine whose disk is kept


@dataclass
class Running:
    """A machine that runs: its main program's port, its serial line, the process."""

    port: socket.socket
    log: socket.socket
    qemu: subprocess.Popen[bytes]
    directory: Path
    errors: int  # a file with what QEMU itself has to say

    def said(self) -> str:
        """What QEMU wrote among its errors so far."""
        return os.pread(self.errors, 65536, 0).decode(errors="replace")

    def wait_for_power_off(self) -> bool:
        """Whether the machine has ended in time."""
        try:
            self.qemu.wait(POWER_OFF_S)
        except subprocess.TimeoutExpired:
            return False
        return True


def anonymous_file(parts: list[bytes], name: str) -> int:
    """A file in memory without a name; its descriptor."""
    descriptor = os.memfd_create(name)
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[os.write(descriptor, view) :]
    return descriptor


@contextlib.contextmanager
def place_of_sockets(directory: Path) -> Iterator[tuple[Path, int]]:
    """A path of the directory that leaves room for a socket's name however long the directory's own path is, and the
    descriptor that a child must inherit to use it.
    """
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield Path(f"/proc/self/fd/{descriptor}"), descriptor
    finally:
        os.close(descriptor)


def port_arguments(main: int, log: int, directory: Path, is_mmio: bool) -> list[str]:
    """QEMU's arguments for the ports. `main`, `log`: descriptors of sockets."""
    bus = "device" if is_mmio else "pci"
    count = EXTRA_PORTS + 2
    vectors = "" if is_mmio else f",vectors={2 * count + 4}"
    arguments = ["-global", "virtio-mmio.force-legacy=false"] if is_mmio else []
    arguments += [
        "-chardev", f"socket,id=log,fd={log}", "-serial", "chardev:log",
        "-device", f"virtio-serial-{bus},id=ports,max_ports={count}{vectors}",
        "-chardev", f"socket,id=port1,fd={main}", "-device", "virtserialport,bus=ports.0,nr=1,chardev=port1",
    ]  # fmt: skip
    for number in range(2, EXTRA_PORTS + 2):
        path = directory / SOCKET_NAME.format(number)
        arguments += [
            "-chardev", f"socket,id=port{number},path={path},server=on,wait=off",
            "-device", f"virtserialport,bus=ports.0,nr={number},chardev=port{number}",
        ]  # fmt: skip
    return arguments


@contextlib.contextmanager
def running(
    command: Callable[[Path], list[str]], initrd: int | list[bytes], directory: Path, *, is_mmio: bool,
    clean: Callable[[], None], inherited: tuple[int, ...] = (),
) -> Iterator[Running]:
    """A machine, for as long as the context lasts. `command` gives QEMU's command line; its argument is the path of the
    initial RAM disk, which is made of parts, or is a file of which we get the descriptor. `directory` is the machine's
    own; `clean` removes what is not kept of it. `inherited` are further descriptors that QEMU gets.
    """
    with contextlib.ExitStack() as stack:
        image = anonymous_file(initrd, "initrd") if isinstance(initrd, list) else initrd
        port, port_end = socket.socketpair()
        log, log_end = socket.socketpair()
        port_end.set_inheritable(True)
        arguments = command(Path(f"/proc/self/fd/{image}"))
        sockets, place = stack.enter_context(place_of_sockets(directory))
        arguments += port_arguments(port_end.fileno(), log_end.fileno(), sockets, is_mmio)
        guard = stack.enter_context(guarded(directory, above=directory.parent))
        stack.callback(clean)
        errors = anonymous_file([], "errors")
        stack.callback(os.close, errors)
        inherited = (image, place, port_end.fileno(), log_end.fileno(), *inherited)
        qemu = stack.enter_context(guarded_process(guard, arguments, inherited, errors=errors))
        port_end.close()
        log_end.close()
        os.close(image)
        stack.callback(port.close)
        stack.callback(log.close)
        yield Running(port, log, qemu, directory, errors)
