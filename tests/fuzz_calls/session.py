"""A guest that fuzzes: one boot, with a scratch disk for ext2 and one for raw requests, and what its log says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from tests.boot.faulty_disk import FaultyDisk
from tests.fuzz_calls.build import fuzzer
from tests.fuzz_calls.faults import GUEST_LINK, Failures, Mirror
from tests.fuzz_network.wire import Wire
from tests.harness import Guest, Kernel
from tests.harness.guest import GuestError
from tools.cpio import Archive, extend
from tools.heap import Heap
from tools.machine import Disk, DiskMode, Machine
from tools.paths import BUILD

MEMORY = "512M"
MEMORY_BYTES = 512 << 20
BROKEN_DISK = BUILD / "fuzz" / "calls" / "broken.img"  # the last one that e2fsck did not like
HOST_MEMORY = Path("/dev/shm")  # where disks lie: while the guest waits for the host its clock goes on
# The guest's clock follows the instructions, so that the host's load changes nothing: a nanosecond for each.
CLOCK = ("-icount", "shift=0,sleep=off")
EVERY_CALL = (1 << 64) - 1  # the mask of all calls of a program
_SETTLE = (
    "sync; for i in 1 2 3; do echo 3 >/proc/sys/vm/drop_caches; sleep 1; done; "
    "for i in $(seq 40); do sh -c true; done; echo 3 >/proc/sys/vm/drop_caches"
)
_BUG = re.compile(r"Kernel (?:bug|panic)[^\n]*\n(?P<body>.*?)(?:In thread \d+ \((?P<name>[^)\n]*)\)|\Z)", re.DOTALL)
# A file that is removed while the clock shows a time near 0, modulo 2**32, looks as if it was not, or as if it stood on
# a list of orphans: on Linux, too.
_NEAR_ZERO = re.compile(
    r"Deleted inode \d+ has zero dtime\.  Fix\? no\n\n|Inodes that were part of a corrupted orphan.*Fix\? no\n\n"
    r"|Inode \d+ was part of the orphaned inode list\.  IGNORED\.\n"
)
_FSCK_COMPLAINT = re.compile(r"\? no$|^(?!Pass \d)\S.*(?:differences|corrupt|error:)", re.MULTILINE)
_OWN_CLASS = re.compile(r"kernel\.(?!lang\.)[\w.]+$")
_FRAME = re.compile(r'File "([^"]+)", line (\d+), in (\S+)')


@dataclass(frozen=True)
class Finding:
    """Something that must not happen. Two with the same `what` are one."""

    what: str
    program: str  # the seeds of the program that ran into it; "" where it is not known
    text: str = field(compare=False)


def _whole(seed: str, log: str) -> str:
    """A program's name, from its last seed: one that was made by changing another has several. SEED+2 is the third of
    its process.
    """
    seed = seed.removesuffix("+0")
    chain = re.search(rf"^@(?:chain|kept) ((?:[0-9a-f]{{12}}\.)*{re.escape(seed)})$", log, re.MULTILINE)
    return chain[1] if chain else seed


def _of_thread(name: str, log: str) -> str:
    """The program that a thread is named after; "" for a thread that is none of a program's."""
    parts = re.fullmatch(r"fz([0-9a-f]{12})([a-p])", name)
    return "" if parts is None else _whole(f"{parts[1]}+{ord(parts[2]) - ord('a')}", log)


def bugs(log: str) -> list[Finding]:
    """The kernel's bugs in a log, each with the program whose thread had it."""
    found = []
    for match in _BUG.finditer(log):
        frames = _FRAME.findall(match["body"])
        lines = match["body"].strip().splitlines()
        place = " < ".join(f"{function} ({path}:{line})" for path, line, function in reversed(frames[-2:]))
        program = _of_thread(match["name"] or "", log)
        found.append(Finding(f"{lines[-1] if lines else 'bug'} in {place}", program, match[0]))
    return found


def hangs(log: str) -> list[Finding]:
    """Processes that SIGKILL did not end."""
    pattern = re.compile(r"^@unkillable .*program ([0-9a-f]{12}\+\d+)$", re.MULTILINE)
    what = "a process that SIGKILL does not end"
    return [Finding(what, _whole(match[1], log), match[0]) for match in pattern.finditer(log)]


def stalls(log: str) -> list[Finding]:
    """When a real-time thread was woken too late: the kernel ran that long without a safe point."""
    pattern = re.compile(r"^@late (\d+) ms: (.*)$", re.MULTILINE)
    return [
        Finding("a stall", " or ".join(_whole(seed, log) for seed in match[2].split()), match[0])
        for match in pattern.finditer(log)
    ]


def damage(checked: str) -> Finding | None:
    """What e2fsck says of a disk, if it is wrong. Two with the same first complaint, but for its numbers, are one."""
    wrong = _NEAR_ZERO.sub("", checked)
    complaint = _FSCK_COMPLAINT.search(wrong)
    if complaint is None:
        return None
    line = wrong[wrong.rfind("\n", 0, complaint.start() + 1) + 1 :].split("\n", 1)[0]
    if line.startswith("Fix?"):  # the question stands below what it is about
        line = wrong[: complaint.start()].rstrip("\n").rpartition("\n")[2]
    words = ["N" if re.search(r"\d", word) else word for word in line.removesuffix("Fix? no").split()]
    return Finding(f"e2fsck: {' '.join(words)}", "", wrong)


@dataclass
class Figures:
    """What is in use in the guest."""

    objects: int
    free_kib: int
    processes: int
    classes: Counter[str] = field(default_factory=Counter)  # objects of each class
    holders: Counter[str] = field(default_factory=Counter)  # chains of holders of the leaked objects


