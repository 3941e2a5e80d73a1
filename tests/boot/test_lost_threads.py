"""A bug in the middle of a call on a file system leaves nothing held: the clean-up around it runs, so that the next
caller gets the locks; unmounting and powering off come to an end, and no object is lost.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

CALLS = ("mkdir", "create", "write", "read", "truncate", "unlink", "rename", "sync")
PLACES = (1, 3, 6, 10)  # which allocation of the call is a bug
BUGS = 120  # between two counts of the kernel's objects
# By that many objects counts differ although nothing is lost: one for every other bug. An old word on a kernel stack
# can keep one or two processes that have ended, of 28 objects each, for as long as it stands there.
NOISE = 60

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


def objects_after(guest: Guest, bugs: int) -> int:
    """How many objects the kernel has after that many more bugs."""
    for _ in range(bugs):
        guest.check("cp /disk /tmp/disk && mount -t ext2 -o loop /tmp/disk /mnt && rm /tmp/disk")
        guest.check("lost_threads write 6 /mnt", 80)
        guest.check("umount /mnt", 30)
    guest.check("sleep 1 && echo 3 >/proc/sys/vm/drop_caches", 30)
    return int(guest.check("grep '^krait_heap_objects ' /proc/metrics", 30).split()[1])


def test_nobody_waits_for_a_thread_that_trapped(root_image: Path, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    command = ["mke2fs", "-q", "-F", "-t", "ext2", "-b", "1024", str(disk), "4096"]
    subprocess.run(command, check=True, capture_output=True)
    files = Archive()
    files.file("disk", disk.read_bytes())
    program = compile_program(ROOT / "tests" / "boot" / "lost_threads.c")
    files.file("usr/bin/lost_threads", program.read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    found = []
    with Guest(KRAIT.boot(initrd), Machine(memory="512M"), may_trap=True) as guest:
        guest.expect_prompt(60)
        for call in CALLS:
            for place in PLACES:
                guest.check("cp /disk /tmp/disk && mount -t ext2 -o loop /tmp/disk /mnt && rm /tmp/disk")
                line = re.search(r"victim .*", guest.check(f"lost_threads {call} {place} /mnt", 80))
                assert line
                found.append(f"{call} {place}: {line[0]}")
                guest.check("umount /mnt", 30)
        before = objects_after(guest, 2)
        after = objects_after(guest, BUGS)
        guest.send("poweroff -f\r")
        guest.wait_exit(60)
        if "Kernel panic" in guest.log:
            guest.fail("one bug became a panic")
    assert not [line for line in found if "hangs" in line], "\n".join(found)
    trapped = [line for line in found if "victim trapped" in line]
    assert len(trapped) > len(CALLS), "\n".join(found)
    assert after - before <= NOISE, f"{after - before} objects are lost by {BUGS} bugs"
    assert not [line for line in trapped if "eio" in line], "\n".join(found)
