"""The commands that build and check: build, image, iso, flash, new, test, lint, docs, and Krait on Krait."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tools.arguments import Parser, add_quiet, existing, in_bytes, memory_size, positive, processor_count, volume_label
from tools.errors import CANNOT_RUN, KraitError, UsageError
from tools.flash import flash, refusal
from tools.image import ImageError, build_disk, plan_disk
from tools.iso import build_iso
from tools.kernel_build import begun, build_kernel, built_kernel
from tools.lock import BUILDING, BUILT, exclusively
from tools.paths import BUILD, IS_INSTALLED, ROOT
from tools.project import FILE as PROJECT_FILE
from tools.project import KINDS, find_project, new, test_project
from tools.selfhost.build import MEMORY as SELF_BUILD_MEMORY
from tools.selfhost.build import self_build
from tools.selfhost.tests import self_test
from tools.setup import require
from userland.image import build_image, root_archive

if TYPE_CHECKING:
    from tools.machine_commands import Commands

PARAMETERS = "console=ttyS0"
TEST_PROCESSES = 3
DURATIONS = BUILD / "tests.xml"  # what each test of a whole run took
BYTECODE = BUILD / "bytecode"  # as in the script `krait` and in tests/conftest.py
TYPED_PACKAGES = ("kernel", "arch", "compiler", "tools", "userland", "tests.harness", "tests.packets",
                  "tests.conformance", "tests.bench", "tests.boot", "tests.twins", "tests.debug", "tests.fuzz_network",
                  "tests.fuzz_calls", "tests.races", "tests.unit", "tests.native", "tests.exercises")  # fmt: skip


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
            kernel = built_kernel(options.profile)
            build_disk(plan, kernel, options.output, label=options.label, parameters=parameters)
        except (ImageError, OSError) as error:
            raise KraitError(f"krait image: {error}") from error
    print(f"krait: wrote {options.output} ({options.output.stat().st_size >> 20} MiB)", file=sys.stderr)
    return 0


# --- check ---


def test(options: argparse.Namespace) -> int:
    """All tests, by three processes on two processors, because guests wait for much of their time (tests/conftest.py
    says which tests share a process), or those that the arguments name; in a project, its own.

    While the kernel is translated, which keeps one processor busy, the unit tests begin; all others wait for it.
    """
    project = find_project()
    if project is not None:
        return test_project(project, options.pytest)
    if options.pytest:
        build(options)
        return subprocess.run([sys.executable, "-m", "pytest", *options.pytest], check=False, cwd=ROOT).returncode
    with exclusively(BUILDING) as lock:
        BUILT.unlink(missing_ok=True)
        with contextlib.ExitStack() as begun_here:
            with leaving_bytecode():
                # It has the lock, too: tests wait for it even if something ends us alone.
                build_words = [sys.executable, "-m", "tools.front_end", "build"]
                building = subprocess.Popen(build_words, cwd=ROOT, pass_fds=[lock])
                begun_here.callback(end, building)
                with begun("pytest", "--collect-only", "-q", "-p", "no:cacheprovider"):
                    pass
            words = ["--numprocesses", str(TEST_PROCESSES), "--dist", "loadscope", "--built", str(BUILT)]
            words += ["--junitxml", str(DURATIONS)]
            tests = subprocess.Popen([sys.executable, "-m", "pytest", *words], cwd=ROOT)
            begun_here.callback(end, tests)
            if building.wait() != 0:
                return CANNOT_RUN
            BUILT.touch()
            begun_here.pop_all()
    try:
        return tests.wait()
    finally:
        end(tests)


def end(process: subprocess.Popen[bytes]) -> None:
    """If it still runs. What it has begun ends with it, or has been interrupted by the same key."""
    process.kill()
    process.wait()


@contextlib.contextmanager
def leaving_bytecode() -> Iterator[None]:
    """Where Python shall leave no bytecode beside sources, child processes leave it meanwhile where the front end's
    lies. Later ones find it there and add none: programs that tests write, and write anew, are compiled each time.
    """
    wish = os.environ.get("PYTHONDONTWRITEBYTECODE")
    if not wish or os.environ.get("PYTHONPYCACHEPREFIX"):
        yield
        return
    os.environ["PYTHONPYCACHEPREFIX"] = str(BYTECODE)
    del os.environ["PYTHONDONTWRITEBYTECODE"]
    try:
        yield
    finally:
        os.environ["PYTHONDONTWRITEBYTECODE"] = wish


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


def add_self_options(command: Parser) -> None:
    """Options of the commands for which this machine's Python runs in a guest, with the checkout."""
    add_quiet(command)
    command.add_argument("--memory", metavar="SIZE", type=memory_size, default=SELF_BUILD_MEMORY,
                         help=f"of the machine ({SELF_BUILD_MEMORY})")
    command.add_argument("--cpus", metavar="N", type=processor_count, default=1, help="processors of the machine (1)")


def add_build(commands: Commands) -> None:
    command = commands.add_parser("build", help="compile the kernel and pack the root image")
    command.set_defaults(action=build)
    command.add_argument("--profile", choices=("dev", "release"), default="release")
    add_quiet(command)


def add_images(commands: Commands) -> None:
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


def add_checks(commands: Commands) -> None:
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
