"""The streams, signals and status of a program that `krait run` runs, with a real machine."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.guest.registry import Entry
from tools.paths import ROOT

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def command(kernel: Kernel, script: str) -> list[str]:
    return [str(ROOT / "krait"), "run", "--kernel", str(kernel.path), "--command", script]


def test_streams_are_exact_and_apart(kernel: Kernel) -> None:
    """Binary input comes back as it was; errors stand apart; what looks like a status is none; a signal's is 128+n."""
    data = random.Random(1).randbytes(3_000_000) + b"@krait-end@ 0\r\n" + b"X\0\0\0\4\0\0\0\0\0\0\0"
    forge = "printf 'X\\0\\0\\0\\4\\0\\0\\0\\0\\0\\0\\0' >&2"
    script = f"cat; {forge}; dmesg -n 8; echo '<3>kernel says' >/dev/kmsg; kill -SEGV $$"
    done = subprocess.run(command(kernel, script), input=data, check=False, capture_output=True, timeout=100 * PATIENCE)
    assert done.returncode == 128 + signal.SIGSEGV
    assert done.stdout == data
    assert done.stderr == b"X\0\0\0\4\0\0\0\0\0\0\0"


@pytest.mark.parametrize(("closed", "shown"), [
    ("<&-", b"up\n"), (">&-", b""), ("2>&-", b"up\n"), ("<&- 2>&-", b"up\n"),
])  # fmt: skip
def test_streams_that_the_caller_closed(kernel: Kernel, closed: str, shown: bytes) -> None:
    """They are as good as /dev/null: no file of ours takes the place of one."""
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command(kernel, "cat; echo up; exit 3")]
    done = subprocess.run(line, check=False, capture_output=True, timeout=100 * PATIENCE)
    assert (done.returncode, done.stdout, done.stderr) == (3, shown, b"")


