"""Hostile packets at full rate: no panic, no leak, bounded memory, and other connections go on.

`make test` fuzzes for 6 seconds, from the same seed each time; KRAIT_FUZZ_SECONDS=600 is the long form, and takes any
seed. It is printed; KRAIT_FUZZ_SEED takes it. What was sent last before a failure is in build/fuzz/network.pcap.
"""

from __future__ import annotations

import os
import random
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.boot.network import host_ports
from tests.fuzz_network.fuzzer import Fuzzer
from tests.fuzz_network.templates import GUEST4, GUEST6, GUEST_LINK, PEER4, PEER6
from tests.fuzz_network.wire import Wire
from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import BUILD, ROOT

SECONDS = float(os.environ.get("KRAIT_FUZZ_SECONDS", "6"))
IS_LONG = "KRAIT_FUZZ_SECONDS" in os.environ
SEED = int(os.environ.get("KRAIT_FUZZ_SEED", random.SystemRandom().randrange(1 << 32) if IS_LONG else 1))
WARM_SECONDS = 2
# Tables with a bound may be full at the end: 1,024 path MTUs of 2 objects, as many redirections of 4, rate limits,
# TIME_WAIT; beside them the reclaimer's batches.
OBJECTS_SLACK = 8000
OBJECTS_PER_PAGE = 12  # of the queues of connections that still wait for their next retransmission
FREE_SLACK_KIB = 8 * 1024
SLAB_KIB = 4  # that one object may keep
MOST_TAKEN_KIB = 64 * 1024  # under load, of the guest's 256 MiB
ORPHAN_TURNS = int(min(max(SECONDS, 8), 60) * 5)  # of 0.2 s: the pause between retransmissions grows up to a minute
SLACK_PAGES = 600  # of TCP: the little that each of the target's connections may hold beyond the limit
SILENCE_SECONDS = 30 * PATIENCE  # that a connection elsewhere must not be silent for
# What is to time out does so soon.
SETTINGS = {"ipv4/tcp_max_tw_buckets": 50, "ipv4/tcp_fin_timeout": 1, "ipv4/ipfrag_time": 2, "ipv6/ip6frag_time": 2}
CAPTURE = BUILD / "fuzz" / "network.pcap"

# What goes on beside the flood, each time with the same answer: transfers over loopback, and a look at memory.
BESIDE = """\
head -c 300000 /bin/busybox >/tmp/data
while [ ! -e /tmp/stop ]; do
    nc 127.0.0.1 5000 </tmp/data | md5sum >>/tmp/sums
    grep MemFree /proc/meminfo >>/tmp/free
    grep ^TCP: /proc/net/sockstat >>/tmp/tcp
    sleep 0.3
done
echo over >>/tmp/over
"""

pytestmark = pytest.mark.timeout(int(SECONDS * 2 + 200 * PATIENCE))


class Echo(threading.Thread):
    """A connection to the guest on its other card: what is sent comes back, as long as the flood lasts."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._ended = threading.Event()
        self.bytes = 0
        self.problem = ""

    def run(self) -> None:
        source = random.Random(1)
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=SILENCE_SECONDS) as connection:
                while not self._ended.is_set():
                    data = source.randbytes(8192)
                    connection.sendall(data)
                    if _receive_exactly(connection, len(data)) != data:
                        self.problem = "what came back differs"
                        return
                    self.bytes += len(data)
                    time.sleep(0.02)
        except OSError as error:
            self.problem = f"the connection on the other card: {error}"

    def end(self) -> None:
        self._ended.set()
        self.join(SILENCE_SECONDS + 5)
        assert not self.problem, self.problem


def _receive_exactly(connection: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        part = connection.recv(length - len(data))
        if not part:
            raise OSError("it was closed")
        data += part
    return data


@contextmanager
def wired(kernel: Kernel, root_image: Path, place: Path) -> Iterator[tuple[Guest, Wire]]:
    """A guest with two cards: one behind QEMU's user network, one on our wire."""
    files = Archive()
    program = compile_program(ROOT / "tests" / "fuzz_network" / "target.c")
    files.file("usr/bin/target", program.read_bytes(), 0o755)
    files.file("usr/bin/beside", b"#!/bin/sh\n" + BESIDE.encode(), 0o755)
    initrd = place / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    with Wire(place / "wire", GUEST_LINK) as wire:
        # Nothing that the guest answers to invented addresses may leave the host.
        user = "user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:0-:5000"
        machine = Machine(extra=("-netdev", user, "-device", "virtio-net-pci,netdev=net0", *wire.arguments))
        with Guest(kernel.boot(initrd, "quiet"), machine) as guest:
            wire.connect()
            guest.expect_prompt(60)
            guest.run("stty columns 500")
            yield guest, wire


def figure(guest: Guest, name: str) -> int:
    """One of /proc/metrics."""
    return int(guest.check(f"grep '^{name} ' /proc/metrics", 30).split()[1])


def free_kib(guest: Guest) -> int:
    return int(guest.check("grep MemFree /proc/meminfo", 30).split()[1])


