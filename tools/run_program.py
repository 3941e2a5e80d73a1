"""`krait run` with a program: boot a machine, let the agent start the program, attend it until it ends."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tools import cpio
from tools.errors import CANNOT_RUN, KraitError, UsageError, storing
from tools.guest import registry
from tools.guest.protocol import Request
from tools.guest.registry import Entry, State
from tools.guest.running import POWER_OFF_S, Running, running
from tools.guest.terminal import complain, terminal_size, wants_terminal
from tools.images.root import DEFAULT_PATH, RootFileSystem
from tools.machine import DirectBoot, Disk, DiskMode, Forward, Machine, Network, Share
from userland.image import AGENT_PLACE, agent_archive, ram_disk

_STOPPED = "the machine stopped before the program ended"
_END_S = 2.0  # for a QEMU that has closed its end of the port
STARTED, FAILED = b"s", b"f"  # what the process in the background tells us first; after FAILED comes the reason
STATE_SIZE = 4096  # bytes of a machine's state beside what was asked for
NAMESERVER = "10.0.2.3"  # of QEMU's user network, as is the address of the guest
NETWORK = "ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:none:10.0.2.3"
# The last word is for /init, which gets its turn where the image did not fit and the agent, at its end, is missing.
PARAMETERS = f"console=ttyS0 quiet loglevel=1 panic=-1 rdinit=/{AGENT_PLACE}/agent KRAIT_PROGRAM=1"


def environment_of(options: argparse.Namespace, root: RootFileSystem, tty: bool) -> dict[str, str]:
    """The image's variables, and those of -e, where a name alone takes our own value."""
    values = {"PATH": DEFAULT_PATH, "HOSTNAME": options.hostname, **root.configuration.environment}
    if tty:
        values["TERM"] = os.environ.get("TERM", "vt100")
    for each in options.env:
        name, equals, value = each.partition("=")
        if equals:
            values[name] = value
        elif name in os.environ:
            values[name] = os.environ[name]
    return values


ShownLog = Callable[[bytes], bytes]


