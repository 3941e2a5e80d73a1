"""One virtual machine under test: start it, type at its serial line, wait for what it prints, see how it ends.

The serial line and the QMP monitor run over socket pairs that QEMU inherits: no files, no ports, no races. A thread
reads the line all the time, so that the log is whole whatever a test waits for. A guest that resets itself (a
triple fault) makes QEMU exit with status 0 because of -no-reboot: so an exit is never success by itself, a test
waits for a marker.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from qemu.qmp.legacy import QEMUMonitorProtocol

from tools.machine import Boot, Machine

# The prompt at the start of a line. The line editor prints it again after a carriage return, which must not count. What
# the kernel has to tell may come after it.
PROMPT = re.compile(rb"(?:\A|(?<=\n))krait:[^\r\n#]*# (?:\[ *\d+\.\d{6}\] [^\r\n]*\r\n)*$")

# Time limits in tests are meant for an idle host. On a busy one they can be stretched by a factor.
PATIENCE = float(os.environ.get("KRAIT_PATIENCE", "3"))
STATUS_MARKER = "@status@"
GATHERING_SECONDS = 0.001  # how long the reader of a serial line lets bytes gather, at least
MOST_GATHERING_SECONDS = 0.05
SEARCHED_BYTES_A_SECOND = 20_000_000  # on average, in what is not matched: a twentieth of what a processor could


def processor_seconds(pid: int) -> float:
    """How long the host's processors have worked for a process until now."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


# What Krait prints before the traceback when its code traps (kernel/lib/panic.py): the program that ran into it ends
# ("bug"), or the machine ("panic"). A panic with a message ("- not syncing") is no trap.
TRAP = re.compile(rb"^Kernel (?:bug|panic)\r?$", re.MULTILINE)


class GuestError(AssertionError):
    """What the guest did, with everything a person needs to see why: its command line and its whole log."""


