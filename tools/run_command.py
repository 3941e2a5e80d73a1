"""The commands that run a program: run, trace and profile. What they ask for becomes a kernel, a root file system and a
machine.

Whoever runs a program waits for this module, so it imports late what only some options need.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from tools import cpio
from tools.arguments import Parser, add_quiet, calls, positive
from tools.errors import UsageError
from tools.guest.guard import ended_in_order, scratch_directory
from tools.guest.running import anonymous_file
from tools.guest.terminal import wants_terminal
from tools.kernel_build import built_kernel
from tools.machine import DirectBoot, DiskMode, Forward, Machine, Network, quick_firmware, require_qemu
from tools.paths import IS_INSTALLED
from tools.ports import GDB_PORT, check_ports, free_port
from tools.program_root import choose_root
from tools.project import find_project
from tools.run_options import add_machine_options, add_program_options
from tools.run_program import ShownLog, run_program
from userland.image import SKELETON, build_image

TYPE_CHECKING = False  # typing takes a while to import
if TYPE_CHECKING:
    from tools.machine_commands import Commands

PARAMETERS = "console=ttyS0"
ROOT_WAIT_S = 10  # for a disk that --root names
SSH_PORT = 2222  # of this machine, or the next one that is free


def root_image(options: argparse.Namespace) -> bytes | None:
    """The initial RAM disk that the user asked for. None: our own."""
    if isinstance(options.root, Path):
        archive = cpio.Archive()
        archive.character_device("dev/console", 5, 1)
        archive.tree(options.root)
        if "init" not in archive.entries:
            archive.file("init", (SKELETON / "init").read_bytes(), 0o755)
        return archive.pack()
    if options.initramfs is not None:
        if not options.initramfs.is_file():
            raise UsageError(f"krait run: --initramfs wants a file, and {options.initramfs} is none")
        return bytes(options.initramfs.read_bytes())
    return None


def initrd_of(image: bytes | None, overlay: cpio.Archive) -> int:
    """A file in memory with the initial RAM disk; its descriptor."""
    return anonymous_file(cpio.extended(build_image().read_bytes() if image is None else image, overlay), "initrd")


def _terminal_overlay() -> cpio.Archive:
    overlay = cpio.Archive()
    if os.isatty(1):
        size = os.get_terminal_size(1)
        if size.lines and size.columns:
            overlay.file("etc/terminal-size", f"{size.lines} {size.columns}\n".encode())
    return overlay


def machine_of(options: argparse.Namespace, *extra: str) -> Machine:
    chosen = "tcg"
    if options.accel != "tcg":
        from tools.kvm import accelerator

        chosen = accelerator(options.accel)
    cpu = options.cpu or ("host" if chosen == "kvm" else "max")
    for each in options.disk:
        if each.mode is DiskMode.SNAPSHOT:
            note = f"what the guest writes is thrown away at the end (--disk {each.image},rw keeps it)"
            print(f"krait: {each.image}: {note}", file=sys.stderr)
    return Machine(
        type=options.machine, memory=options.memory, processors=options.smp, cpu=cpu, accelerator=chosen,
        disks=tuple(options.disk), shares=tuple(getattr(options, "shares", ())), network=_network(options),
        firmware=quick_firmware(options.machine), extra=extra,
    )


def _network(options: argparse.Namespace) -> Network | None:
    if options.network != "user" and not options.forward:
        return None
    return Network(tuple(options.forward))


def _prepare_ssh(options: argparse.Namespace) -> cpio.Archive:
    """The files of an SSH server for the guest; and a port that leads to it, and how to log in."""
    from userland import ssh

    port = free_port(SSH_PORT)
    options.forward.append(Forward(port, ssh.GUEST_PORT))
    configuration = ssh.client_configuration(port)
    shown = os.path.relpath(configuration)
    print(f"krait: log in with: ssh -F {shown} {ssh.GUEST_NAME}", file=sys.stderr)
    return ssh.ssh_overlay()


def kernel_of(options: argparse.Namespace) -> Path:
    if options.kernel is not None:
        if not options.kernel.is_file() or not os.access(options.kernel, os.R_OK):
            raise UsageError(f"krait run: --kernel wants a file that may be read, and {options.kernel} is none")
        return Path(options.kernel)
    if IS_INSTALLED and options.profile == "dev" and find_project() is None:
        raise UsageError("krait run: the kernel that came with Krait is a release build; a project has others")
    return built_kernel(options.profile or ("dev" if options.debug else "release"))


def trace(options: argparse.Namespace) -> int:
    """As `run`, and print the system calls of the program and its children among the errors, or into a file."""
    if options.command is None and options.program is None:
        raise UsageError("krait trace: name a program or an image")
    if options.detach:
        raise UsageError("krait trace: -d has nobody to show the calls to")
    from tools.guest.tracing import CallFilter

    chosen = CallFilter(options.calls)
    options.append = f"{options.append} {chosen.parameter} loglevel=7".strip()
    if options.output is None:
        return run(options, chosen.feed)
    try:
        output = options.output.open("wb")
    except OSError as error:
        raise UsageError(f"krait trace: {options.output}: {error.strerror}") from error

    def store(log: bytes) -> bytes:
        output.write(chosen.feed(log))
        return b""

    with output:
        return run(options, store)


def profile(options: argparse.Namespace) -> int:
    """As `run`, and write a flame graph of where the guest spent its instructions."""
    from tools.profile.flame_graph import draw
    from tools.profile.record import plugin_option, read_stacks

    if options.command is None and options.program is None:
        raise UsageError("krait profile: name a program or an image")
    if options.detach:
        raise UsageError("krait profile: -d ends when the machine has only begun")
    if options.accel != "tcg":
        raise UsageError("krait profile: it counts instructions, which only --accel tcg can")
    if not options.output.absolute().parent.is_dir() or options.output.is_dir():
        raise UsageError(f"krait profile: {options.output} is no place for a file")
    options.kernel = kernel_of(options)
    with ended_in_order(), scratch_directory("krait-profile-") as (scratch, _):
        records = scratch / "samples"
        status = run(options, extra=plugin_option(records, options.interval, options.boot, options.kernel))
        if not records.exists():  # we had to end before QEMU had begun
            return status
        stacks = read_stacks(records, options.kernel)
    what = options.command or " ".join([options.program, *options.arguments])
    options.output.write_text(draw(stacks, f"krait profile {what}", f"{options.interval:,} instructions"))
    print(f"krait: {stacks.total():,} samples are in {options.output}", file=sys.stderr)
    return status


def run(options: argparse.Namespace, shown_log: ShownLog | None = None, extra: tuple[str, ...] = ()) -> int:
    require_qemu()
    if options.command is not None and options.program is not None:
        raise UsageError("krait run: give either --command or a program, not both")
    if options.root is not None and options.initramfs is not None:
        raise UsageError("krait run: give either --root or --initramfs, not both")
    from_disk = isinstance(options.root, str)
    if from_disk and options.ssh:
        raise UsageError("krait run: --ssh puts its server into the initial RAM disk, and --root DEVICE boots without")
    if from_disk and not options.disk:
        raise UsageError(f"krait run: --root {options.root} needs a disk: --disk FILE")
    use_processors(options)
    check_ports([*options.forward, *[GDB_PORT] * options.debug])
    if options.command is None and options.program is None:
        if options.detach or options.name is not None or options.shares:
            raise UsageError("krait run: -d, -v and --name are for programs: name an image or a program")
        if os.isatty(0) or options.root is not None or options.initramfs is not None or options.ssh or options.debug:
            return _run_shell(options, from_disk)
        options.command = "exec sh"  # its commands are our input, and at the end of that it ends
    if not options.detach:
        wants_terminal(options.tty, options.interactive, "krait run")  # complains before anything is built
    root = choose_root(options, lambda: root_image(options))
    if options.ssh:
        root.carried.entries.update(_prepare_ssh(options).entries)
    if root.wants_network and options.network is None:
        options.network = "user"
    options.shares = [*root.shares, *options.shares]
    places = [share.place for share in options.shares]
    if len(set(places)) < len(places):
        twice = next(place for place in places if places.count(place) > 1)
        raise UsageError(f"krait run: two directories are to be at {twice}")
    kernel = kernel_of(options)
    machine = machine_of(options, *_debugger(options, kernel), *extra)
    return run_program(options, machine, kernel, root, shown_log)


def use_processors(options: argparse.Namespace) -> None:
    """Let the kernel run on the processors that the user asked for: by itself it runs on one. What --append says comes
    later, so it wins.
    """
    if options.smp > 1:
        options.append = f"maxcpus={options.smp} {options.append}".strip()


def _debugger(options: argparse.Namespace, kernel: Path) -> tuple[str, ...]:
    """QEMU's arguments for --debug."""
    if not options.debug:
        return ()
    port = GDB_PORT.host_port
    print(f"krait: waiting for gdb: gdb {kernel} -ex 'target remote :{port}'", file=sys.stderr)
    return ("-gdb", f"tcp:127.0.0.1:{port}", "-S")


