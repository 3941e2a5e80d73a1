"""Which lines of the kernel's log `krait trace` shows."""

from __future__ import annotations

import pytest

from tools.guest.tracing import CallFilter

LOG = b"""\
[    0.012345] Krait: 251 MiB of memory\r
[    0.100000] [1] read(3, 0x7fff0000, 0x1000) = 24\r
[    0.110000] [15] dup2(5, 0) = 0\r
[    0.120000] [15] execve("/bin/sh", 0x1, 0x2) = 0\r
[    0.130000] [15] openat(-100, "/etc/passwd", 00, 00) = 3\r
[    0.140000] [1] waitpid(-1) = 0\r
[   12.150000] [16] write(1, 0x1, 0x3) = -1 EPIPE (32)\r
[    0.160000] something else (that) = looks alike\r
[    0.170000] [15] exit_group(7) = ?\r
[    0.180000] [15] half a li"""


@pytest.mark.parametrize("size", [1, 7, 100, 10_000])
def test_calls_of_the_program_and_its_children(size: int) -> None:
    every = CallFilter(())
    some = CallFilter(("write", "openat"))
    pieces = [LOG[at : at + size] for at in range(0, len(LOG), size)]
    assert b"".join(map(every.feed, pieces)) == (
        b'[15] execve("/bin/sh", 0x1, 0x2) = 0\n[15] openat(-100, "/etc/passwd", 00, 00) = 3\n'
        b"[16] write(1, 0x1, 0x3) = -1 EPIPE (32)\n[15] exit_group(7) = ?\n"
    )
    assert b"".join(map(some.feed, pieces)) == (
        b'[15] openat(-100, "/etc/passwd", 00, 00) = 3\n[16] write(1, 0x1, 0x3) = -1 EPIPE (32)\n'
    )


def test_what_the_kernel_is_asked_for() -> None:
    assert CallFilter(()).parameter == "trace=all"
    assert CallFilter(("write", "openat")).parameter == "trace=execve,openat,write"
