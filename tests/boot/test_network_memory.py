"""Sockets take a bounded part of memory, whatever their peers do."""

import re
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.machine import Machine
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

CONNECTIONS = 1000
LEAST_PAGES = 4  # that each connection may hold beyond the limit


def test_a_thousand_connections_whose_peers_never_read(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    files = Archive()
    files.file("usr/bin/unread", compile_program(ROOT / "tests" / "boot" / "unread.c").read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    with Guest(kernel.boot(initrd, "quiet"), Machine(memory="64M")) as guest:
        guest.expect_prompt(60)
        guest.check("ifconfig lo up; echo 20000 >/proc/sys/net/ipv4/tcp_max_orphans")
        limit = int(guest.check("cat /proc/sys/net/ipv4/tcp_mem").split()[2])
        output = guest.check(f"unread {CONNECTIONS}", 60)
        print(output)
        shown = {name: (int(mem), int(orphans), int(free)) for name, mem, orphans, free in
                 re.findall(r"^(\w+): mem (\d+) orphan (\d+) free (\d+)", output, re.MULTILINE)}
        assert "another connection goes on" in output
        assert limit <= shown["full"][0] <= limit + 2 * CONNECTIONS * LEAST_PAGES
        assert shown["after"][:2] == (0, 0)
        assert shown["before"][2] - shown["after"][2] < 4096
        assert "usage" in guest.run("busybox ls --help 2>&1").lower()  # programs still start
        assert "ot of memory" not in guest.log and "Traceback" not in guest.log
