"""The command `./krait`: build, run, debug, test, check, make and write the ISO image."""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

from tools import cpio
from tools.flash import flash, refusal
from tools.image import ImageError, build_disk, plan_disk
from tools.iso import build_iso
from tools.kvm import accelerator
from tools.libraries import LibraryError, add_libraries, interpreter
from tools.machine import MACHINE_TYPES, DirectBoot, Disk, DiskMode, Forward, Machine, Network
from tools.paths import BUILD, KERNEL, ROOT
from tools.session import run_program
from tools.setup import require
from userland import ssh
from userland.image import LOADER, SKELETON, build_image, root_archive

MOST_PROCESSORS = 255
PARAMETERS = "console=ttyS0"
SSH_PORT = 2222  # of this machine, or the next one that is free

# Runs a program inside the root file system of a disk, from the root image.
IN_DISK = """\
#!/bin/sh
mount DEVICE /mnt || exit 125
cp -r /krait /tmp/krait
for name in dev proc sys tmp; do
	mkdir -p /mnt/$name 2>/dev/null
	mount -o bind /$name /mnt/$name || exit 125
done
chroot /mnt /bin/sh -c 'cd /tmp/krait && exec ./krait-run'
status=$?
umount /mnt/tmp /mnt/sys /mnt/proc /mnt/dev /mnt || exit 125
exit $status
"""
TYPED_PACKAGES = ("kernel", "arch", "compiler", "tools", "userland", "tests.harness", "tests.packets",
                  "tests.conformance", "tests.bench", "tests.boot", "tests.twins", "tests.debug", "tests.fuzz_network",
                  "tests.fuzz_calls", "tests.unit")  # fmt: skip


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, instead of printing the usage before it."""

    def error(self, message: str) -> NoReturn:
        raise SystemExit(f"{self.prog}: {message} (`{self.prog} --help` tells more)")


def memory_size(text: str) -> str:
    if not re.fullmatch(r"[1-9]\d*[KMGT]?", text.upper()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size like 256M or 2G")
    return text.upper()


def in_bytes(size: str) -> int:
    """The number of bytes behind what `memory_size` lets pass."""
    number = size.rstrip("KMGT")
    return int(number) << 10 * (" KMGT".index(size[len(number)]) if size != number else 0)


def volume_label(text: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,16}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a label: 1 to 16 letters, digits, dots, dashes")
    return text


def processor_count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST_PROCESSORS:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 to {MOST_PROCESSORS}")
    return int(text)


def existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path


def root(text: str) -> Path | str:
    """A directory of this machine, or what the kernel's root= names: a disk of the guest."""
    if re.match(r"/dev/vd[a-z]|(LABEL|UUID|PARTUUID)=", text):
        return text
    path = Path(text)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is neither a directory nor a disk of the guest, like /dev/vda")
    return path


def disk(text: str) -> Disk:
    """FILE, FILE,rw or FILE,ro."""
    name, comma, mode = text.rpartition(",")
    if comma and mode in ("rw", "ro"):
        chosen = DiskMode(mode)
    else:
        name, chosen = text, DiskMode.SNAPSHOT
    path = Path(name)
    if not path.is_file() and not path.is_block_device():
        raise argparse.ArgumentTypeError(f"{name} is not a disk image (FILE, FILE,rw or FILE,ro)")
    if not os.access(path, os.R_OK | os.W_OK if chosen is DiskMode.WRITE else os.R_OK):
        raise argparse.ArgumentTypeError(f"{name} may not be {'written' if chosen is DiskMode.WRITE else 'read'}")
    return Disk(path, chosen)


def forward(text: str) -> Forward:
    """HOSTPORT:GUESTPORT, with /udp behind it for datagrams."""
    match = re.fullmatch(r"(\d{1,5}):(\d{1,5})(?:/(tcp|udp))?", text)
    if match is None or not all(0 < int(port) < 65536 for port in match.group(1, 2)):
        raise argparse.ArgumentTypeError(f"{text!r} is not HOSTPORT:GUESTPORT, such as 8080:80 or 5353:53/udp")
    return Forward(int(match[1]), int(match[2]), match[3] or "tcp")


# --- build ---


