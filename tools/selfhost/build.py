"""`krait self-build`: Krait compiles Krait. What a machine with Krait's kernel builds has to be, byte for byte, what is
built here; and it can go on in what it has built, and build again there.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from compiler.backend import CACHE, TARGETS, file_hash, object_name, with_target
from tools.arguments import in_bytes
from tools.errors import KraitError, UsageError
from tools.images.store import Kept
from tools.lock import exclusively
from tools.paths import KERNEL, ROOT
from tools.selfhost.disks import (
    CHECKOUT,
    HERE_IN_GUEST,
    PLACE,
    TESTS,
    bring_library,
    copy_checkout,
    guest_disk,
    same_bytes,
)
from tools.selfhost.machine import Done, SelfMachine, Setup
from tools.selfhost.phases import Phases, Watch

HOSTS = PLACE / "host"  # what is built here
MEMORY = "2G"
LEAST_MEMORY = "1536M"
BUILT = "build/krait.elf"  # in the checkout
PROGRAM = "tests/language/cases/bank.py"  # for the short form
SHORT = "build/short"  # in the checkout: what the short form makes there
COMPLETE = "complete"  # beside what was built: nothing of it is to be gone on with


def check(options: argparse.Namespace) -> None:
    """Refuse what cannot be meant. Raises UsageError."""
    if in_bytes(options.memory) < in_bytes(LEAST_MEMORY):
        raise UsageError(f"krait self-build: {options.memory} of memory is too little: it takes {LEAST_MEMORY}")
    if options.short and options.generations > 1:
        raise UsageError("krait self-build: --short builds no kernel, so it has no --generations")


def begin_afresh(built: Path) -> None:
    """Forget what was built, if it was built to its end: a build that was interrupted goes on."""
    if (built / COMPLETE).exists():
        shutil.rmtree(built)


def first_difference(here: Path, there: Path) -> str | None:
    """The first file that is not the same in two builds: IR in the order of names, then objects, then the image. None
    if all are.
    """
    for name in [*names_in(here, there, "ir/*.ll"), *names_in(here, there, "objects/*.o"), "krait.elf"]:
        if fault := difference(here, there, name):
            return fault
    return None


def names_in(here: Path, there: Path, pattern: str) -> list[str]:
    """What there is in at least one of two places."""
    return sorted({str(path.relative_to(side)) for side in (here, there) for path in side.glob(pattern)})


def keep_objects(build: Path, cache: Path, profile: str) -> None:
    """Put the objects of a build in objects/ beside its IR. The cache knows them by what they were made from."""
    kept, target = build / "objects", TARGETS["kernel"]
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir()
    for path in (build / "ir").glob("*.ll"):
        found = cache / object_name(with_target(path.read_text(), target), target, profile)
        if found.exists():
            shutil.copyfile(found, kept / f"{path.stem}.o")


def difference(here: Path, there: Path, name: str) -> str | None:
    """How a file differs in two places, or None."""
    one, other = here / name, there / name
    if not one.exists() or not other.exists():
        return f"{name}, which is only {'here' if one.exists() else 'there'}"
    return None if same_bytes(one, other) else name


def say(text: str) -> None:
    print(f"krait: {text}", file=sys.stderr, flush=True)


def introduce(machine: SelfMachine) -> None:
    by_whom = "built on this machine" if machine.generation == 0 else f"generation {machine.generation}"
    say(f"the machine runs {machine.version}, {by_whom}")


# The whole kernel ---------------------------------------------------------------------------------------------------


def build_here(profile: str) -> None:
    """The same sources, compiled by this machine's kernel. Raises KraitError."""
    HOSTS.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "compiler", "build", "--progress", "--keep-ir", "--profile", profile, "-o",
               str(HOSTS / "krait.elf")]  # fmt: skip
    if subprocess.run(command, check=False, cwd=ROOT, stdout=subprocess.DEVNULL).returncode != 0:
        raise KraitError("krait self-build: the build on this machine failed")
    keep_objects(HOSTS, CACHE, profile)


def build_generation(options: argparse.Namespace, machine: SelfMachine, generation: int) -> None:
    """Build the kernel in the machine, hold it against what is built here, and keep it. Raises KraitError."""
    say(f"build generation {generation} on Krait ({options.profile})")
    done, phases = build_watched(machine, ["--keep-ir", "--profile", options.profile])
    if done.status != 0:
        raise KraitError(f"krait self-build: the build in the machine ended with status {done.status}")
    there = CHECKOUT / "build"
    keep_objects(there, there / "cache", options.profile)
    differs = first_difference(HOSTS, there)
    if differs is not None:
        raise KraitError(f"krait self-build: generation {generation} differs first in {differs}")
    machine.run(["rm", "-rf", "build/cache", "build/ir"])  # the next one begins afresh
    shutil.copy2(there / "krait.elf", kernel_of(generation))
    print(f"generation {generation}: {file_hash(kernel_of(generation))}, as it is built here")
    print(f"generation {generation}: {done.elapsed:.0f} s; of its processor time {done.kernel_share:.1%} were the "
          "kernel's")  # fmt: skip
    for phase, seconds in phases.host.items():
        print(f"  {phase:<12} {seconds:8.1f} s of QEMU's processors, the kernel's part {phases.share(phase):.1%}")
    sys.stdout.flush()
    (PLACE / f"phases-{options.profile}-{generation}.json").write_text(json.dumps(asdict(phases)))


