"""`krait trace`: system calls of a program and its children, beside its own output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.boot.test_front_end import krait
from tests.harness import Kernel
from tests.harness.guest import PATIENCE

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def test_calls_are_printed_beside_the_output(kernel: Kernel, tmp_path: Path) -> None:
    script = "cat /etc/hostname; cat /none; exit 5"
    arguments = ("trace", "--kernel", str(kernel.path), "--calls", "openat,open,exit_group")
    done = krait(*arguments, "--command", script, status=5)
    assert done.stdout == "krait\n"
    lines = done.stderr.splitlines()
    assert "cat: can't open '/none': No such file or directory" in lines
    calls = [line for line in lines if not line.startswith("cat:")]
    assert all(re.fullmatch(r"\[\d+\] (open|openat|exit_group)\(.*\) = .*", line) for line in calls), calls
    assert any('"/etc/hostname"' in line for line in calls)
    assert any('"/none"' in line and line.endswith("= -1 ENOENT (2)") for line in calls)
    assert len({line.split()[0] for line in calls}) >= 2  # the shell, and a child
    assert calls[-1].endswith("exit_group(5) = ?")

    output = tmp_path / "calls"
    done = krait(*arguments, "-o", str(output), "--command", script, status=5)
    assert done.stderr == "cat: can't open '/none': No such file or directory\n"
    assert [re.sub(r"^\[\d+\] ", "", line) for line in output.read_text().splitlines()] == \
        [re.sub(r"^\[\d+\] ", "", line) for line in calls]


@pytest.mark.parametrize("arguments", [
    ("trace",), ("trace", "-d", "busybox", "true"), ("trace", "-o", "/none/x", "busybox", "true"),
    ("trace", "--calls", "nonsense", "busybox", "true"),
])  # fmt: skip
def test_wrong_commands_are_one_line(arguments: tuple[str, ...]) -> None:
    done = krait(*arguments, status=2)
    assert done.stderr.startswith("krait trace: ") and done.stderr.count("\n") == 1
