"""Debian's tcpdump, as it is, with its C library: it captures through a ring of version 3 that it maps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.network import HOST, networked
from tests.harness import LINUX, Guest, Kernel
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.libraries import add_program
from tools.setup import require

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

PROGRAM = Path("/usr/bin/tcpdump")
TIME = r"\d\d:\d\d:\d\d\.\d{6} "


@pytest.fixture(scope="module")
def guest(kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    require("tcpdump")
    overlay = Archive()
    add_program(overlay, PROGRAM)
    if kernel is LINUX:
        add_modules(overlay)
    initrd = tmp_path_factory.mktemp("tcpdump") / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), overlay))
    with networked(kernel, initrd, (), "512M") as guest:
        guest.check("ifconfig lo 127.0.0.1 up")
        yield guest


def capture(guest: Guest, options: str, trigger: str) -> str:
    """What tcpdump prints, without times, while a command runs that gives it what it waits for."""
    guest.run("rm -f /tmp/said")  # what the one before said would pass for this one's
    guest.run(f"tcpdump -n -Z root {options} >/tmp/seen 2>/tmp/said &")
    guest.check("for i in $(seq 300); do grep -q 'listening on' /tmp/said && break; sleep 0.1; done", 60)
    guest.check(trigger, 30)
    guest.check("wait", 30)
    assert "0 packets dropped by kernel" in guest.check("cat /tmp/said")
    return re.sub("(?m)^" + TIME, "", guest.check("cat /tmp/seen"))


def echoes(near: str, far: str, sequences: range, tag: tuple[str, str] = ("", "")) -> str:
    """A pattern for pings and their answers."""
    lines = []
    for number in sequences:
        lines.append(f"{tag[0]}IP {near} > {far}: ICMP echo request, id \\d+, seq {number}, length 64\n")
        lines.append(f"{tag[1]}IP {far} > {near}: ICMP echo reply, id \\d+, seq {number}, length 64")
        lines.append("\n")
    return "".join(lines).rstrip()


def test_a_ping_on_loopback(guest: Guest) -> None:
    seen = capture(guest, "-i lo -c 4 icmp", "ping -c 2 -i 1 127.0.0.1")
    assert re.fullmatch(echoes("127.0.0.1", "127.0.0.1", range(2)), seen.strip()), seen


def test_a_ping_on_the_card(guest: Guest) -> None:
    seen = capture(guest, "-i eth0 -c 4 icmp", f"ping -c 2 {HOST}")
    assert re.fullmatch(echoes(r"10\.0\.2\.15", re.escape(HOST), range(2)), seen.strip()), seen


def test_all_interfaces_say_which_way_packets_go(guest: Guest) -> None:
    seen = capture(guest, "-i any -c 2 icmp", f"ping -c 1 {HOST}")
    pattern = echoes(r"10\.0\.2\.15", re.escape(HOST), range(1), (r"eth0  Out ", r"eth0  In  "))
    assert re.fullmatch(pattern, seen.strip()), seen


def test_one_direction_and_a_file(guest: Guest) -> None:
    """A filter that asks for the direction, a ring that is read at once, and a capture that is read again."""
    seen = capture(guest, "-i eth0 -Q out --immediate-mode -c 1 -w /tmp/file.pcap icmp", f"ping -c 1 {HOST}")
    assert seen.strip() == ""
    seen = re.sub("(?m)^" + TIME, "", guest.check("tcpdump -n -Z root -r /tmp/file.pcap 2>/dev/null"))
    assert re.fullmatch(rf"IP 10\.0\.2\.15 > {HOST}: ICMP echo request, id \d+, seq 0, length 64", seen.strip()), seen