class Guest:
    """A virtual machine. Use it in a `with` statement; it is killed at the end if it still runs.

    Whatever else a test asks for, the kernel must not have trapped while it ran: `stop` fails if it did. A test that
    makes it trap says so (`may_trap`).
    """

    def __init__(self, boot: Boot, machine: Machine | None = None, *, may_trap: bool = False) -> None:
        self.may_trap = may_trap
        self.machine = machine or Machine()
        self._scratch = Path(tempfile.mkdtemp(prefix="krait-guest-"))
        self.command = self.machine.command(boot, self._scratch)
        self._log = bytearray()
        self._cursor = 0
        self._news = threading.Condition()
        self._line_closed = False
        self._start()

    def __enter__(self) -> Guest:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
        if kind is None:
            self.check_for_traps()

    # --- life ---

    def _start(self) -> None:
        self._serial, serial_end = socket.socketpair()
        monitor, monitor_end = socket.socketpair()
        inherited = (serial_end.fileno(), monitor_end.fileno())
        self.started = time.monotonic()
        self._qemu = subprocess.Popen(
            [
                *self.command,
                "-chardev", f"socket,id=serial,fd={inherited[0]}", "-serial", "chardev:serial",
                "-chardev", f"socket,id=monitor,fd={inherited[1]}", "-mon", "chardev=monitor,mode=control",
            ],
            pass_fds=inherited, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        serial_end.close()
        monitor_end.close()
        self._reader = threading.Thread(target=self._read_line, daemon=True)
        self._reader.start()
        self._one_command = threading.Lock()  # the monitor serves one thread at a time
        self._monitor: QEMUMonitorProtocol | None = QEMUMonitorProtocol(monitor)
        try:
            self._monitor.settimeout(10 * PATIENCE)
            self._monitor.connect()
        except Exception as error:
            self._monitor = None
            stderr = self._qemu.communicate(timeout=10 * PATIENCE)[1] if self._qemu.poll() is not None else ""
            self.fail(f"QEMU did not start ({error}): {stderr.strip()}")

    def _read_line(self) -> None:
        """Each byte of the guest's comes alone, and all that no test has matched is searched at each news. So the more
        that is, the longer the next bytes gather: else to print much would take time that grows with its square.
        """
        while True:
            try:
                data = self._serial.recv(65536)
            except OSError:
                data = b""
            with self._news:
                self._log += data
                self._line_closed = not data
                self._news.notify_all()
                unmatched = len(self._log) - self._cursor
            if not data:
                return
            time.sleep(min(GATHERING_SECONDS + unmatched / SEARCHED_BYTES_A_SECOND, MOST_GATHERING_SECONDS))

    def stop(self) -> None:
        """End the virtual machine at once and free what it used. Raises GuestError if the kernel has trapped."""
        self._end()
        self.check_for_traps()

    def check_for_traps(self) -> None:
        """Raise GuestError if the kernel has trapped, unless it may."""
        with self._news:
            trapped = not self.may_trap and TRAP.search(self._log) is not None
        if trapped:
            self.fail("the kernel trapped")

    def _end(self) -> None:
        if self._qemu.poll() is None:
            self._qemu.kill()
        self._qemu.wait()
        if self._monitor is not None:
            try:
                self._monitor.close()
            except Exception:  # the peer is gone: any error of closing is about that
                pass
            self._monitor = None
        self._reader.join(timeout=5 * PATIENCE)
        self._serial.close()
        if self._qemu.stderr:
            self._qemu.stderr.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def wait_exit(self, seconds: float = 10) -> int:
        """QEMU's exit status, once the guest has powered off or written to the debug-exit port."""
        try:
            status = self._qemu.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            self.fail(f"the machine was still running after {seconds * PATIENCE:g} s")
        self._reader.join(timeout=5 * PATIENCE)
        return status

    @property
    def running(self) -> bool:
        return self._qemu.poll() is None

    @property
    def pid(self) -> int:
        return self._qemu.pid

    def processor_seconds(self) -> float:
        return processor_seconds(self.pid)

    def qmp(self, command: str, **arguments: object) -> Any:  # noqa: ANN401  (JSON)
        """Run one QMP command and return its result."""
        assert self._monitor is not None
        with self._one_command:
            return self._monitor.cmd(command, **arguments)

    def monitor(self, line: str) -> str:
        """Run one command of QEMU's human monitor, such as `info registers`."""
        return str(self.qmp("human-monitor-command", **{"command-line": line}))

    def state(self) -> str:
        """What the machine does now: the registers of its processors, and how the queues of its network card stand."""
        parts = [self.monitor("info registers -a")]
        for path in re.findall(r"(\S+) \[virtio-net\]", self.monitor("info virtio")):
            parts += [self.monitor(f"info virtio-queue-status {path} {queue}") for queue in (0, 1)]
        return "\n".join(part.replace("\r\n", "\n") for part in parts)

    # --- the serial line ---

    @property
    def log(self) -> str:
        """All that the guest has printed."""
        with self._news:
            return self._log.decode(errors="replace").replace("\r\n", "\n")

    def fail(self, message: str) -> NoReturn:
        raise GuestError(
            f"{message}\n--- machine: {shlex.join(self.command)} -serial stdio\n"
            f"--- serial log ({len(self._log)} bytes):\n{self.log}\n--- end of serial log"
        )

    def send(self, text: str | bytes) -> None:
        """Type: bytes go to the line as they are. A line ends with "\\r", as the Enter key sends it."""
        self._serial.sendall(text.encode() if isinstance(text, str) else text)

    def wait_until(
        self, found: Callable[[bytes], re.Match[bytes] | None], what: str, seconds: float
    ) -> re.Match[bytes]:
        """Wait until `found` matches in what was printed since the last match; then skip past the match."""
        deadline = time.monotonic() + seconds * PATIENCE
        with self._news:
            while True:
                match = found(bytes(self._log[self._cursor :]))
                if match:
                    self._cursor += match.end()
                    return match
                if self._line_closed:
                    break
                left = deadline - time.monotonic()
                if left <= 0:
                    break
                self._news.wait(left)
        if self._line_closed:
            self.fail(f"the machine ended before it printed {what}")
        self.fail(f"no {what} within {seconds * PATIENCE:g} s")

    def expect(self, pattern: str | bytes, seconds: float = 10) -> re.Match[bytes]:
        """Wait for a regular expression in what was printed since the last match; returns the match."""
        compiled = re.compile(pattern.encode() if isinstance(pattern, str) else pattern, re.MULTILINE)
        return self.wait_until(compiled.search, repr(compiled.pattern), seconds)

    def expect_prompt(self, seconds: float = 10) -> bytes:
        """Wait for the shell's prompt at the end of the log; returns what was printed before it."""
        match = self.wait_until(PROMPT.search, "shell prompt", seconds)
        return match.string[: match.start()]

    def is_at_prompt(self) -> bool:
        """Whether the shell answers now; what was printed before is forgotten."""
        with self._news:
            self._cursor = len(self._log)
        if not self.running:
            return False
        try:
            return self.run("echo $((40 + 2))", 2).endswith("42\n")
        except GuestError:
            return False

    def run(self, command: str, seconds: float = 10) -> str:
        """Type a command at the prompt and return its output, when the prompt is back."""
        self.send(command + "\r")
        printed = self.expect_prompt(seconds).replace(b"\r\n", b"\n").decode(errors="replace")
        return printed.partition("\n")[2]

    def expect_prompt_anywhere(self, seconds: float = 10) -> None:
        """Wait for the prompt after a program that did not end its last line, such as an editor."""
        self.expect(r"krait:[^\r\n#]*# $", seconds)

    def start(self, command: str) -> None:
        """Type a command that reads the terminal or takes its signals, and wait until that is its own.

        The shell gives the terminal to a program before it starts it. A key that comes earlier goes to the shell, which
        ignores it: on Linux, too.
        """
        self.send(f"(echo rea''dy; exec {command})\r")
        self.expect(r"^ready\r\n")

    def run_until(self, command: str, text: str, seconds: float = 10) -> str:
        """Run a command again and again, until its output has the text in it; returns that output."""
        deadline = time.monotonic() + seconds * PATIENCE
        while text not in (output := self.run(command, seconds)):
            if time.monotonic() > deadline:
                self.fail(f"no {text!r} in the output of `{command}` within {seconds * PATIENCE:g} s")
            time.sleep(0.1)
        return output

    def check(self, command: str, seconds: float = 10) -> str:
        """Like `run`, but the command must end with status 0. What the shell says of its jobs may follow the status."""
        output = self.run(f"{command}; echo {STATUS_MARKER}$?", seconds)
        body, _, rest = output.rpartition(STATUS_MARKER)
        status = rest.partition("\n")[0].strip()
        if status != "0":
            self.fail(f"`{command}` ended with status {status or 'unknown'}")
        return body
