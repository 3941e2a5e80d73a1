"""The power is cut in the middle of writing. Whenever that is: everything that was synced is there, and e2fsck repairs
the rest.

Two ways of cutting. QEMU is killed at random moments: 2 times, or KRAIT_POWER_CUTS. And one load is run to its end
while QEMU notes each request, from which the disk at any moment is made afterwards, with what was not flushed only in
part there: 16 times, or KRAIT_LOGGED_CUTS. KRAIT_SEED chooses the moments.
"""

from __future__ import annotations

import os
import random
import re
import time
from pathlib import Path

import pytest

from tests.boot.power import DIRECTORIES, Verdict, WriteLog, judge, make_disk
from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Disk, DiskMode, Machine
from tools.oracle import fetch_oracle
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(1200 * PATIENCE))

POWER_CUTS = int(os.environ.get("KRAIT_POWER_CUTS", "2"))
LOGGED_CUTS = int(os.environ.get("KRAIT_LOGGED_CUTS", "16"))
SEED = int(os.environ.get("KRAIT_SEED", "1"))


def make_initrd(kernel: Kernel, root_image: Path, tmp_path: Path) -> Path:
    """The root image with the load, for Linux with its modules."""
    overlay = Archive()
    overlay.file("power_load", compile_program(ROOT / "tests" / "boot" / "power_load.c").read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    path = tmp_path / f"initrd-{kernel.name}"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


def start_load(guest: Guest, seed: int, seconds: int) -> None:
    guest.check("mount -t ext2 /dev/vda1 /mnt")
    guest.send(f"/power_load /mnt /dev/vda2 {seed} {seconds}\r")
    guest.expect(r"^load runs\r?\n", 30)


def require_everything(verdicts: dict[int, Verdict]) -> None:
    """Nothing that was promised is lost, and only that is repaired which a file system without a journal leaves."""
    problems = [f"cut {cut}: {problem}" for cut, verdict in verdicts.items() for problem in verdict.problems]
    assert not problems, "\n".join(problems)


def require_readable(guest: Guest, device: str, verdict: Verdict) -> None:
    """The file system that e2fsck has repaired is mounted and read."""
    guest.check(f"mkdir -p /before && mount -t ext2 {device} /before && cd /before")
    names = " ".join(DIRECTORIES)
    printed = guest.check(f"find {names} -type f 2> /dev/null | xargs -r sha1sum", 60)
    assert sorted(re.findall(r"^[0-9a-f]{40}  .*", printed, re.MULTILINE)) == sorted(verdict.sums)
    guest.check("cd / && umount /before")


def test_the_machine_is_killed(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    generator = random.Random(SEED)
    initrd = make_initrd(kernel, root_image, tmp_path)
    before = tmp_path / "before"
    verdicts: dict[int, Verdict] = {}
    for cut in range(POWER_CUTS):
        image = make_disk(tmp_path / "disk", 1024 if cut % 2 else 4096)
        disks = (Disk(image, DiskMode.WRITE), *((Disk(before),) if cut > 0 else ()))
        with Guest(kernel.boot(initrd), Machine(disks=disks)) as guest:
            guest.expect_prompt(30)
            if cut > 0:
                require_readable(guest, "/dev/vdb", verdicts[cut - 1])
            start_load(guest, SEED * 1000 + cut, 100)
            # So long at work, however much of a processor the host gives it.
            until = guest.processor_seconds() + generator.uniform(0.3, 4.0)
            limit = time.monotonic() + 30 * PATIENCE
            while guest.processor_seconds() < until and time.monotonic() < limit:
                time.sleep(0.05)
            os.kill(guest.pid, 9)
        verdicts[cut] = judge(image.read_bytes())
        before.write_bytes(verdicts[cut].repaired)
    print({cut: verdict.promises for cut, verdict in verdicts.items()}, "promises")
    assert sum(verdict.promises for verdict in verdicts.values()) > 20 * POWER_CUTS
    require_everything(verdicts)
    fetch_oracle()
    with Guest(LINUX.boot(make_initrd(LINUX, root_image, tmp_path)), Machine(disks=(Disk(before),))) as guest:
        guest.expect_prompt(60)
        require_readable(guest, "/dev/vda", verdicts[POWER_CUTS - 1])


@pytest.mark.parametrize("block_size", [1024, 4096])
def test_a_cache_of_the_disk_is_lost(kernel: Kernel, root_image: Path, tmp_path: Path, block_size: int) -> None:
    initrd = make_initrd(kernel, root_image, tmp_path)
    image = make_disk(tmp_path / "disk", block_size)
    base = image.read_bytes()
    log = tmp_path / "log"
    log.write_bytes(b"")
    extra = (
        "-blockdev", f"driver=file,filename={image},node-name=file0",
        "-blockdev", f"driver=file,filename={log},node-name=file1",
        "-blockdev", "driver=blklogwrites,file=file0,log=file1,node-name=disk0",
        "-device", "virtio-blk-pci,drive=disk0",
    )  # fmt: skip
    with Guest(kernel.boot(initrd), Machine(extra=extra)) as guest:
        guest.expect_prompt(30)
        start_load(guest, SEED, 3)
        guest.expect("^load ended", 60)
        guest.expect_prompt(30)
        guest.qmp("quit")
        guest.wait_exit()
    writes = WriteLog(log)
    generator = random.Random(SEED)
    verdicts = {}
    for _ in range(LOGGED_CUTS // 2):
        cut = generator.randrange(len(writes.entries) // 20, len(writes.entries) + 1)
        verdicts[cut] = judge(writes.disk_at(base, cut, generator))
    require_everything(verdicts)