def test_a_directory_that_is_gone(kernel: Kernel, tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    line = ["sh", "-c", 'rmdir ../gone; exec "$@" 2>&1', "sh", *command(kernel, "true")]
    done = subprocess.run(line, check=False, capture_output=True, cwd=tmp_path / "gone", timeout=100 * PATIENCE)
    assert done.returncode == 125 and b"Traceback" not in done.stdout
    assert done.stdout.endswith(b"krait: the directory that it is called in: no such file or directory\n")


LEAST_RATE = 50e6  # bytes a second
AMOUNT = 100 << 20
SLOWER = 3  # how many times the processor time of output: 1.4 were seen


def processor_seconds(kernel: Kernel, script: str, input: Path = Path(os.devnull)) -> tuple[float, int]:
    """What a run and all its processes, QEMU among them, took; and the bytes that the program printed."""
    with (
        input.open("rb") as source,
        subprocess.Popen(command(kernel, script), stdin=source, stdout=subprocess.PIPE) as process,
    ):
        assert process.stdout is not None
        count = 0
        while data := os.read(process.stdout.fileno(), 1 << 20):
            count += len(data)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime, count


def test_output_comes_fast(kernel: Kernel) -> None:
    """50 MB/s, on one processor that has nothing else to do: its time is counted, since this host may be busy."""
    start, _ = processor_seconds(kernel, "true")
    whole, count = processor_seconds(kernel, f"dd if=/dev/zero bs=256k count={AMOUNT >> 18} 2>/dev/null")
    assert count == AMOUNT
    assert whole - start < AMOUNT / LEAST_RATE, f"{whole - start:.2f} s for {AMOUNT >> 20} MiB"


def test_input_comes_fast(kernel: Kernel, tmp_path: Path) -> None:
    """50 MB/s, or on a host that is too slow for that at the moment, not much slower than output."""
    (tmp_path / "data").touch()
    os.truncate(tmp_path / "data", AMOUNT)
    start, _ = processor_seconds(kernel, "true")
    script = f"dd bs=256k of=/dev/null 2>&1 | grep -q '^{AMOUNT} bytes' && printf whole"
    whole, count = processor_seconds(kernel, script, tmp_path / "data")
    assert count == len("whole")
    if whole - start >= AMOUNT / LEAST_RATE:
        output, _ = processor_seconds(kernel, f"dd if=/dev/zero bs=256k count={AMOUNT >> 18} 2>/dev/null")
        assert whole - start < SLOWER * (output - start), f"{whole - start:.2f} s for {AMOUNT >> 20} MiB"


class Run:
    """`krait run` under way."""

    def __init__(self, kernel: Kernel, script: str, tmp_path: Path, ignored: int | None = None) -> None:
        self.scratch = tmp_path

        def choose_signals() -> None:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # the tests may run in the background, where it is ignored
            if ignored is not None:
                signal.signal(ignored, signal.SIG_IGN)

        self.process = subprocess.Popen(
            command(kernel, script), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, "TMPDIR": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}, start_new_session=True,
            preexec_fn=choose_signals,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == b"up\n"
        (place,) = (tmp_path / "krait").iterdir()
        state = Entry(place).read()
        assert state is not None
        self.qemu = state.qemu
        assert self._has_machine()

    def _has_machine(self) -> bool:
        try:
            return Path(f"/proc/{self.qemu}/cmdline").read_bytes().startswith(b"qemu")
        except OSError:
            return False

    def end(self, number: int, times: int = 1) -> tuple[int, bytes]:
        for _ in range(times):
            self.process.send_signal(number)
            self._wait_until_taken(number)  # two that wait count as one
        output, _ = self.process.communicate(timeout=30 * PATIENCE)
        return self.process.returncode, output

    def _wait_until_taken(self, number: int) -> None:
        """Wait until the signal is no longer pending, or the process has ended."""
        deadline = time.monotonic() + 30 * PATIENCE
        while self.process.poll() is None and self._is_pending(number):
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _is_pending(self, number: int) -> bool:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        masks = re.findall(r"^(?:SigPnd|ShdPnd):\t([0-9a-f]+)$", status, re.MULTILINE)
        return any(int(mask, 16) >> number - 1 & 1 for mask in masks)

    def has_left_nothing(self) -> bool:
        deadline = time.monotonic() + 10 * PATIENCE
        while time.monotonic() < deadline:
            if not self._has_machine() and not list(self.scratch.iterdir()):
                return True
            time.sleep(0.05)
        return False


def test_signals_reach_the_program(kernel: Kernel, tmp_path: Path) -> None:
    handler = "trap 'echo got; exit 9' INT; trap 'echo one' USR1; echo up; while :; do sleep 0.1; done"
    run = Run(kernel, handler, tmp_path)
    run.process.send_signal(signal.SIGUSR1)
    assert run.process.stdout is not None and run.process.stdout.readline() == b"one\n"
    assert run.end(signal.SIGINT) == (9, b"got\n")
    assert run.has_left_nothing()


def test_what_the_caller_ignores_stays_ignored(kernel: Kernel, tmp_path: Path) -> None:
    """As with nohup: the program goes on after a hang-up of our terminal, and ends at SIGTERM."""
    handlers = "trap 'echo hup' HUP; trap 'echo one' USR1"
    run = Run(kernel, f"{handlers}; echo up; while :; do sleep 0.1; done", tmp_path, ignored=signal.SIGHUP)
    run.process.send_signal(signal.SIGHUP)
    run.process.send_signal(signal.SIGUSR1)  # what arrives later shows that the other did not
    assert run.process.stdout is not None and run.process.stdout.readline() == b"one\n"
    assert run.end(signal.SIGTERM) == (143, b"")
    assert run.has_left_nothing()


@pytest.mark.parametrize(("script", "number", "times", "status"), [
    ("echo up; sleep 1000", signal.SIGTERM, 1, 143),
    ("trap '' INT TERM; echo up; sleep 1000", signal.SIGINT, 3, 130),
    ("echo up; sleep 1000", signal.SIGKILL, 1, -9),
])
def test_the_end_leaves_nothing(
    kernel: Kernel, tmp_path: Path, script: str, number: int, times: int, status: int
) -> None:
    run = Run(kernel, script, tmp_path)
    assert run.end(number, times) == (status, b"")
    assert run.has_left_nothing()


class Terminal:
    """A pseudo terminal, and what was seen on it."""

    def __init__(self, arguments: list[str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.execv(arguments[0], arguments)
        self.seen = b""

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: bytes, until: bytes) -> None:
        os.write(self.descriptor, text)
        self.wait_for(until)

    def wait_for(self, text: bytes) -> None:
        deadline = time.monotonic() + 60 * PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.descriptor], [], [], 1)[0]:
                self.seen += os.read(self.descriptor, 4096)
        self.seen = self.seen[self.seen.index(text) + len(text) :]

    def status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@pytest.fixture
def terminal(kernel: Kernel) -> Iterator[Terminal]:
    it = Terminal(command(kernel, "exec sh -l"))
    yield it
    os.close(it.descriptor)


def test_a_program_on_a_terminal(terminal: Terminal) -> None:
    """It has a terminal of its own, whose size follows ours; ^C goes to it, and its status comes back."""
    terminal.wait_for(b"krait:~# ")
    terminal.resize(33, 101)
    terminal.type(b"until [ \"$(stty size)\" = '33 101' ]; do sleep 0.1; done; tty; echo $((20 + 22))\r", b"\n42\r")
    terminal.type(b"(echo rea''dy; exec sleep 1000)\r", b"\nready\r")  # then the terminal is the program's
    terminal.type(b"\x03", b"krait:~# ")
    terminal.type(b"echo status $?; exit 7\r", b"\nstatus 130\r")
    assert terminal.status() == 7
