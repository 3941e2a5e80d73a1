"""Logging in with OpenSSH's client: commands, terminals, copies."""

from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import random
import re
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.network import forwards, host_ports, networked
from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.cpio import extend
from userland.ssh import GUEST_NAME, GUEST_PORT, client_configuration, ssh_overlay

pytestmark = pytest.mark.timeout(int(400 * PATIENCE))

BIG = 100_000_000


@dataclass
class Login:
    """A guest, and the configuration of a client that may log in to it."""

    machine: Guest
    configuration: Path


@pytest.fixture(scope="module")
def guest(kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Login]:
    directory = tmp_path_factory.mktemp("ssh")
    initrd = directory / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), ssh_overlay()))
    with networked(kernel, initrd, forwards(GUEST_PORT), "512M") as machine:
        (port,) = host_ports(machine, GUEST_PORT)
        yield Login(machine, client_configuration(port, directory))


def ssh(guest: Login, *command: str, data: bytes = b"", seconds: float = 60) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["ssh", "-F", str(guest.configuration), "-o", "BatchMode=yes", GUEST_NAME, *command],
        check=False, capture_output=True, input=data, timeout=seconds * PATIENCE,
    )


class Terminal:
    """The client on a terminal of its own, as a person uses it."""

    def __init__(self, guest: Login, rows: int, columns: int) -> None:
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
            os.execvp("ssh", ["ssh", "-F", str(guest.configuration), GUEST_NAME])
        self.seen = b""

    def expect(self, pattern: str, seconds: float = 30) -> re.Match[bytes]:
        deadline = time.monotonic() + seconds * PATIENCE
        while True:
            match = re.search(pattern.encode(), self.seen)
            if match is not None:
                self.seen = self.seen[match.end() :]
                return match
            assert time.monotonic() < deadline, self.seen
            try:
                self.seen += os.read(self.terminal, 4096)
            except OSError:
                raise AssertionError(f"the session ended: {self.seen!r}") from None

    def type(self, text: str) -> None:
        os.write(self.terminal, text.encode())

    def start(self, command: str) -> None:
        """Start a program, and wait until the terminal and its signals are its own."""
        self.type(f"(echo rea''dy; exec {command})\r")
        self.expect(r"\nready\r\n")

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))
        os.kill(self.pid, signal.SIGWINCH)

    def status(self) -> int:
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def test_a_command_its_output_and_its_status(guest: Login) -> None:
    done = ssh(guest, "echo out; echo error >&2; id -un; exit 7")
    assert (done.stdout, done.stderr, done.returncode) == (b"out\nroot\n", b"error\n", 7)


def test_standard_input_reaches_the_command(guest: Login) -> None:
    assert ssh(guest, "sort | tr a-z A-Z", data=b"two\none\n").stdout == b"ONE\nTWO\n"


def test_a_command_without_a_terminal_has_none(guest: Login) -> None:
    assert ssh(guest, "tty").stdout == b"not a tty\n"


def test_many_sessions_at_once(guest: Login) -> None:
    command = ["ssh", "-F", str(guest.configuration), GUEST_NAME]
    running = [
        subprocess.Popen([*command, f"sleep 1; echo {number}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        for number in range(8)
    ]
    assert [each.communicate(timeout=120 * PATIENCE)[0] for each in running] == [b"%d\n" % n for n in range(8)]


def test_an_interactive_shell(guest: Login) -> None:
    terminal = Terminal(guest, 33, 101)
    terminal.expect("krait:~# ")
    terminal.type("stty size; tty\r")
    terminal.expect(r"\n33 101\r\n/dev/pts/\d+\r\n")
    terminal.resize(50, 120)
    terminal.type("until [ \"$(stty size)\" = '50 120' ]; do sleep 0.1; done; stty size\r")
    terminal.expect(r"\n50 120\r\n")
    terminal.start("sleep 100")
    terminal.type("\x03")
    terminal.expect("krait:~# ")
    terminal.type("echo $?\r")
    terminal.expect(r"\n130\r\n")
    terminal.start("sleep 50")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("kill %1; exit 9\r")
    terminal.expect("exit 9")
    terminal.type("exit 9\r")  # the first one may only warn of stopped jobs
    assert terminal.status() == 9


def test_closing_the_client_ends_the_session(guest: Login) -> None:
    terminal = Terminal(guest, 24, 80)
    terminal.expect("krait:~# ")
    terminal.start("sleep 4321")
    guest.machine.run_until("ps", "sleep 4321")
    os.kill(terminal.pid, signal.SIGKILL)
    terminal.status()
    deadline = time.monotonic() + 20 * PATIENCE
    while "sleep 4321" in guest.machine.check("ps"):
        assert time.monotonic() < deadline
        time.sleep(0.5)


def test_copies_of_100_megabytes_each_way(guest: Login) -> None:
    data = random.Random(4).randbytes(BIG)
    digest = hashlib.sha256(data).hexdigest()
    start = time.monotonic()
    assert ssh(guest, "cat >/tmp/big", data=data, seconds=150).returncode == 0
    there = time.monotonic() - start
    assert ssh(guest, "sha256sum </tmp/big", seconds=100).stdout.split()[0].decode() == digest
    start = time.monotonic()
    back = ssh(guest, "cat /tmp/big", seconds=150).stdout
    assert hashlib.sha256(back).hexdigest() == digest
    print(f"to the guest {BIG / there / 1e6:.1f} MB/s, from it {BIG / (time.monotonic() - start) / 1e6:.1f} MB/s")
    ssh(guest, "rm /tmp/big")


def test_scp_both_ways(guest: Login, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "script").write_text("#!/bin/sh\necho copied\n")
    (tree / "script").chmod(0o750)
    (tree / "sub" / "data").write_bytes(random.Random(5).randbytes(300_000))
    scp = ["scp", "-q", "-r", "-p", "-F", str(guest.configuration)]
    subprocess.run([*scp, str(tree), f"{GUEST_NAME}:/tmp/"], check=True, timeout=60 * PATIENCE)
    assert ssh(guest, "/tmp/tree/script; stat -c %a /tmp/tree/script").stdout == b"copied\n750\n"
    subprocess.run([*scp, f"{GUEST_NAME}:/tmp/tree", str(tmp_path / "back")], check=True, timeout=60 * PATIENCE)
    assert (tmp_path / "back" / "sub" / "data").read_bytes() == (tree / "sub" / "data").read_bytes()


def test_a_stranger_is_refused(guest: Login, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    configuration = tmp_path / "config"
    text = guest.configuration.read_text()
    configuration.write_text(re.sub(r"IdentityFile .*", f"IdentityFile {key}", text))
    done = subprocess.run(
        ["ssh", "-F", str(configuration), "-o", "BatchMode=yes", GUEST_NAME, "true"], check=False, capture_output=True,
        stdin=subprocess.DEVNULL, timeout=60 * PATIENCE,
    )
    assert done.returncode == 255
    assert b"Permission denied" in done.stderr
