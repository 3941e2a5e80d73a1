"""The command `./krait`: build, run, debug, test, check, make and write the ISO image."""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from compiler.progress import be_quiet
from tools import cpio, image_commands, machine_commands
from tools.arguments import Parser, calls, existing, in_bytes, memory_size, positive, processor_count, volume_label
from tools.doctor import main as examine_machine
from tools.errors import KraitError, UsageError
from tools.flash import flash, refusal
from tools.freshness import is_fresh, note_fresh, source_facts
from tools.guest.running import place_of_sockets
from tools.guest.session import wants_terminal
from tools.guest.tracing import CallFilter
from tools.help_pages import SHELLS, completion, man_page
from tools.image import ImageError, build_disk, plan_disk
from tools.iso import build_iso
from tools.kvm import accelerator
from tools.machine import DirectBoot, DiskMode, Forward, Machine, Network, require_qemu
from tools.paths import BUILD, IS_INSTALLED, KERNEL, ROOT
from tools.program_root import choose_root
from tools.project import FILE as PROJECT_FILE
from tools.project import KINDS, find_project, new, test_project
from tools.run_options import add_machine_options, add_program_options
from tools.run_program import ShownLog, run_program
from tools.selfhost.build import MEMORY as SELF_BUILD_MEMORY
from tools.selfhost.build import self_build
from tools.selfhost.tests import self_test
from tools.setup import require
from tools.version import VERSION
from userland import ssh
from userland.image import SKELETON, build_image, root_archive

PARAMETERS = "console=ttyS0"
ROOT_WAIT_S = 10  # for a disk that --root names
SSH_PORT = 2222  # of this machine, or the next one that is free
TYPED_PACKAGES = ("kernel", "arch", "compiler", "tools", "userland", "tests.harness", "tests.packets",
                  "tests.conformance", "tests.bench", "tests.boot", "tests.twins", "tests.debug", "tests.fuzz_network",
                  "tests.fuzz_calls", "tests.unit", "tests.native", "tests.exercises")  # fmt: skip


EXAMPLES = {
    "krait": (
        "krait run                                  a shell (Ctrl-A X leaves)",
        "krait run busybox uname -a                 a program of an image",
        "krait run ./hello.py                       a Python script of this machine",
        "krait run -d --name web -p 8080:80 ./i.tar a machine in the background",
        "krait exec -it web sh                      one more program in it",
        "krait new mine                             a project of one's own",
    ),
    "krait run": (
        "krait run busybox uname -a", "echo data | krait run ./hello.py", "krait run debian:13 bash",
        "krait run -v .:/src -w /src python3 test.py", "krait run -d --name web -p 8080:80 ./image.tar",
        "krait run --command 'dmesg | tail'",
    ),
    "krait trace": ("krait trace --calls openat,read busybox cat /etc/passwd", "krait trace -o calls ./program"),
    "krait profile": ("krait profile -o sort.svg --command 'seq 20000 | sort -n | tail -1'",),
    "krait new": ("krait new mine && cd mine && krait test", "krait new --kind call ancestors"),
    "krait test": ("krait test", "krait test tests/unit/tty -k backspace"),
    "krait image": ("krait image -o disk.img", "krait image root.tar -o disk.img --size 2G"),
    "krait python": ("krait python", "krait python --append quiet -c 'print(init.getpid())'"),
    "krait debug": ("krait debug -- -ex 'break kernel/fs/open.py:69' -ex continue",),
    "krait exec": ("krait exec web ps", "krait exec -it web sh"),
    "krait cp": ("krait cp web:/etc/passwd .", "krait cp data.txt web:/tmp"),
}


# --- build ---


def build_kernel(profile: str) -> None:
    if IS_INSTALLED:
        return
    sources = source_facts()
    if is_fresh(profile, sources):
        return
    command = [sys.executable, "-m", "compiler", "build", "--progress", "--profile", profile, "-o", str(KERNEL)]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=sys.stderr)
    if done.returncode != 0:
        raise KraitError("krait: the kernel was not built")
    note_fresh(profile, sources)