def grown(before: Counter[str], after: Counter[str], most: int = 3) -> list[str]:
    """The kernel's own classes that there are more objects of, those first that grew most: not lists, texts and other
    things of the language, which belong to some of them.
    """
    came = after - before
    return [name for name, _ in came.most_common() if _OWN_CLASS.match(name)][:most]


class Session:
    """A guest at its prompt, with the fuzzer in it and the disk mounted."""

    def __init__(self, guest: Guest, disk: Path) -> None:
        self.guest = guest
        self.disk = disk

    def figures(self, idle_s: int = 0) -> Figures:
        """What is in use after that many seconds of the guest's clock, in which nothing runs."""
        if idle_s > 0:
            self.guest.check(f"sleep {idle_s}", idle_s + 120)
        self.guest.check(_SETTLE, 120)
        objects = int(self.guest.check("grep '^krait_heap_objects ' /proc/metrics", 30).split()[1])
        free = int(self.guest.check("grep MemFree /proc/meminfo", 30).split()[1])
        processes = int(self.guest.check("ls -d /proc/[0-9]* | wc -l", 30))
        return Figures(objects, free, processes)

    def count_classes(self, figures: Figures, before: Figures | None = None) -> None:
        """Complete figures that were just taken. With `before`, who holds what has come since."""
        dump = self.disk.parent / "memory"
        self.guest.qmp("pmemsave", val=0, size=MEMORY_BYTES, filename=str(dump))
        try:
            heap = Heap(dump)
        finally:
            dump.unlink()
        figures.classes = heap.counts
        if before is not None:
            for name in grown(before.classes, figures.classes):
                figures.holders += heap.holders(name)

    def replay(self, program: str, mask: int, times: int, seconds: float = 60) -> list[Finding]:
        """Run one program again, some calls of it."""
        before = len(self.guest.log)
        self.guest.run(f"fuzz_calls replay {program} {mask:x} {times}", seconds)
        log = self.guest.log[before:]
        return bugs(log) + hangs(log) + stalls(log)

    def unmount(self) -> Finding | None:
        """Let go of the disk and check it."""
        self.guest.check("umount /fuzz/disk", 60)
        settings = dict(os.environ, E2FSCK_CONFIG=str(Path(__file__).with_name("e2fsck.conf")))
        command = ["e2fsck", "-fn", str(self.disk)]
        done = subprocess.run(command, env=settings, check=False, capture_output=True, text=True)
        found = None if done.returncode == 0 else damage(done.stdout)
        if found is not None:
            BROKEN_DISK.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.disk, BROKEN_DISK)
        return found


@contextmanager
def session(
    kernel: Kernel,
    root_image: Path,
    parameters: str = "",
    extra: tuple[str, ...] = (),
    more_disks: tuple[Disk, ...] = (),
    files: Mapping[str, Path] = MappingProxyType({}),
    faults: int | None = None,
    processors: int = 1,
) -> Iterator[Session]:
    """Boot a guest. `extra` are arguments of QEMU, and `files` are put into the root image by their path there. With
    `faults`, a seed, its network and one of its disks fail now and then.
    """
    with tempfile.TemporaryDirectory(prefix="krait-fuzz-", dir=HOST_MEMORY) as scratch, ExitStack() as stack:
        place = Path(scratch)
        overlay = Archive()
        overlay.file("usr/bin/fuzz_calls", fuzzer().read_bytes(), 0o755)
        for path, source in files.items():
            overlay.file(path, source.read_bytes(), 0o755)
        initrd = place / "initrd"
        initrd.write_bytes(extend(root_image.read_bytes(), overlay))
        disk, raw = place / "ext2.img", place / "raw.img"
        subprocess.run(["mke2fs", "-q", "-t", "ext2", "-b", "1024", str(disk), "48M"], check=True)
        raw.write_bytes(bytes(8 << 20))
        disks = (Disk(disk, DiskMode.WRITE), Disk(raw, DiskMode.WRITE), *more_disks)
        wire, faulty = None, None
        if faults is not None:
            wire = stack.enter_context(Wire(place / "wire", GUEST_LINK))
            (place / "faulty.img").write_bytes(disk.read_bytes())
            faulty = FaultyDisk(place / "faulty.img", "faulty")
            extra = (*extra, *wire.arguments, *faulty.arguments())
        machine = Machine(memory=MEMORY, disks=disks, processors=processors, extra=(*CLOCK, *extra))
        with Guest(kernel.boot(initrd, f"quiet {parameters}"), machine, may_trap=True) as guest:
            guest.expect_prompt(60)
            guest.run("stty columns 500")
            guest.check("mkdir -p /fuzz/disk; mount -t ext2 /dev/vda /fuzz/disk; ifconfig lo up")
            guest.check("cd /proc/sys/net/ipv4 && echo 50 >tcp_max_tw_buckets && echo 1 >tcp_fin_timeout; cd")
            guest.check("find /proc/sys > /dev/null", 30)  # what a first look makes is there from now on
            if faults is None or wire is None or faulty is None:
                yield Session(guest, disk)
                return
            last = "vd" + chr(ord("a") + len(disks))
            guest.check(f"mkdir -p /fuzz/faulty; mount -t ext2 -o errors=continue /dev/{last} /fuzz/faulty", 30)
            workers = (Mirror(wire, faults), Failures(guest, faulty, faults))
            for worker in workers:
                worker.start()
            guest.check("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up; route add default gw 10.0.2.2")
            try:
                yield Session(guest, disk)
            finally:
                for worker in workers:
                    worker.stopped.set()
                for worker in workers:
                    worker.join(10)


__all__ = [
    "EVERY_CALL", "Figures", "Finding", "GuestError", "Session",
    "bugs", "damage", "grown", "hangs", "session", "stalls",
]  # fmt: skip