def _whole_log(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def _complain_of_stop(machine: Running, memory: str) -> int:
    """Say why the machine stopped: in one sentence of ours if we know it, else QEMU's own words stand before it. Our
    status.
    """
    from tools.guest.failure import reason_of

    with contextlib.suppress(subprocess.TimeoutExpired):  # the port is closed just before
        machine.qemu.wait(_END_S)
    said = machine.said()
    reason = reason_of(said, machine.qemu.poll(), memory)
    if reason is not None:
        complain(reason.text)
        return reason.status
    sys.stderr.write(said)
    complain(_STOPPED)
    return CANNOT_RUN


def attend(
    machine: Running, request: Request, shown_log: ShownLog | None, on_start: Callable[[int], None], memory: str
) -> int:
    """Carry the program's streams, and what `shown_log` takes of the machine's log; its status. `memory`: what the
    machine has, for messages.
    """
    from tools.guest.session import Attendant, MachineStopped  # while the machine starts

    attendant = Attendant(port=machine.port, request=request, log=machine.log, shown_log=shown_log, on_start=on_start)
    try:
        status = attendant.run()
    except MachineStopped:
        sys.stdout.flush()
        if attendant.stands_still:
            machine.qemu.kill()
        text = attendant.whole_log()
        if shown_log is not _whole_log:
            sys.stderr.write(text.decode(errors="replace").replace("\r\n", "\n"))
        if attendant.stands_still:
            complain(_STOPPED)
            return CANNOT_RUN
        return _complain_of_stop(machine, memory)
    if said := machine.said():
        from tools.guest.failure import without_warnings

        sys.stderr.write(without_warnings(said))
    if attendant.complaint:
        complain(attendant.complaint)
    if request.keep or shown_log is not None:
        attendant.finish()
        attendant.read_rest(POWER_OFF_S)
        machine.wait_for_power_off()
        if shown_log is not None:
            attendant.show_rest()
    return status


def _ram_disk(root: RootFileSystem) -> int | list[bytes]:
    """The initial RAM disk: a descriptor of a file that is kept, or what a new one is made of."""
    if root.archive:
        return cpio.extended(root.archive, cpio.Archive({**root.carried.entries, **agent_archive().entries}))
    kept = ram_disk(root.archive is None)
    if not root.carried.entries:
        return kept
    if isinstance(kept, int):
        with open(kept, "rb") as file:
            kept = [file.read()]
    return [*kept, root.carried.pack()]


def run_program(
    options: argparse.Namespace, machine: Machine, kernel: Path, root: RootFileSystem,
    shown_log: ShownLog | None = None,
) -> int:
    """Boot the machine and run the program in it; its status."""
    if shown_log is None and "loglevel=" in options.append:
        shown_log = _whole_log
    if options.detach and (options.tty or options.interactive):
        raise UsageError("krait run: a machine in the background (-d) has neither terminal nor standard input")
    tty = not options.detach and wants_terminal(options.tty, options.interactive, "krait run")
    device = root.device
    is_kept = any(disk.mode is DiskMode.WRITE for disk in machine.disks)
    if root.disk is not None:
        machine = replace(machine, disks=(Disk(root.disk), *machine.disks))
        device = "IN=/dev/vda"  # or one of its partitions, which the agent finds
    has_network = machine.network is not None
    request = Request(
        arguments=root.arguments, environment=environment_of(options, root, tty), tty=tty,
        directory=options.workdir or root.configuration.directory, user=options.user or root.configuration.user,
        size=terminal_size() if tty else (0, 0), hostname=options.hostname, root=device, keep=is_kept,
        carried=bool(root.carried.entries), nameserver=NAMESERVER if has_network else "", services=options.ssh,
        input=not options.detach,
        shares=[f"{Share.tag(n)}:{each.place}{':ro' * each.read_only}" for n, each in enumerate(machine.shares)],
    )  # fmt: skip
    try:
        request.encode()
    except ValueError as error:
        raise UsageError(f"krait run: {error}") from error
    parameters = " ".join(word for word in (PARAMETERS, NETWORK if has_network else "", options.append) if word)
    initrd = _ram_disk(root)  # what cannot be built is reported before there is a machine
    entry = registry.create(options.name)
    state = State(
        entry.name, root.name, root.arguments, memory=machine.memory, environment=request.environment,
        directory=request.directory, user=request.user, detached=options.detach,
        ports=[f"{each.host_port}->{each.guest_port}/{each.protocol}" for each in _forwards(machine)],
    )  # fmt: skip

    try:
        entry.reserve(STATE_SIZE + 6 * len(request.encode()))  # JSON may take six bytes for one
    except KraitError:
        entry.remove()
        raise
    keeps = options.detach and not options.rm

    def clean() -> None:
        if options.detach:  # what it has said is still to be read
            entry.remove_sockets()
        else:
            entry.remove()

    def attended(tell: Callable[[], None]) -> int:
        is_mmio = machine.type == "microvm"
        with contextlib.ExitStack() as stack:
            served = None
            if machine.shares:
                from tools.guest.shares import serving

                served = stack.enter_context(serving(machine.shares))
            shares = machine.shares if served is None else served.shares
            sockets = tuple(share.socket for share in shares if share.socket is not None)
            started_machine = replace(machine, shares=shares)

            def command(initrd: Path) -> list[str]:
                return started_machine.command(DirectBoot(kernel, initrd, parameters), entry.place)

            guest = stack.enter_context(
                running(command, initrd, entry.place, is_mmio=is_mmio, clean=clean, inherited=sockets)
            )
            if served is not None:
                served.hand_over()

            def started(program: int) -> None:
                state.attendant, state.qemu, state.program = os.getpid(), guest.qemu.pid, program
                entry.write(state)
                tell()

            return attend(guest, request, shown_log, started, machine.memory)

    if options.detach:
        return _in_background(entry, state, attended, keeps)
    try:
        return attended(lambda: None)
    finally:
        entry.remove()


def _forwards(machine: Machine) -> tuple[Forward, ...]:
    return machine.network.forwards if isinstance(machine.network, Network) else ()


def _in_background(entry: Entry, state: State, attended: Callable[[Callable[[], None]], int], keeps: bool) -> int:
    """Attend the machine in a process of its own. We end when the program has started, or could not."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        status, reason, is_told = CANNOT_RUN, "", False

        def tell() -> None:
            nonlocal is_told
            is_told = True
            os.write(writer, STARTED)

        try:
            _leave_terminal(entry)
            status = attended(tell)
        except KraitError as error:
            reason = f"{error}\n"
        except OSError as error:
            reason = f"krait: {(error.strerror or str(error)).lower()}\n"
        finally:
            if not is_told:
                with contextlib.suppress(OSError):
                    os.write(writer, FAILED + _said(entry) + reason.encode())
            state.status = status
            if keeps:
                entry.write(state)
            else:
                entry.remove()
            os._exit(status)
    os.close(writer)
    answer = os.read(reader, 1)
    if answer == STARTED:
        print(entry.name)
        return 0
    with open(reader, "rb") as rest:
        sys.stderr.write(rest.read().decode(errors="replace"))
    _, ended = os.waitpid(child, 0)
    entry.remove()
    return os.waitstatus_to_exitcode(ended)


def _said(entry: Entry) -> bytes:
    """What the log has of the machine's, or our own, errors."""
    with contextlib.suppress(OSError):
        return entry.log(1).read_bytes()
    return b""


def _leave_terminal(entry: Entry) -> None:
    """Streams of the background: nothing to read, and files for what is printed."""
    import signal

    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # how `krait stop` asks, even if our caller ignores it
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    with storing(entry.place):
        for which in (0, 1):
            os.dup2(os.open(entry.log(which), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), which + 1)
