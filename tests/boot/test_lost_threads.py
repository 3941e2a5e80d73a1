"""A bug in the middle of a call on a file system leaves nothing held: others get EIO, SIGKILL ends them, and unmounting
and powering off come to an end.
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

pytestmark = pytest.mark.timeout(int(300 * PATIENCE))


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
                # A reference of the dead thread may keep the mount busy.
                guest.check("umount /mnt || umount -l /mnt", 30)
        guest.send("poweroff -f\r")
        guest.wait_exit(60)
        if "Kernel panic" in guest.log:
            guest.fail("one bug became a panic")
    assert not [line for line in found if "hangs" in line], "\n".join(found)
    trapped = [line for line in found if "victim trapped" in line]
    assert len(trapped) > len(CALLS), "\n".join(found)
    assert [line for line in trapped if "follower eio" in line], "\n".join(found)