def build_kernel(profile: str) -> None:
    command = [sys.executable, "-m", "compiler", "build", "--profile", profile, "-o", str(KERNEL)]
    done = subprocess.run(command, check=False, cwd=ROOT, stdout=sys.stderr)
    if done.returncode != 0:
        raise SystemExit("krait: the kernel was not built")


def build(options: argparse.Namespace) -> int:
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
        raise SystemExit(f"flash: {reason}")
    build(options)
    flash(options.device, build_iso())
    return 0


def image(options: argparse.Namespace) -> int:
    """Make a bootable disk of a root file system, ours if no other is given."""
    require("image")
    if options.output.is_block_device() or options.output.is_dir():
        raise SystemExit(f"krait image: {options.output} is no place for a file")
    if not options.output.resolve().parent.is_dir():
        raise SystemExit(f"krait image: {options.output.parent} is no directory")
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
            build_kernel(options.profile)
            build_disk(plan, KERNEL, options.output, label=options.label, parameters=parameters)
        except (ImageError, OSError) as error:
            raise SystemExit(f"krait image: {error}") from error
    print(f"krait: wrote {options.output} ({options.output.stat().st_size >> 20} MiB)", file=sys.stderr)
    return 0


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
            raise SystemExit(f"krait run: --initramfs wants a file, and {options.initramfs} is none")
        return bytes(options.initramfs.read_bytes())
    return build_image().read_bytes()


def _program_overlay(options: argparse.Namespace, keyboard: bool) -> cpio.Archive:
    """The files that make /init run the given command or program."""
    overlay = cpio.Archive()
    if options.command is not None:
        overlay.file("krait-command", (options.command + "\n").encode())
        start = "sh /krait-command"
    else:
        if not options.program.is_file():
            raise SystemExit(f"krait run: {options.program} is not a file")
        program = options.program.read_bytes()
        loader = interpreter(program)
        if loader is not None and options.root is None and loader != str(LOADER):
            try:
                add_libraries(overlay, options.program, loader)
            except (LibraryError, OSError) as error:
                raise SystemExit(
                    f"krait run: {options.program} is linked dynamically; it {error}: link it statically, or give a "
                    "root file system with --root"
                ) from error
        name = options.program.name
        overlay.file(f"root/{name}", program, 0o755)
        start = shlex.join([f"./{name}", *options.arguments])
    stdin = "" if keyboard else " </dev/null"
    overlay.file("krait-run", f"#!/bin/sh\nexec {start}{stdin}\n".encode(), 0o755)
    return overlay


def _in_disk(overlay: cpio.Archive, device: str) -> None:
    """Make the overlay's program run in the root file system of a disk, which is mounted for it and unmounted again."""
    for name in ("krait-run", "krait-command", *(path for path in overlay.entries if path.startswith("root/"))):
        if name in overlay.entries:
            entry = overlay.entries.pop(name)
            overlay.entries[f"krait/{Path(name).name}"] = entry
    run = overlay.entries.pop("krait/krait-run").data.replace(b"/krait-command", b"/tmp/krait/krait-command")
    overlay.file("krait/krait-run", run, 0o755)
    overlay.file("krait-run", IN_DISK.replace("DEVICE", shlex.quote(device)).encode(), 0o755)


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
        disks=tuple(options.disk), network=_network(options), extra=extra,
    )


def _network(options: argparse.Namespace) -> Network | None:
    if not options.net and not options.forward:
        return None
    return Network(tuple(options.forward))


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
    raise SystemExit(f"krait run: no free port between {first} and {first + 99}")


def _prepare_ssh(options: argparse.Namespace, overlay: cpio.Archive) -> None:
    """An SSH server in the guest, a port that leads to it, and how to log in."""
    port = free_port(SSH_PORT)
    overlay.entries |= ssh.ssh_overlay().entries
    options.forward.append(Forward(port, ssh.GUEST_PORT))
    configuration = ssh.client_configuration(port)
    shown = os.path.relpath(configuration)
    print(f"krait: log in with: ssh -F {shown} {ssh.GUEST_NAME}", file=sys.stderr)


def _kernel(options: argparse.Namespace) -> Path:
    if options.kernel is not None:
        return Path(options.kernel)
    build_kernel(options.profile or ("dev" if options.debug else "release"))
    return KERNEL