def largest(guest: Guest, name: str) -> int:
    """What TCP's line of /proc/net/sockstat said at most, while others went on beside the flood."""
    lines = guest.check("cat /tmp/tcp", 60).splitlines()
    return max(int(line.split(f" {name} ")[1].split()[0]) for line in lines)


def assert_is_well(guest: Guest) -> None:
    log = guest.log
    if not guest.running or re.search(r"Traceback|panic|[Kk]illed", log):
        guest.fail("the guest has fallen")


def start_target(guest: Guest) -> None:
    guest.check(f"ifconfig eth1 {GUEST4} netmask 255.255.255.0 up && ifconfig eth1 add {GUEST6}/64")
    guest.check(f"(target eth1 {PEER4} {PEER6} >/tmp/target 2>&1 &)")
    guest.check("until grep ready /tmp/target; do sleep 0.1; done", 30)


def stop_target(guest: Guest, fuzzer: Fuzzer) -> str:
    """All sockets are closed, their connections reset, and the interface goes down, which ends what is known of its
    link; fragments time out, the reclaimer runs.
    """
    with fuzzer.ending():
        guest.check("killall target; while killall -0 target 2>/dev/null; do sleep 0.2; done", 60)
        tables = "cat /proc/net/tcp /proc/net/tcp6"
        # Orphans are reset at their next retransmission. Some have neighbours that never answer: they stay for longer,
        # are bounded, and counted below.
        is_left = f"{tables} | grep -qv -e local_address -e ' 0A ' -e ' 06 '"
        guest.check(f"for i in $(seq {ORPHAN_TURNS}); do {is_left} || break; sleep 0.2; done; true", 60 + ORPHAN_TURNS)
        guest.check("ifconfig eth1 down; sleep 3")
    guest.check("for i in $(seq 40); do sh -c true; done", 60)
    return guest.check("cat /tmp/target")


def test_hostile_packets(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}, {SECONDS:g} s")
    with wired(kernel, root_image, tmp_path) as (guest, wire):
        for name, value in SETTINGS.items():
            guest.check(f"echo {value} >/proc/sys/net/{name}")
        guest.check("ifconfig lo up")
        guest.check("(tcpsvd -c 100 0 5000 cat >/dev/null 2>&1 &)")
        fuzzer = Fuzzer(wire, SEED)
        try:
            start_target(guest)
            fuzzer.flood(WARM_SECONDS)
            stop_target(guest, fuzzer)
            objects, free = figure(guest, "krait_heap_objects"), free_kib(guest)
            echo = Echo(host_ports(guest, 5000)[0])
            echo.start()
            start_target(guest)
            guest.check("(beside &)")
            rate = fuzzer.flood(SECONDS, lambda: assert_is_well(guest))
            guest.check("touch /tmp/stop; until [ -e /tmp/over ]; do sleep 0.2; done", 60)
            echo.end()
            print(stop_target(guest, fuzzer), end="")
            lowest = min(int(line.split()[1]) for line in guest.check("cat /tmp/free", 60).splitlines())
            sums = guest.check("sort /tmp/sums | uniq -c", 60).split("\n")
            orphans, pages = largest(guest, "orphan"), largest(guest, "mem")
            most_orphans = int(guest.check("cat /proc/sys/net/ipv4/tcp_max_orphans"))
            most_pages = int(guest.check("cat /proc/sys/net/ipv4/tcp_mem").split()[2])
            guest.check("rm -f /tmp/data /tmp/sums /tmp/free /tmp/tcp /tmp/stop /tmp/over")
            for _ in range(6):  # what ends by itself does so later on a busy host
                objects_after, free_after = figure(guest, "krait_heap_objects"), free_kib(guest)
                sockets = guest.check("cat /proc/net/sockstat", 30)
                queued_pages = int(sockets.split(" mem ")[1].split()[0])  # of TCP
                most_free = FREE_SLACK_KIB + SLAB_KIB * max(objects_after - objects, 0)
                most_objects = OBJECTS_SLACK + queued_pages * OBJECTS_PER_PAGE
                if free - free_after < most_free and objects_after - objects < most_objects:
                    break
                guest.check("sleep 3", 30)
            print(guest.check("cat /proc/net/dev /proc/net/snmp /proc/net/snmp6 /proc/net/netstat", 30))
            print(sockets)
            assert_is_well(guest)
        except BaseException:
            fuzzer.save(CAPTURE)
            raise
    print(f"{rate:.0f} frames/s, {fuzzer.sent} sent, {fuzzer.received} received, {fuzzer.peer.accepted} connections")
    print(f"MemFree {free} KiB, {lowest} at the lowest, {free_after} after; objects {objects}, {objects_after} after")
    print(f"orphans: {orphans} of {most_orphans} at most; {pages} pages of {most_pages}")
    print(f"beside: {echo.bytes} bytes echoed, transfers {sums}")
    assert len(sums) == 2 and int(sums[0].split()[0]) > 0, sums  # one sum, however often
    assert echo.bytes > 0
    assert fuzzer.peer.accepted > 0
    assert free - lowest < MOST_TAKEN_KIB
    assert orphans <= most_orphans
    assert pages <= most_pages + SLACK_PAGES
    assert free - free_after < most_free
    assert objects_after - objects < most_objects
