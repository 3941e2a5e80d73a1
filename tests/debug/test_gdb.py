"""gdb at Python source: a program on the host, in both profiles, and the kernel in QEMU."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest
from tests.harness.guest import PATIENCE
from tools.machine import Machine

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = '''"""A program to look into."""

from enum import IntEnum
from typing import Literal

from kernel.lang import Array, noinline, struct, u8, u16


class Color(IntEnum):
    RED = 1
    GREEN = 2


@struct
class Point:
    x: u16
    y: u8


class Base:
    def __init__(self, name: str) -> None:
        self.name: str = name


class Node(Base):
    def __init__(self, name: str, size: int) -> None:
        super().__init__(name)
        self.size: int = size
        self.color: Color = Color.GREEN
        self.data: bytes = b"data"
        self.small: u8 = u8(7)
        self.where: Point = Point()
        self.table: Array[u16, Literal[3]] = Array()
        self.values: list[int] = [4, 5, 6]
        self.next: Node | None = None

    @noinline
    def grow(self, by: int) -> int:
        total = self.size + by
        large = total > 3
        print(f"{total} {large}")  # here
        self.size = total
        return total + len(self.values)


def main() -> None:
    node = Node("first", 5)
    node.where.x = u16(77)
    node.table[1] = 9
    node.next = Node("second", 1)
    print(node.grow(3))


if __name__ == "__main__":
    main()
'''

LINE = next(number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# here" in line)


def gdb(program: Path, *commands: str) -> str:
    """What gdb prints for commands, in the checkout."""
    arguments = [word for command in ("set pagination off", "set width 0", *commands) for word in ("-ex", command)]
    done = subprocess.run(
        ["gdb", "-q", "-nx", "-batch", *arguments, str(program)],
        cwd=ROOT, capture_output=True, text=True, timeout=60 * PATIENCE, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.stdout + done.stderr


def compiled(folder: Path, profile: str) -> Path:
    """The program, compiled: the executable that the compiler left."""
    source = folder / f"looked_at_{profile}.py"
    source.write_text(PROGRAM)
    command = [sys.executable, "-m", "compiler", "run", str(source), "--profile", profile]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "8 True\n11\n"
    return max((ROOT / "build" / "host").glob(f"{source.stem}-*/{source.stem}"), key=os.path.getmtime)


@pytest.mark.parametrize("profile", ["dev", "release"])
def test_host_program(tmp_path: Path, profile: str) -> None:
    program = compiled(tmp_path, profile)
    text = gdb(
        program, f"break looked_at_{profile}.py:{LINE}", "run", "bt", "info args", "info locals", "p *self",
        "p self->name->text", "p *self->next", "p *self->values->_items->items@3", "p self->table", "finish",
    )  # fmt: skip
    assert re.search(rf"looked_at_{profile}\.Node\.grow \(self=0x[0-9a-f]+, by=3\)", text), text
    assert f"looked_at_{profile}.main ()" in text, "the caller is in the backtrace"
    assert "total = 8\n" in text, text
    assert ("large = true\n" if profile == "dev" else "large = ") in text, text
    fields = re.search(r"^\$1 = .*$", text, re.MULTILINE)
    assert fields is not None, text
    for part in ("size = 5", "color = GREEN", "small = 7", "where = {x = 77, y = 0"):
        assert part in fields[0], fields[0]
    assert '"first"' in text and "= {4, 5, 6}" in text and "= {0, 9, 0}" in text, text
    assert "size = 1" in text, "the fields of the next node"


@pytest.mark.timeout(int(150 * PATIENCE))
def test_kernel(root_image: Path, tmp_path: Path) -> None:
    source = "kernel/syscalls/getpid.py"
    lines = (ROOT / source).read_text().splitlines()
    line = next(n for n, text in enumerate(lines, 1) if text.startswith("def getppid")) + 2
    stub = tmp_path / "gdb"
    machine = Machine(extra=("-gdb", f"unix:{stub},server=on,wait=off"))
    with Guest(KRAIT.boot(root_image, "quiet"), machine) as guest:
        guest.expect_prompt(60)
        commands = [
            "set pagination off", "set width 0", f"target remote {stub}", f"break {source}:{line}", 'printf "ready\\n"',
            "continue", "bt", "delete", "break kernel.sched.poller.Poller.sleep_until", "continue", "bt", "info args",
            "p *self", "detach",
        ]  # fmt: skip
        arguments = [word for command in commands for word in ("-ex", command)]
        debugger = subprocess.Popen(
            ["gdb", "-q", "-nx", "-batch", *arguments, str(KRAIT.path)],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        assert debugger.stdout is not None
        seen: list[str] = []
        while not seen or seen[-1] not in ("ready\n", ""):
            seen.append(debugger.stdout.readline())
        guest.send("sh -c 'echo $PPID'\n")
        rest, _ = debugger.communicate(timeout=60 * PATIENCE)
        output = "".join(seen) + rest
    assert re.search(rf"#0  kernel\.syscalls\.getpid\.getppid \(\) at {re.escape(source)}:{line}\n", output), output
    assert re.search(r"^#1 .* at kernel/", output, re.MULTILINE), output
    assert re.search(r"kernel\.sched\.poller\.Poller\.sleep_until \(self=0x[0-9a-f]+, deadline_ns=", output), output
    assert "deadline_ns = " in output and re.search(r"^\$1 = \{ref_count = .*\}$", output, re.MULTILINE), output