def run(options: argparse.Namespace) -> int:
    if options.command is not None and options.program is not None:
        raise SystemExit("krait run: give either --command or a program, not both")
    if options.root is not None and options.initramfs is not None:
        raise SystemExit("krait run: give either --root or --initramfs, not both")
    single = options.command is not None or options.program is not None
    keyboard = single and os.isatty(0)
    overlay = _program_overlay(options, keyboard) if single else _terminal_overlay()
    words = [PARAMETERS, "quiet loglevel=1 panic=-1 KRAIT_PROGRAM=1" if single else "", options.append]
    from_disk = isinstance(options.root, str)
    if from_disk and options.ssh:
        raise SystemExit("krait run: --ssh puts its server into the initial RAM disk, and --root DEVICE boots without")
    if from_disk and not options.disk:
        raise SystemExit(f"krait run: --root {options.root} needs a disk: --disk FILE")
    if from_disk and single:
        _in_disk(overlay, options.root)
    elif from_disk:
        words.append(f"root={options.root} rw rootwait")
    if options.ssh:
        _prepare_ssh(options, overlay)
    kernel = _kernel(options)
    parameters = " ".join(word for word in words if word)
    with tempfile.TemporaryDirectory(prefix="krait-run-") as scratch:
        initrd: Path | None = None
        if single or not from_disk:
            image = _root_image(options)
            initrd = Path(scratch) / "initrd"
            initrd.write_bytes(cpio.extend(image, overlay) if overlay.entries else image)
        extra = ("-s", "-S") if options.debug else ()
        if options.debug:
            print(f"krait: waiting for gdb: gdb {kernel} -ex 'target remote :1234'", file=sys.stderr)
        command = _machine(options, *extra).command(DirectBoot(kernel, initrd, parameters), Path(scratch))
        if single:
            return run_program(command, keyboard)
        return subprocess.run([*command, "-serial", "mon:stdio"], check=False).returncode


def debug(options: argparse.Namespace) -> int:
    """gdb in front, the machine behind it; what the guest prints goes to a file."""
    if isinstance(options.root, str):
        options.append += f" root={options.root} rw rootwait"
    options.debug = True
    kernel = _kernel(options)
    image = _root_image(options)
    log = BUILD / "debug.log"
    with tempfile.TemporaryDirectory(prefix="krait-debug-") as scratch:
        initrd = Path(scratch) / "initrd"
        initrd.write_bytes(image)
        stub = Path(scratch) / "gdb"
        parameters = f"{PARAMETERS} {options.append}".strip()
        machine = _machine(options, "-S", "-gdb", f"unix:{stub},server=on,wait=off")
        command = machine.command(DirectBoot(kernel, initrd, parameters), Path(scratch))
        print(f"krait: the guest's serial line goes to {log}", file=sys.stderr)
        qemu = subprocess.Popen([*command, "-serial", f"file:{log}"], stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            while not stub.exists() and qemu.poll() is None:
                pass
            return subprocess.run(
                ["gdb", "-q", str(kernel), "-ex", f"target remote {stub}", *options.gdb], check=False, cwd=ROOT
            ).returncode
        finally:
            qemu.kill()
            qemu.wait()


# --- check ---


def test(options: argparse.Namespace) -> int:
    """All tests, on two processors (tests/conftest.py says which share one), or those that the arguments name."""
    build(options)
    arguments = options.pytest or ["--numprocesses", "2", "--dist", "loadscope"]
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], check=False, cwd=ROOT).returncode


def lint(options: argparse.Namespace) -> int:
    """One run of mypy for all packages: their types lean on each other and on the project's plugin."""
    packages = [part for name in TYPED_PACKAGES for part in ("-p", name)]
    ruff = subprocess.run([sys.executable, "-m", "ruff", "check", "."], check=False, cwd=ROOT).returncode
    mypy = subprocess.run([sys.executable, "-m", "mypy", "--strict", *packages], check=False, cwd=ROOT).returncode
    return ruff or mypy