def _run_shell(options: argparse.Namespace, from_disk: bool) -> int:
    """Boot into the root image's shell, or a disk's own first program, on the serial line."""
    from tools.run_shell import RESTART, attend_shell, is_interactive

    overlay = _terminal_overlay()
    words = [PARAMETERS, "" if is_interactive() else RESTART, options.append]
    if from_disk:
        words.append(f"root={options.root} rw rootwait={ROOT_WAIT_S}")
    if options.ssh:
        overlay.entries |= _prepare_ssh(options).entries
    kernel = kernel_of(options)
    parameters = " ".join(word for word in words if word)
    initrd = None if from_disk else initrd_of(root_image(options), overlay)
    command = machine_of(options, *_debugger(options, kernel)).command(direct_boot(kernel, initrd, parameters), Path())
    return attend_shell(command, inherited_by(initrd), options.memory)


def direct_boot(kernel: Path, initrd: int | None, parameters: str) -> DirectBoot:
    return DirectBoot(kernel, None if initrd is None else Path(f"/proc/self/fd/{initrd}"), parameters)


def inherited_by(descriptor: int | None) -> tuple[int, ...]:
    return () if descriptor is None else (descriptor,)


def _why_missing(name: str) -> str | None:
    from tools.docker_options import reason_for  # when something is wrong

    return reason_for(name)


