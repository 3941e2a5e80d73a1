"""Programs that pass wild pointers, lengths and levels to every socket call: no panic, no leak, bounded memory, and
other connections go on.

`make test` fuzzes for 4 seconds; KRAIT_SOCKET_SECONDS=600 is the long form. KRAIT_SEED chooses the programs; in a guest
`/socket_fuzz SEED 0 NUMBER` runs one of them again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

SECONDS = int(os.environ.get("KRAIT_SOCKET_SECONDS", "4"))
SEED = int(os.environ.get("KRAIT_SEED", "1"))
WARM_SECONDS = 2
OBJECTS_SLACK = 3000  # tables with a bound: TIME_WAIT, neighbours, routes; the reclaimer's batches
FREE_SLACK_KIB = 8 * 1024
LOOK = b"while [ -e /tmp/goes ]; do grep MemFree /proc/meminfo >>/tmp/free; sleep 0.5; done\n"
MOST_TAKEN_KIB = 96 * 1024  # under load, of the guest's 256 MiB

pytestmark = pytest.mark.timeout(int(SECONDS * 2 + 200 * PATIENCE))


@contextmanager
def fuzzed(kernel: Kernel, root_image: Path, place: Path) -> Iterator[Guest]:
    """A guest with the program, and with a card whose packets never leave the host."""
    overlay = Archive()
    program = compile_program(ROOT / "tests" / "boot" / "socket_fuzz.c")
    overlay.file("socket_fuzz", program.read_bytes(), 0o755)
    overlay.file("look", b"#!/bin/sh\n" + LOOK, 0o755)
    initrd = place / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    machine = Machine(extra=("-netdev", "user,id=net0,restrict=on", "-device", "virtio-net-pci,netdev=net0"))
    with Guest(kernel.boot(initrd, "quiet"), machine) as guest:
        guest.expect_prompt(60)
        guest.run("stty columns 500")
        guest.check("cd /proc/sys/net/ipv4 && echo 50 >tcp_max_tw_buckets && echo 1 >tcp_fin_timeout; cd")
        yield guest


def figures(guest: Guest) -> tuple[int, int]:
    """How many objects there are, and KiB of free memory, after everything has ended that ends by itself."""
    guest.check("rm -rf /tmp/fuzz; sleep 9; echo 3 >/proc/sys/vm/drop_caches", 60)
    guest.check("for i in $(seq 40); do sh -c true; done; mkdir -p /tmp/fuzz", 60)
    objects = int(guest.check("grep '^krait_heap_objects ' /proc/metrics", 30).split()[1])
    return objects, int(guest.check("grep MemFree /proc/meminfo", 30).split()[1])


def test_wild_arguments(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    with fuzzed(kernel, root_image, tmp_path) as guest:
        guest.check(f"/socket_fuzz {SEED + 1} {WARM_SECONDS}", 180)
        objects, free = figures(guest)
        guest.check("touch /tmp/goes; (/look &)")
        print(guest.check(f"/socket_fuzz {SEED} {SECONDS}", SECONDS + 180), end="")
        guest.check("rm /tmp/goes; sleep 1")
        lowest = min(int(line.split()[1]) for line in guest.check("cat /tmp/free; rm /tmp/free", 60).splitlines())
        for _ in range(6):  # what ends by itself does so later on a busy host
            objects_after, free_after = figures(guest)
            if free - free_after < FREE_SLACK_KIB and objects_after - objects < OBJECTS_SLACK:
                break
        print(guest.check("cat /proc/net/sockstat; ip route; ip addr", 30))
        assert not re.search(r"Traceback|panic|[Kk]illed", guest.log), guest.log
    print(f"MemFree {free} KiB, {lowest} at the lowest, {free_after} after; objects {objects}, {objects_after} after")
    assert free - lowest < MOST_TAKEN_KIB
    assert free - free_after < FREE_SLACK_KIB
    assert objects_after - objects < OBJECTS_SLACK