def _add_machine_options(parser: Parser) -> None:
    parser.add_argument("--memory", metavar="SIZE", type=memory_size, default="256M", help="memory (256M)")
    parser.add_argument("--smp", metavar="N", type=processor_count, default=1, help="processors (1)")
    parser.add_argument("--machine", choices=MACHINE_TYPES, default="q35", help="QEMU's machine type (q35)")
    parser.add_argument("--cpu", metavar="MODEL", help="QEMU's processor model (max)")
    parser.add_argument("--accel", choices=("tcg", "kvm", "auto"), default="tcg",
                        help="tcg emulates; kvm and auto use KVM only after a guest has run on it (tcg)")
    parser.add_argument("--disk", metavar="FILE[,rw|,ro]", type=disk, action="append", default=[],
                        help="a virtio disk (repeatable): changes are thrown away unless ,rw; ,ro forbids them")
    parser.add_argument("--net", action="store_true", help="a virtio network card on QEMU's user network")
    parser.add_argument("--forward", metavar="HOSTPORT:GUESTPORT[/udp]", type=forward, action="append", default=[],
                        help="lead a port of this machine's loopback to the guest (repeatable; means --net)")
    parser.add_argument("--append", metavar="'PARAMETERS'", default="", help="more kernel parameters")
    parser.add_argument("--initramfs", metavar="FILE", type=existing, help="boot this cpio archive as root file system")
    parser.add_argument("--root", metavar="DIR|DEVICE", type=root,
                        help="boot a copy of this directory as root, or from a disk, as in /dev/vda1 or LABEL=name")
    parser.add_argument("--kernel", metavar="FILE", type=existing, help="boot this kernel and build none")
    parser.add_argument("--profile", choices=("dev", "release"), help="how to compile (release; dev for debugging)")


def _parser() -> Parser:
    parser = Parser(prog="krait", description="Build, run and test Krait.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    command = commands.add_parser("build", help="compile the kernel and pack the root image")
    command.set_defaults(action=build)
    command.add_argument("--profile", choices=("dev", "release"), default="release")

    command = commands.add_parser(
        "run", help="boot into a shell, or run one command or program",
        description="Boot Krait in QEMU: into a shell on this terminal (Ctrl-A X leaves), or to run one command of the "
        "root image or one program of this machine, whose output and exit status become ours.",
    )
    command.set_defaults(action=run)
    _add_machine_options(command)
    command.add_argument("--command", metavar="CMD", help="run this shell command and stop")
    command.add_argument("--ssh", action="store_true", help="start an SSH server in the guest and say how to log in")
    command.add_argument("--debug", action="store_true", help="wait for gdb on port 1234 before the first instruction")
    command.add_argument("program", metavar="PROGRAM", nargs="?", type=Path, help="run this file of the host and stop")
    command.add_argument("arguments", metavar="ARGS", nargs=argparse.REMAINDER, help="the program's arguments")

    command = commands.add_parser("debug", help="boot under gdb")
    command.set_defaults(action=debug)
    _add_machine_options(command)
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

    for name, action, text in (
        ("iso", iso, "make build/krait.iso, which boots from CD and disk, with BIOS and UEFI"),
        ("flash", write_disk, "write the ISO image to a disk, after asking"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(action=action)
        command.add_argument("--profile", choices=("dev", "release"), default="release")
        if name == "flash":
            command.add_argument("device", metavar="DEVICE", type=existing)

    command = commands.add_parser("test", help="run the tests; arguments go to pytest")
    command.set_defaults(action=test, profile="release")
    command.add_argument("pytest", metavar="PYTEST-ARGS", nargs=argparse.REMAINDER)

    command = commands.add_parser("lint", help="check style and types")
    command.set_defaults(action=lint)

    commands.add_parser("doctor", help="say what this machine lacks for Krait")  # ./krait starts tools/doctor.py itself
    return parser


def main() -> int:
    if shutil.which("qemu-system-x86_64") is None:
        raise SystemExit("krait: QEMU is missing: run tools/setup.py")
    # It let us find our own modules. Children start in the checkout; mypy judges modules on PYTHONPATH differently.
    os.environ.pop("PYTHONPATH", None)
    options = _parser().parse_args()
    if getattr(options, "gdb", None) and options.gdb[0] == "--":
        options.gdb = options.gdb[1:]
    return int(options.action(options))


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:  # who reads our output has seen enough, as in `./krait run … | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(128 + signal.SIGPIPE)