def build(options: argparse.Namespace) -> int:
    project = find_project()
    if project is not None:
        project.build(options.profile)
        return 0
    if IS_INSTALLED:
        raise UsageError(f"krait build: no project here: no {PROJECT_FILE} (krait new makes one)")
    build_kernel(options.profile)
    build_image()
    return 0


def iso(options: argparse.Namespace) -> int:
    build(options)
    print(build_iso())
    return 0


def write_disk(options: argparse.Namespace) -> int:
    reason = refusal(options.device, None)  # before minutes are spent on building
    if reason:
        raise UsageError(f"flash: {reason}")
    build(options)
    flash(options.device, build_iso())
    return 0


def image(options: argparse.Namespace) -> int:
    """Make a bootable disk of a root file system, ours if no other is given."""
    require("image")
    if options.output.is_block_device() or options.output.is_dir():
        raise UsageError(f"krait image: {options.output} is no place for a file")
    if not options.output.resolve().parent.is_dir():
        raise UsageError(f"krait image: {options.output.parent} is no directory")
    with tempfile.TemporaryDirectory(prefix="krait-image-") as directory:
        source = options.source
        if source is None:
            build_image()
            source = Path(directory) / "root.tar"
            root_archive().write_tar(source)
        size = None if options.size is None else in_bytes(options.size)
        parameters = f"{PARAMETERS} {options.append}".strip()
        try:
            plan = plan_disk(source, size)
            kernel = _built_kernel(options.profile)
            build_disk(plan, kernel, options.output, label=options.label, parameters=parameters)
        except (ImageError, OSError) as error:
            raise KraitError(f"krait image: {error}") from error
    print(f"krait: wrote {options.output} ({options.output.stat().st_size >> 20} MiB)", file=sys.stderr)
    return 0


# --- python ---


def prompt(options: argparse.Namespace) -> int:
    from tools.simulated.prompt import start  # imports the whole kernel: no other command waits for that

    return start(options)


# --- run ---


def _root_image(options: argparse.Namespace) -> bytes:
    """The initial RAM disk that the user asked for."""
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
    return build_image().read_bytes()


def _write_initrd(directory: Path, image: bytes, overlay: cpio.Archive) -> Path:
    path = directory / "initrd"
    path.write_bytes(cpio.extend(image, overlay))
    return path


def _terminal_overlay() -> cpio.Archive:
    overlay = cpio.Archive()
    if os.isatty(1):
        size = os.get_terminal_size(1)
        if size.lines and size.columns:
            overlay.file("etc/terminal-size", f"{size.lines} {size.columns}\n".encode())
    return overlay


def _machine(options: argparse.Namespace, *extra: str) -> Machine:
    chosen = accelerator(options.accel)
    cpu = options.cpu or ("host" if chosen == "kvm" else "max")
    for each in options.disk:
        if each.mode is DiskMode.SNAPSHOT:
            note = f"what the guest writes is thrown away at the end (--disk {each.image},rw keeps it)"
            print(f"krait: {each.image}: {note}", file=sys.stderr)
    return Machine(
        type=options.machine, memory=options.memory, processors=options.smp, cpu=cpu, accelerator=chosen,
        disks=tuple(options.disk), shares=tuple(getattr(options, "shares", ())), network=_network(options), extra=extra,
    )


def _network(options: argparse.Namespace) -> Network | None:
    if not options.net and not options.forward:
        return None
    return Network(tuple(options.forward))