def build_watched(machine: SelfMachine, options: list[str]) -> tuple[Done, Phases]:
    """Build the kernel in the machine; how that ended, and what its phases cost."""
    watch, show = Watch(machine.processor_ns), machine.show

    def see(line: str) -> None:
        show(line)
        if said := watch.see(line):
            show(said)

    machine.show = see
    try:
        words = [sys.executable, "-m", "compiler", "build", "--progress", "--timings", *options, "-o", BUILT]
        done = machine.run(words)
    finally:
        machine.show = show
    return done, watch.end(done)


def kernel_of(generation: int) -> Path:
    return CHECKOUT / "build" / f"generation-{generation}.elf" if generation else KERNEL


def finished_before(wanted: int) -> int:
    """How many generations, the last one left out, a build that was interrupted had built to their end."""
    count, expected = 0, HOSTS / "krait.elf"
    while count < wanted - 1 and kernel_of(count + 1).exists():
        if not same_bytes(kernel_of(count + 1), expected):
            break
        count += 1
    return count


def wants_another(generation: int) -> bool:
    """Whether somebody at a terminal wants the next one."""
    if not os.isatty(0) or not os.isatty(2):
        return False
    print(f"krait: build generation {generation} on it? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def build_whole(options: argparse.Namespace, disk: Kept) -> None:
    """One generation after the other: each in a new machine that boots the one before, or with --boot in one machine,
    which starts each by kexec. Raises KraitError.
    """
    wanted = options.generations
    built = finished_before(wanted)
    while built < wanted:
        with SelfMachine(setup_of(options, disk, built)) as machine:
            introduce(machine)
            while built < wanted:
                build_generation(options, machine, built + 1)
                built += 1
                if not options.boot:
                    break
                machine.start(BUILT, built)
                introduce(machine)
                if built == wanted and wants_another(built + 1):
                    wanted += 1


def setup_of(options: argparse.Namespace, disk: Kept, generation: int) -> Setup:
    return Setup(
        kernel=kernel_of(generation), disk=disk, checkout=CHECKOUT, memory=options.memory, processors=options.cpus,
        generation=generation, parameters="" if options.boot else "quiet",
    )  # fmt: skip


# The short form -----------------------------------------------------------------------------------------------------


def compile_program(options: argparse.Namespace, machine: SelfMachine) -> None:
    """One stand-alone program, compiled and run there: the same output and objects as here. Raises KraitError."""
    words = ("-m", "compiler", "run", "--profile", options.profile, PROGRAM)
    script = f'"$@" >{SHORT}/output'
    cache = f"{HERE_IN_GUEST}/{SHORT}/cache"
    done = machine.run(["sh", "-c", script, "sh", sys.executable, *words], {"KRAIT_CACHE": cache})
    if done.status != 0:
        raise KraitError(f"krait self-build: {PROGRAM} ended with status {done.status} in the machine")
    here, there = PLACE / "short", CHECKOUT / SHORT
    shutil.rmtree(here, ignore_errors=True)
    here.mkdir(parents=True)
    with (here / "output").open("wb") as output:
        environment = {**os.environ, "KRAIT_CACHE": str(here / "cache")}
        subprocess.run([sys.executable, *words], check=True, cwd=ROOT, stdout=output, env=environment)
    names = sorted({f"cache/{path.name}" for side in (here, there) for path in (side / "cache").glob("*.o")})
    for name in [*names, "output"]:
        if differs := difference(here, there, name):
            raise KraitError(f"krait self-build: {PROGRAM} differs first in {differs}")
    print(f"{PROGRAM}: compiled and run on Krait, with the output and the {len(names)} objects of this machine")


def build_short(options: argparse.Namespace, disk: Kept) -> None:
    """Compile one program; with --boot start this kernel anew by kexec, and compile it there again."""
    begin_afresh(CHECKOUT / SHORT)
    (CHECKOUT / SHORT).mkdir(parents=True, exist_ok=True)
    bring_library(CHECKOUT / SHORT / "cache")
    with SelfMachine(setup_of(options, disk, 0)) as machine:
        introduce(machine)
        compile_program(options, machine)
        if options.boot:
            shutil.copy2(KERNEL, CHECKOUT / SHORT / "krait.elf")
            # Everything that was made of the program; what mypy knows of Python's own library stays.
            machine.run(["sh", "-c", f"rm {SHORT}/cache/*.* {SHORT}/output"])
            machine.start(f"{SHORT}/krait.elf", 1)
            introduce(machine)
            compile_program(options, machine)
    (CHECKOUT / SHORT / COMPLETE).touch()


def self_build(options: argparse.Namespace) -> int:
    """The command. Raises KraitError."""
    check(options)
    with exclusively("self-build"):
        return build_and_compare(options)


def build_and_compare(options: argparse.Namespace) -> int:
    """Raises KraitError."""
    begin_afresh(CHECKOUT / "build")
    copy_checkout()
    disk = guest_disk(TESTS)  # which `self-test` wants too
    if subprocess.run([sys.executable, "-m", "tools.front_end", "build"], check=False, cwd=ROOT).returncode != 0:
        raise KraitError("krait self-build: there is no kernel to build with")
    if options.short:
        build_short(options, disk)
        return 0
    build_here(options.profile)
    build_whole(options, disk)
    (CHECKOUT / "build" / COMPLETE).touch()
    return 0
