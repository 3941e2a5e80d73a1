"""Krait's own build on Krait and on Linux, in the same virtual machine: `python -m tests.bench.self_build [--program]
[--profile dev|release] [--on krait|linux|neither] [--write]`.

Both kernels boot from the disk that `krait self-build` makes, with the checkout on a second one (Debian's kernel for
clouds has no 9P), one processor and 2 GiB; both build everything. What counts is processor time
(tools/selfhost/phases.py).
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.bench.__main__ import replace_tables
from tests.harness import KRAIT, LINUX, Kernel
from tests.harness.kernels import add_modules
from tools.cpio import Archive
from tools.oracle import fetch_oracle
from tools.paths import BUILD
from tools.selfhost.build import BUILT, MEMORY, PROGRAM, build_watched
from tools.selfhost.disks import COMPILER, copy_checkout, guest_disk
from tools.selfhost.machine import SelfMachine, Setup
from tools.selfhost.phases import TOTAL, Phases, Watch

KERNELS = {kernel.name: kernel for kernel in (KRAIT, LINUX)}
HEAD = """\
| | Krait | Linux | Linux / Krait | Krait's kernel | Linux's kernel |
| --- | ---: | ---: | ---: | ---: | ---: |
"""
ROOM = "2G"  # of the checkout's disk
ANSWERS = BUILD / "bench-self"  # what was measured, until it is measured again


def checkout_disk(scratch: Path) -> Path:
    """An ext2 file system with the checkout, without what was built."""
    tree, disk = scratch / "checkout", scratch / "checkout.ext2"
    copy_checkout(tree)
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-d", str(tree), "-E", "root_owner=0:0"]
    subprocess.run([*command, str(disk), ROOM], check=True, capture_output=True)
    shutil.rmtree(tree)
    return disk


def measure(kernel: Kernel, disk: Path, profile: str, *, program: bool) -> Phases:
    """Build once. Raises KraitError."""
    files = Archive()
    if kernel is LINUX:
        fetch_oracle()
        add_modules(files)
    own = " ".join(word for word in kernel.parameters.split() if word not in KRAIT.parameters.split())
    setup = Setup(
        kernel=kernel.path, disk=guest_disk(COMPILER), checkout=disk, memory=MEMORY, parameters=f"quiet {own}".strip(),
        files=files,
    )  # fmt: skip
    with SelfMachine(setup) as machine:
        if program:
            watch = Watch(machine.processor_ns)
            done = machine.run([sys.executable, "-m", "compiler", "run", "--profile", profile, PROGRAM])
            phases = watch.end(done)
        else:
            done, phases = build_watched(machine, ["--profile", profile])
            machine.run(["sha256sum", BUILT])  # it is shown
        assert done.status == 0, done
    return phases


def table(krait: Phases, linux: Phases, name: str) -> str:
    """Markdown: a row for each phase, or one for a program. What was not measured on Linux is left open."""
    lines = []
    for phase, seconds in krait.host.items():
        other = linux.host.get(phase)
        shown = name if phase == TOTAL else phase
        compared = "| | " if other is None else f"| {other:,.1f} | {other / seconds:.2f} "
        share = f"{linux.share(phase):.1%} " if phase in linux.system else ""
        lines.append(f"| {shown} (s) | {seconds:,.1f} {compared}| {krait.share(phase):.1%} | {share}|")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.self_build", description="Time Krait's own build.")
    parser.add_argument("--profile", choices=("dev", "release"), default="dev")
    parser.add_argument("--program", action="store_true", help="one stand-alone program instead of the kernel")
    parser.add_argument("--on", choices=(*KERNELS, "neither"), help="measure only there; what was measured is kept")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    ANSWERS.mkdir(parents=True, exist_ok=True)
    what = "program" if options.program else "kernel"

    def answer(what: str, kernel: Kernel) -> Path:
        return ANSWERS / f"{what}-{options.profile}-{kernel.name}.json"

    with tempfile.TemporaryDirectory(dir=BUILD, prefix="bench-self-") as scratch:
        chosen = [kernel for kernel in KERNELS.values() if options.on in (None, kernel.name)]
        if chosen:
            disk = checkout_disk(Path(scratch))
            for kernel in chosen:
                phases = measure(kernel, disk, options.profile, program=options.program)
                answer(what, kernel).write_text(json.dumps(asdict(phases)))
    text = HEAD
    for part, name in (("program", "one program, in all"), ("kernel", "the kernel, in all")):
        kept = {kernel: answer(part, kernel) for kernel in KERNELS.values()}
        both = {kernel: Phases(**json.loads(path.read_text())) for kernel, path in kept.items() if path.exists()}
        if KRAIT in both:
            text += table(both[KRAIT], both.get(LINUX, Phases()), name)
    print(text)
    if options.write:
        replace_tables(f"self {options.profile}", [text])


if __name__ == "__main__":
    main()