def check_ports(forwards: list[Forward]) -> None:
    """Raise KraitError if somebody listens on a port that is to be forwarded."""
    for each in forwards:
        kind = socket.SOCK_STREAM if each.protocol == "tcp" else socket.SOCK_DGRAM
        with socket.socket(socket.AF_INET, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", each.host_port))
            except OSError as error:
                reason = (error.strerror or "").lower()
                raise KraitError(f"krait run: port {each.host_port} of this machine: {reason}") from error


def free_port(first: int) -> int:
    """A port of the loopback address that nobody listens on, from `first` on."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise KraitError(f"krait run: no free port between {first} and {first + 99}")


def _prepare_ssh(options: argparse.Namespace) -> cpio.Archive:
    """The files of an SSH server for the guest; and a port that leads to it, and how to log in."""
    port = free_port(SSH_PORT)
    options.forward.append(Forward(port, ssh.GUEST_PORT))
    configuration = ssh.client_configuration(port)
    shown = os.path.relpath(configuration)
    print(f"krait: log in with: ssh -F {shown} {ssh.GUEST_NAME}", file=sys.stderr)
    return ssh.ssh_overlay()


def _kernel(options: argparse.Namespace) -> Path:
    if options.kernel is not None:
        return Path(options.kernel)
    if IS_INSTALLED and options.profile == "dev" and find_project() is None:
        raise UsageError("krait run: the kernel that came with Krait is a release build; a project has others")
    return _built_kernel(options.profile or ("dev" if options.debug else "release"))


def _built_kernel(profile: str) -> Path:
    """The project's, in one; else Krait's own."""
    project = find_project()
    if project is not None:
        return project.build(profile)
    build_kernel(profile)
    return KERNEL


def trace(options: argparse.Namespace) -> int:
    """As `run`, and print the system calls of the program and its children among the errors, or into a file."""
    if options.command is None and options.program is None:
        raise UsageError("krait trace: name a program or an image")
    if options.detach:
        raise UsageError("krait trace: -d has nobody to show the calls to")
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
    options.kernel = _kernel(options)
    with tempfile.TemporaryDirectory(prefix="krait-profile-") as scratch:
        records = Path(scratch) / "samples"
        status = run(options, extra=plugin_option(records, options.interval, options.boot))
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
    _use_processors(options)
    if options.command is None and options.program is None:
        if options.detach or options.name is not None or options.shares:
            raise UsageError("krait run: -d, -v and --name are for programs: name an image or a program")
        return _run_shell(options, from_disk)
    if not options.detach:
        wants_terminal(options.tty, options.interactive, "krait run")  # complains before anything is built
    check_ports(options.forward)
    root = choose_root(options, lambda: _root_image(options))
    if options.ssh:
        root.carried.entries.update(_prepare_ssh(options).entries)
    if root.wants_network and options.network != "none":
        options.net = True
    kernel = _kernel(options)
    machine = _machine(options, *_debugger(options, kernel), *extra)
    return run_program(options, machine, kernel, root, shown_log)


def _use_processors(options: argparse.Namespace) -> None:
    """Let the kernel run on the processors that the user asked for: by itself it runs on one. What --append says comes
    later, so it wins.
    """
    if options.smp > 1:
        options.append = f"maxcpus={options.smp} {options.append}".strip()


def _debugger(options: argparse.Namespace, kernel: Path) -> tuple[str, ...]:
    """QEMU's arguments for --debug."""
    if not options.debug:
        return ()
    print(f"krait: waiting for gdb: gdb {kernel} -ex 'target remote :1234'", file=sys.stderr)
    return ("-s", "-S")


def _run_shell(options: argparse.Namespace, from_disk: bool) -> int:
    """Boot into the root image's shell, or a disk's own first program, on the serial line."""
    overlay = _terminal_overlay()
    words = [PARAMETERS, options.append]
    if from_disk:
        words.append(f"root={options.root} rw rootwait={ROOT_WAIT_S}")
    if options.ssh:
        overlay.entries |= _prepare_ssh(options).entries
    kernel = _kernel(options)
    parameters = " ".join(word for word in words if word)
    with tempfile.TemporaryDirectory(prefix="krait-run-") as scratch:
        initrd = None if from_disk else _write_initrd(Path(scratch), _root_image(options), overlay)
        machine = _machine(options, *_debugger(options, kernel))
        command = machine.command(DirectBoot(kernel, initrd, parameters), Path(scratch))
        return subprocess.run([*command, "-serial", "mon:stdio"], check=False).returncode


def debug(options: argparse.Namespace) -> int:
    """gdb in front, the machine behind it; what the guest prints goes to a file."""
    require_qemu()
    from_disk = isinstance(options.root, str)
    if from_disk:
        options.append += f" root={options.root} rw rootwait={ROOT_WAIT_S}"
    options.debug = True
    _use_processors(options)
    kernel = _kernel(options)
    log = BUILD / "debug.log"
    with tempfile.TemporaryDirectory(prefix="krait-debug-") as scratch, place_of_sockets(Path(scratch)) as sockets:
        initrd = None if from_disk else _write_initrd(Path(scratch), _root_image(options), cpio.Archive())
        place, descriptor = sockets
        stub = place / "gdb"
        parameters = f"{PARAMETERS} {options.append}".strip()
        machine = _machine(options, "-S", "-gdb", f"unix:{stub},server=on,wait=off")
        command = machine.command(DirectBoot(kernel, initrd, parameters), Path(scratch))
        print(f"krait: the guest's serial line goes to {log}", file=sys.stderr)
        qemu = subprocess.Popen(
            [*command, "-serial", f"file:{log}"], stdin=subprocess.DEVNULL, start_new_session=True,
            pass_fds=[descriptor],
        )  # fmt: skip
        try:
            while not stub.exists():
                if qemu.poll() is not None:
                    raise KraitError("krait debug: QEMU ended")
                time.sleep(0.01)
            return subprocess.run(
                ["gdb", "-q", str(kernel), "-ex", f"target remote {stub}", *options.gdb], check=False, cwd=ROOT,
                pass_fds=[descriptor],
            ).returncode  # fmt: skip
        finally:
            qemu.kill()
            qemu.wait()


# --- check ---


def test(options: argparse.Namespace) -> int:
    """All tests, on two processors (tests/conftest.py says which share one), or those that the arguments name; in a
    project, its own.
    """
    project = find_project()
    if project is not None:
        return test_project(project, options.pytest)
    build(options)
    arguments = options.pytest or ["--numprocesses", "2", "--dist", "loadscope"]
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False, cwd=ROOT).returncode


