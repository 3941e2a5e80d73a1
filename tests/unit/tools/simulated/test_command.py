"""`krait python` as its user types it."""

import os
import re
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.harness.guest import PATIENCE
from tools.paths import ROOT

COMMAND = [sys.executable, "-m", "tools.front_end", "python"]
TIME_LIMIT_S = 60 * PATIENCE
# Typed for a thread: waits until a system call is in the kernel, then does what ^C does.
CONTROL_C = "any(Program.is_in_kernel and not os.kill(os.getpid(), 2) for _ in iter(int, 1))"


def krait_python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments], cwd=ROOT, check=False, capture_output=True, text=True, timeout=TIME_LIMIT_S
    )


def test_a_line_and_a_script(tmp_path: Path) -> None:
    done = krait_python("--append", "loglevel=1", "-c", "print(init.getpid(), tree)")
    assert done.returncode == 0 and done.stdout.startswith("1 <function tree"), done.stderr
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(machine.run(lambda program: 2) >> 8, sys.argv[1:])\n")
    done = krait_python(str(script), "--word", "two")
    assert done.stdout.endswith("2 ['--word', 'two']\n"), done.stderr
    assert "Krait: 30 MiB of memory" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--memory", "1M"], "memory is 8M to 1024M here"), (["/no/script"], "/no/script is no file"),
        (["--memory", "x"], "'x' is not a size"),
    ],
)  # fmt: skip
def test_wrong_use(arguments: list[str], reason: str) -> None:
    done = krait_python(*arguments)
    assert done.returncode == 2 and reason in done.stderr and "Traceback" not in done.stderr


def test_the_prompt_on_a_terminal(tmp_path: Path) -> None:
    """A call that fails is one line; ^C ends one that sleeps; the end of input ends the session."""
    master, slave = os.openpty()
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path), "TERM": "dumb"}
    child = subprocess.Popen(
        COMMAND, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    shown = ""

    def wait_for(pattern: str) -> None:
        nonlocal shown
        limit = time.monotonic() + TIME_LIMIT_S
        while not re.search(pattern, shown):
            assert time.monotonic() < limit, shown
            if select.select([master], [], [], 1)[0]:
                shown += os.read(master, 4096).decode()
        shown = re.split(pattern, shown, maxsplit=1)[-1]

    def type_line(line: str) -> None:
        wait_for(">>> $")
        os.write(master, line.encode())

    try:
        wait_for("Control-D ends it")
        type_line('init.open("/none", 0)\n')
        wait_for(r"\nFileNotFoundError: open: No such file or directory \(ENOENT\)\r\n")
        type_line("init.timerfd_create(1, 0)\n")
        wait_for(r"\n3\r\n")
        # A timer that expires all the time: without ^C it is a long while before the machine gives the call up.
        type_line("init.timerfd_settime(3, 0, struct.pack('<4Q', 0, 10**6, 0, 10**6), None)\n")
        wait_for(r"\n0\r\n")
        type_line("import os, threading; from tools.simulated.program import Program\n")
        type_line(f"threading.Thread(target=lambda: {CONTROL_C}).start(); init.poll(None, 0, -1)\n")
        wait_for(r"InterruptedError: poll: Interrupted system call \(EINTR\)\r\n")
        type_line("1/0\n")
        wait_for("ZeroDivisionError: division by zero")
        type_line("\4")
        assert child.wait(TIME_LIMIT_S) == 0
    finally:
        child.kill()
        child.wait()
        os.close(master)
    assert "timerfd_create" in (tmp_path / "krait" / "python-history").read_text()
