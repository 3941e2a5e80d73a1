"""Krait's own build on Krait and on Linux, in the same virtual machine: `python -m tests.bench.self_build [--program]
[--profile dev|release] [--on krait|linux] [--write]`.

Both kernels boot from the disk that `krait self-build` makes, with the checkout on a second one (Debian's kernel for
clouds has no 9P), one processor and 2 GiB; both build everything. What counts is the processor time of QEMU's thread
that runs the guest, from the host's scheduler: the wall clock has in it whatever else the host does. A phase ends when
the build says so at the serial line. The kernel's share is the guest's own account (times(2)).
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tests.bench.__main__ import replace_tables
from tests.harness import KRAIT, LINUX, Kernel
from tests.harness.kernels import add_modules
from tools.cpio import Archive
from tools.oracle import fetch_oracle
from tools.paths import BUILD, ROOT
from tools.selfhost.build import MEMORY, PROGRAM
from tools.selfhost.disks import COMPILER, copy_checkout, guest_disk
from tools.selfhost.machine import SelfMachine, Setup

KERNELS = {kernel.name: kernel for kernel in (KRAIT, LINUX)}
STEP = re.compile(r"krait: (.*): [\d.]+ s$")
PHASES = {
    "check the kernel's types": "front end", "translate the kernel": "lowering", "compile the kernel": "LLVM",
    "link the kernel": "link",
}  # fmt: skip
TIMING = re.compile(r"([\w ]+?) +[\d.]+ s, ([\d.]+) user, ([\d.]+) system$")
DIGEST = re.compile(r"^([0-9a-f]{64})  ")
ROOM = "2G"  # of the checkout's disk
ANSWERS = BUILD / "bench-self"  # what was measured, until it is measured again


@dataclass
class Measured:
    """Seconds by phase: of QEMU's thread; and by the guest's account in user mode and in the kernel."""

    host: dict[str, float] = field(default_factory=dict)
    user: dict[str, float] = field(default_factory=dict)
    system: dict[str, float] = field(default_factory=dict)
    digest: str = ""  # of what was built

    def share(self, phase: str) -> float:
        """The kernel's part of a phase, from 0 to 1."""
        return self.system[phase] / max(self.user[phase] + self.system[phase], 0.01)


def checkout_disk(scratch: Path) -> Path:
    """An ext2 file system with the checkout, without what was built."""
    tree, disk = scratch / "checkout", scratch / "checkout.ext2"
    copy_checkout(tree)
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-d", str(tree), "-E", "root_owner=0:0"]
    subprocess.run([*command, str(disk), ROOM], check=True, capture_output=True)
    shutil.rmtree(tree)
    return disk


def measure(kernel: Kernel, disk: Path, profile: str, *, program: bool) -> Measured:
    """Build once. Raises KraitError."""
    measured = Measured()
    last = 0

    def shown(line: str) -> None:
        nonlocal last
        print(f"{kernel.name}: {line}", file=sys.stderr, flush=True)
        ended = STEP.search(line)
        if ended and ended[1] in PHASES:
            now = machine.processor_ns()
            measured.host[PHASES[ended[1]]] = (now - last) / 1e9
            last = now
        if digest := DIGEST.search(line):
            measured.digest = digest[1]
        if timing := TIMING.search(line):
            measured.user[timing[1]], measured.system[timing[1]] = float(timing[2]), float(timing[3])

    files = Archive()
    if kernel is LINUX:
        fetch_oracle()
        add_modules(files)
    own = " ".join(word for word in kernel.parameters.split() if word not in KRAIT.parameters.split())
    setup = Setup(
        kernel=kernel.path, disk=guest_disk(COMPILER), checkout=disk, memory=MEMORY, parameters=f"quiet {own}".strip(),
        files=files, show=shown,
    )  # fmt: skip
    words = ["run", "--timings", "--profile", profile, PROGRAM] if program else [
        "build", "--progress", "--timings", "--profile", profile, "-o", "build/krait.elf"]  # fmt: skip
    with SelfMachine(setup) as machine:
        last = first = machine.processor_ns()
        done = machine.run([sys.executable, "-m", "compiler", *words])
        assert done.status == 0, done
        measured.host["total"] = (machine.processor_ns() - first) / 1e9
        measured.user["total"], measured.system["total"] = done.user, done.system
        if not program:
            machine.run(["sha256sum", "build/krait.elf"])
    return measured


def table(krait: Measured, linux: Measured) -> str:
    """Markdown: a row for each phase."""
    lines = ["| | Krait | Linux | Linux / Krait | Krait's kernel | Linux's kernel |",
             "| --- | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for phase, seconds in krait.host.items():
        other = linux.host[phase]
        lines.append(f"| {phase} (s) | {seconds:,.1f} | {other:,.1f} | {other / seconds:.2f} | "
                     f"{krait.share(phase):.1%} | {linux.share(phase):.1%} |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.self_build", description="Time Krait's own build.")
    parser.add_argument("--profile", choices=("dev", "release"), default="dev")
    parser.add_argument("--program", action="store_true", help="one stand-alone program instead of the kernel")
    parser.add_argument("--on", choices=sorted(KERNELS), help="measure this kernel only; the other's answers are kept")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    ANSWERS.mkdir(parents=True, exist_ok=True)
    what = "program" if options.program else "kernel"

    def answer(kernel: Kernel) -> Path:
        return ANSWERS / f"{what}-{options.profile}-{kernel.name}.json"

    with tempfile.TemporaryDirectory(dir=ROOT / "build", prefix="bench-self-") as scratch:
        disk = checkout_disk(Path(scratch))
        for kernel in KERNELS.values():
            if options.on in (None, kernel.name):
                measured = measure(kernel, disk, options.profile, program=options.program)
                answer(kernel).write_text(json.dumps(asdict(measured)))
    if all(answer(kernel).exists() for kernel in KERNELS.values()):
        both = [Measured(**json.loads(answer(kernel).read_text())) for kernel in (KRAIT, LINUX)]
        if both[0].digest != both[1].digest:
            sys.exit(f"they built different kernels: {both[0].digest} on Krait, {both[1].digest} on Linux")
        text = table(both[0], both[1])
        print(text)
        if options.write:
            replace_tables(f"self {what} {options.profile}", [text])


if __name__ == "__main__":
    main()