def lint(options: argparse.Namespace) -> int:
    """One run of mypy for all packages: their types lean on each other and on the project's plugin. Of named files and
    directories, only these, with the types of what they import.
    """
    paths = [str(path.resolve()) for path in options.paths]
    typed = [part for path in options.paths or [ROOT] for part in typed_part(path.resolve())]
    ruff = subprocess.run([sys.executable, "-m", "ruff", "check", *(paths or ["."])], check=False, cwd=ROOT).returncode
    if not typed:
        return ruff
    mypy = subprocess.run([sys.executable, "-m", "mypy", "--strict", *typed], check=False, cwd=ROOT).returncode
    return ruff or mypy


def typed_part(path: Path) -> list[str]:
    """How mypy is asked for a file or directory: nothing where types are not checked."""
    if not path.is_relative_to(ROOT):
        return []
    name = str(path.relative_to(ROOT)).removesuffix(".py").replace("/", ".").removesuffix(".__init__")
    if path.is_dir():
        inside = [package for package in TYPED_PACKAGES if path == ROOT or package.startswith(f"{name}.")]
        is_typed = any(f"{name}.".startswith(f"{package}.") for package in TYPED_PACKAGES)
        return [part for package in ([name] if is_typed else inside) for part in ("-p", package)]
    if path.suffix != ".py" or not any(name.startswith(f"{package}.") or name == package for package in TYPED_PACKAGES):
        return []
    return ["-m", name]


def make_site(options: argparse.Namespace) -> int:
    from tools.site.build import docs

    return docs(options)


def _show(text: str) -> int:
    print(text, end="")
    return 0


def add_quiet(command: Parser) -> None:
    command.add_argument("-q", "--quiet", dest="hush", action="store_true", help="say nothing of what is made first")


def add_self_options(command: Parser) -> None:
    """Options of the commands for which this machine's Python runs in a guest, with the checkout."""
    add_quiet(command)
    command.add_argument("--memory", metavar="SIZE", type=memory_size, default=SELF_BUILD_MEMORY,
                         help=f"of the machine ({SELF_BUILD_MEMORY})")
    command.add_argument("--cpus", metavar="N", type=processor_count, default=1, help="processors of the machine (1)")


