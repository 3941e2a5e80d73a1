"""The kernel lock as it is written, in a program: every thread is a processor, on as many as the host has.

What it must do in every order of its steps is a model's (tests/models/kernel_lock.py). Here runs the assembly itself.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
TIME_LIMIT_S = 60 * PATIENCE
STAND_INS = {
    "movq    \\other, %cr3": "nop",
    "sti": "nop",
    "cli": "nop",
    "hlt": "call halt",
    "wrmsr": "call write_msr",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """lock.S without the instructions that only a kernel may use, and the threads."""
    place = tmp_path_factory.mktemp("lock")
    lines = (ROOT / "arch/x86_64/lock.S").read_text().splitlines()
    replaced = [line.replace(line.strip(), STAND_INS.get(line.strip(), line.strip())) for line in lines]
    assert sum(line != new for line, new in zip(lines, replaced, strict=True)) >= len(STAND_INS)
    (place / "lock.S").write_text("\n".join([*replaced, ".globl lock_is_held", ""]))
    return link(place / "lock.S")


def link(source: Path) -> Path:
    program = source.with_suffix("")
    command = ["gcc", "-O1", "-no-pie", "-pthread", "-I", str(ROOT), "-o", str(program)]
    subprocess.run([*command, str(HERE / "lock_threads.c"), str(source)], check=True)
    return program


@pytest.mark.parametrize("processors", [1, 2, 4])
def test_one_at_a_time_and_nobody_waits_for_ever(program: Path, processors: int) -> None:
    turns = 12_000 // processors
    done = subprocess.run(
        [str(program), str(processors), str(turns)], check=False, capture_output=True, text=True, timeout=TIME_LIMIT_S
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{turns * processors} turns" in done.stdout


def test_the_program_notices_a_lock_that_locks_nobody_out(program: Path) -> None:
    source = program.with_name("lock.S")
    broken = source.with_name("broken.S")
    text = source.read_text()
    exchange = "xchgl   %eax, lock_is_held(%rip)\n        testl   %eax, %eax"
    assert exchange in text
    broken.write_text(text.replace(exchange, exchange.replace("testl   %eax, %eax", "testl   $0, %eax")))
    command = [str(link(broken)), "3", "40000"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIME_LIMIT_S)
    assert "two hold the lock" in done.stderr or "another runs it" in done.stderr