def _add_run_options(command: Parser) -> None:
    command.why_missing = _why_missing
    add_quiet(command)
    add_machine_options(command)
    command.add_argument("--command", metavar="CMD", help="run this shell command and stop")
    command.add_argument("--ssh", action="store_true", help="start an SSH server in the guest and say how to log in")
    add_program_options(command)
    command.add_argument("--debug", action="store_true", help="wait for gdb on port 1234 before the first instruction")
    command.add_argument("program", metavar="IMAGE|PROGRAM", nargs="?", help="an image, or a program of this machine")
    command.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's arguments")


def add_run(commands: Commands) -> None:
    command = commands.add_parser(
        "run", help="boot into a shell, or run one command or program", add_help=False,
        description="Boot Krait in QEMU: into a shell on this terminal (Ctrl-A X leaves), or to run one command of the "
        "root image or one program of this machine, whose output and exit status become ours. Input that is no "
        "terminal holds the shell's commands.",
    )
    command.set_defaults(action=run)
    _add_run_options(command)

    command = commands.add_parser(
        "trace", help="run a program and print its system calls, as strace does", add_help=False,
        description="Run a program as `krait run` does, with the same options, and print the system calls that it and "
        "its children make. The kernel prints them: of the program itself, that changes nothing but its speed.",
    )
    command.set_defaults(action=trace)
    command.add_argument("--calls", metavar="CALL[,CALL…]", type=calls, default=(), help="print these calls (all)")
    command.add_argument("-o", "--output", metavar="FILE", type=Path, help="print into this file (standard error)")
    _add_run_options(command)

    command = commands.add_parser(
        "profile", help="run a program and draw a flame graph of what the kernel did for it", add_help=False,
        description="Run a program as `krait run` does, with the same options, and write a picture of where the guest "
        "spent its instructions: a plugin of QEMU looks at the stack every so many. So the kernel runs as it is.",
    )
    command.set_defaults(action=profile)
    command.add_argument("-o", "--output", metavar="FILE", type=Path, default=Path("profile.svg"),
                         help="the picture (profile.svg)")
    command.add_argument("--interval", metavar="N", type=positive, default=10_000,
                         help="instructions from one look to the next (10000)")
    command.add_argument("--boot", action="store_true", help="begin with the kernel's first instruction")
    _add_run_options(command)