def _add_run_options(command: Parser) -> None:
    add_quiet(command)
    add_machine_options(command)
    command.add_argument("--command", metavar="CMD", help="run this shell command and stop")
    command.add_argument("--ssh", action="store_true", help="start an SSH server in the guest and say how to log in")
    add_program_options(command)
    command.add_argument("--debug", action="store_true", help="wait for gdb on port 1234 before the first instruction")
    command.add_argument("program", metavar="IMAGE|PROGRAM", nargs="?", help="an image, or a program of this machine")
    command.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's arguments")


def _parser() -> Parser:
    parser = Parser(prog="krait", description="Build, run and test Krait.")
    parser.add_argument("--version", action="version", version=f"krait {VERSION}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    command = commands.add_parser("build", help="compile the kernel and pack the root image")
    command.set_defaults(action=build)
    command.add_argument("--profile", choices=("dev", "release"), default="release")
    add_quiet(command)

    command = commands.add_parser(
        "run", help="boot into a shell, or run one command or program", add_help=False,
        description="Boot Krait in QEMU: into a shell on this terminal (Ctrl-A X leaves), or to run one command of the "
        "root image or one program of this machine, whose output and exit status become ours.",
    )
    command.set_defaults(action=run)
    _add_run_options(command)

    command = commands.add_parser(
        "trace", help="run a program and print its system calls, as strace does", add_help=False,
        description="Run a program as `krait run` does, with the same options, and print the system calls that it and "
        "its children make. The kernel prints them: nothing of the program's own is changed by that but its speed.",
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

    machine_commands.add_commands(commands)
    image_commands.add_commands(commands)

    command = commands.add_parser(
        "python", help="boot under CPython, and be process 1 at a Python prompt",
        description="Boot the kernel's Python in this interpreter, on a simulated machine, and give a prompt in its "
        "first process: system calls are methods, and pdb steps through the kernel. docs/prompt.md has a tour.",
    )
    command.set_defaults(action=prompt)
    command.add_argument("-c", "--command", metavar="CODE", help="run this instead of asking")
    command.add_argument("--memory", metavar="SIZE", type=memory_size, default="32M", help="of the machine (32M)")
    command.add_argument("--append", metavar="'PARAMETERS'", default="", help="kernel parameters")
    command.add_argument("file", metavar="FILE", type=Path, nargs="?", help="run this script instead of asking")
    command.add_argument("arguments", metavar="ARGUMENT", nargs=argparse.REMAINDER, help="sys.argv[1:] of the script")

    command = commands.add_parser("debug", help="boot under gdb")
    command.set_defaults(action=debug)
    add_machine_options(command)
    command.add_argument("gdb", metavar="GDB-ARGS", nargs=argparse.REMAINDER, help="arguments for gdb, after --")

    command = commands.add_parser(
        "image", help="make a disk image that boots, from a root file system",
        description="Make a raw disk image that boots under BIOS and UEFI: GRUB, Krait, and an ext2 root file system "
        "made of a directory or a tar archive (of an exported container, for example); without one, of Krait's own.",
    )
    command.set_defaults(action=image)
    command.add_argument("source", metavar="DIR|TAR", nargs="?", type=existing, help="the root file system")
    command.add_argument("-o", "--output", metavar="FILE", type=Path, required=True, help="the image to write")
    command.add_argument("--size", metavar="SIZE", type=memory_size, help="of the disk (half as much again as needed)")
    command.add_argument("--label", metavar="NAME", type=volume_label, default="krait", help="of the root file system")
    command.add_argument("--append", metavar="'PARAMETERS'", default="", help="more kernel parameters")
    command.add_argument("--profile", choices=("dev", "release"), default="release")

    checkout_only = () if IS_INSTALLED else (
        ("iso", iso, "make build/krait.iso, which boots from CD and disk, with BIOS and UEFI"),
        ("flash", write_disk, "write the ISO image to a disk, after asking"),
    )  # fmt: skip
    for name, action, text in checkout_only:
        command = commands.add_parser(name, help=text)
        command.set_defaults(action=action)
        command.add_argument("--profile", choices=("dev", "release"), default="release")
        if name == "flash":
            command.add_argument("device", metavar="DEVICE", type=existing)

    command = commands.add_parser(
        "new", help="start a project: a system call, a driver or a file of /proc of your own",
        description="Make a directory with a module that is compiled into the kernel, and with its test. In it, the "
        "commands build, run, test and debug are about that kernel.",
    )
    command.set_defaults(action=new)
    command.add_argument("--kind", choices=sorted(KINDS), default="proc",
                         help="; ".join(f"{name}: {text}" for name, text in sorted(KINDS.items())))
    command.add_argument("directory", metavar="NAME", type=Path, help="the directory; its name is the module's")

    command = commands.add_parser("test", help="run the tests, or a project's; arguments go to pytest")
    command.set_defaults(action=test, profile="release")
    command.add_argument("pytest", metavar="PYTEST-ARGS", nargs=argparse.REMAINDER)

    if not IS_INSTALLED:
        command = commands.add_parser("lint", help="check style and types: of everything, or of some files")
        command.set_defaults(action=lint)
        command.add_argument("paths", metavar="PATH", type=existing, nargs="*", help="a file or directory")

        command = commands.add_parser(
            "self-build", help="compile Krait on Krait, and compare",
            description="Boot Krait with this machine's Python, gcc and a copy of the checkout, build the kernel there "
            "and hold what comes out against what is built here: IR and image have to be the same, byte for byte. "
            "Interrupted, it goes on from its cache in build/self.",
        )
        command.set_defaults(action=self_build)
        command.add_argument("--profile", choices=("dev", "release"), default="dev")
        add_self_options(command)
        command.add_argument("--generations", metavar="N", type=positive, default=1,
                             help="how often: each is built on the one before (1)")
        command.add_argument("--boot", action="store_true",
                             help="let the machine go on, by kexec, in each one that it has built")
        command.add_argument("--short", action="store_true", help="compile and run one program only")

        command = commands.add_parser(
            "self-test", help="run the unit and language tests on Krait, and compare",
            description="Run tests of the levels unit and language here and in a machine with Krait's kernel, this "
            "machine's Python and a copy of the checkout. Each has to end alike: passed, failed or skipped.",
        )
        command.set_defaults(action=self_test)
        add_self_options(command)
        command.add_argument("-k", metavar="EXPRESSION", help="those that pytest's -k chooses")
        command.add_argument("--short", action="store_true", help="a few of them")
        command.add_argument("paths", metavar="PATH", nargs="*", help="files, directories, names of tests (all)")

        command = commands.add_parser("docs", help="make the pages as a site, build/site/index.html")
        command.set_defaults(action=make_site)
        command.add_argument("--without-machine", action="store_true", help="leave out the picture that needs a boot")
        add_quiet(command)

    command = commands.add_parser("doctor", help="say what this machine lacks for Krait")
    command.set_defaults(action=lambda options: examine_machine())  # ./krait starts tools/doctor.py by itself
    command = commands.add_parser("completion", help="print a shell's completion of this command")
    command.set_defaults(action=lambda options: _show(completion(parser, options.shell)))
    command.add_argument("shell", choices=SHELLS)
    command = commands.add_parser("man", help="print the manual page, for man -l -")
    command.set_defaults(action=lambda options: _show(man_page(parser)))
    for each in (parser, *commands.choices.values()):
        each.examples = EXAMPLES.get(each.prog, ())
    return parser


def main() -> int:
    # It let us find our own modules. Children start in the checkout; mypy judges modules on PYTHONPATH differently.
    os.environ.pop("PYTHONPATH", None)
    options = _parser().parse_args()
    if getattr(options, "hush", False):
        be_quiet()
    if getattr(options, "gdb", None) and options.gdb[0] == "--":
        options.gdb = options.gdb[1:]
    return int(options.action(options))


def start() -> int:
    """The command; what went wrong is one line."""
    try:
        return main()
    except KraitError as error:
        print(error, file=sys.stderr)
        return error.status
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader of our output has seen enough, as in `./krait run … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 128 + signal.SIGPIPE


if __name__ == "__main__":
    sys.exit(start())
