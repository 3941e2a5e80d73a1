"""Machines that QEMU refuses, and kernels that panic before anybody's program runs: one sentence, a status, an end."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.test_streams import Terminal
from tests.harness import Kernel
from tests.harness.guest import PATIENCE
from tools.paths import ROOT
from tools.ports import free_port

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

QEMU_LOCKS = (101, 201)  # it writes; nobody else is to do so
NO_PROCESSOR = "QEMU has no processor nosuch: `qemu-system-x86_64 -cpu help` lists what there is"


def krait(place: Path, *arguments: str, path: str = "", input: str = "") -> subprocess.CompletedProcess[str]:
    """`place` becomes where everything is kept that is not to outlive a machine."""
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(place), "TMPDIR": str(place)}
    if path:
        environment["PATH"] = f"{path}:{os.environ['PATH']}"
    return subprocess.run(
        [str(ROOT / "krait"), *arguments], check=False, capture_output=True, text=True, input=input, env=environment,
        timeout=100 * PATIENCE,
    )  # fmt: skip


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    it = tmp_path / "place"
    it.mkdir()
    yield it
    assert list(it.iterdir()) == [], "something is left behind"


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    image = tmp_path / "disk, a.img"
    image.write_bytes(bytes(1 << 20))
    return image


def check(done: subprocess.CompletedProcess[str], status: int, text: str) -> None:
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"krait: {text}\n")


@pytest.mark.parametrize("background", [[], ["-d"], ["-d", "--rm"]])
def test_a_processor_that_there_is_not(kernel: Kernel, place: Path, background: list[str]) -> None:
    line = ["run", "--kernel", str(kernel.path), *background, "--cpu", "nosuch", "busybox", "true"]
    check(krait(place, *line), 2, NO_PROCESSOR)


def test_neither_a_shell_nor_gdb_gets_one(kernel: Kernel, place: Path) -> None:
    terminal = Terminal([str(ROOT / "krait"), "run", "--kernel", str(kernel.path), "--cpu", "nosuch"])
    terminal.wait_for(NO_PROCESSOR.encode())
    assert terminal.status() == 2
    os.close(terminal.descriptor)
    done = krait(place, "debug", "--kernel", str(kernel.path), "--cpu", "nosuch")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"krait debug: {NO_PROCESSOR}\n")


@pytest.mark.parametrize("kind", ["q35", "pc", "microvm"])
def test_memory_that_there_is_not(kernel: Kernel, place: Path, kind: str) -> None:
    line = ["run", "--kernel", str(kernel.path), "--machine", kind, "-m", "900T", "busybox", "true"]
    check(krait(place, *line), 125, "there is no memory on this machine for a guest with 900T (-m gives it less)")


@pytest.mark.parametrize("mode", ["", ",rw", ",ro"])
def test_a_disk_that_another_machine_has(kernel: Kernel, place: Path, disk: Path, mode: str) -> None:
    with disk.open("r+b") as file:
        for byte in QEMU_LOCKS:
            fcntl.lockf(file, fcntl.LOCK_SH, 1, byte)
        done = krait(place, "run", "--kernel", str(kernel.path), "--disk", f"{disk}{mode}", "busybox", "true")
    note = f"krait: {disk}: what the guest writes is thrown away at the end (--disk {disk},rw keeps it)\n"
    done.stderr = done.stderr.removeprefix(note if mode == "" else "")
    check(done, 125, f"the disk {disk} is in use: by another machine, or twice by this one")


def test_a_disk_that_is_there_twice(kernel: Kernel, place: Path, disk: Path) -> None:
    twice = ["--disk", f"{disk},rw", "--disk", f"{disk},rw"]
    done = krait(place, "run", "--kernel", str(kernel.path), *twice, "busybox", "true")
    check(done, 125, f"the disk {disk} is in use: by another machine, or twice by this one")


def test_a_broken_disk(kernel: Kernel, place: Path, disk: Path) -> None:
    disk.write_bytes(b"QFI\xfb" + bytes(1000))
    done = krait(place, "run", "--kernel", str(kernel.path), "--disk", f"{disk},ro", "busybox", "true")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (125, "", 1)
    assert done.stderr.startswith("krait: QEMU does not start the machine: ") and "qcow2" in done.stderr


@pytest.mark.parametrize("name", ["/bin/true", "/etc/passwd"])
def test_a_file_that_is_no_kernel(place: Path, name: str) -> None:
    done = krait(place, "run", "--kernel", name, "busybox", "true")
    check(done, 125, "QEMU cannot start the kernel: it has no PVH note, and is no bzImage either")


@pytest.mark.parametrize("command", [["run", "--initramfs", "{}"], ["run", "busybox", "true"], ["debug"]])
def test_ports_that_are_taken(kernel: Kernel, root_image: Path, place: Path, command: list[str]) -> None:
    name, *rest = (word.format(root_image) for word in command)
    with socket.socket() as taken:
        port = free_port(30000 + os.getpid() % 20000)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = krait(place, name, "--kernel", str(kernel.path), "-p", f"{port}:80", *rest)
    assert (done.returncode, done.stdout) == (125, "")
    assert done.stderr == f"krait: port {port} of this machine: address already in use\n"


def test_a_qemu_without_a_device(kernel: Kernel, place: Path, tmp_path: Path) -> None:
    """One that was built with fewer; it is new enough."""
    qemu = shutil.which("qemu-system-x86_64")
    (tmp_path / "qemu-system-x86_64").write_text(
        f"#!/bin/sh\n[ \"$1\" = --version ] && exec {qemu} --version\nexec {qemu} \"$@\" -device nosuch\n"
    )
    (tmp_path / "qemu-system-x86_64").chmod(0o755)
    done = krait(place, "run", "--kernel", str(kernel.path), "busybox", "true", path=str(tmp_path))
    check(done, 125, "this QEMU has no device nosuch, which the machine needs")


def test_warnings_of_qemu_are_not_the_programs(kernel: Kernel, place: Path) -> None:
    """An emulated processor of a real model lacks some of what that has, and QEMU says so in many lines."""
    done = krait(place, "run", "--kernel", str(kernel.path), "--cpu", "EPYC", "busybox", "echo", "up")
    assert (done.returncode, done.stdout, done.stderr) == (0, "up\n", "")


# ---- Panics ----

DIES = ["--append", "quiet rdinit=/bin/true"]  # process 1 must not end


def test_a_panic_that_nobody_sees_ends_the_machine(kernel: Kernel, root_image: Path, place: Path) -> None:
    done = krait(place, "run", "--kernel", str(kernel.path), "--initramfs", str(root_image), *DIES)
    assert (done.returncode, done.stderr) == (125, "krait: the kernel has panicked\n")
    assert "\nKernel panic - not syncing: " in done.stdout


def test_a_panic_on_a_terminal_stays_and_says_how_to_leave(kernel: Kernel) -> None:
    terminal = Terminal([str(ROOT / "krait"), "run", "--kernel", str(kernel.path), *DIES])
    terminal.wait_for(b"\nKernel panic - not syncing: ")
    terminal.wait_for(b"krait: the kernel has panicked (Ctrl-A X leaves)\r\n")
    os.write(terminal.descriptor, b"\x01x")
    assert terminal.status() == 125
    os.close(terminal.descriptor)


def test_input_that_is_no_terminal_is_the_shells(kernel: Kernel, place: Path) -> None:
    """The machine ends where the commands do."""
    done = krait(place, "run", "--kernel", str(kernel.path), input="echo $((6 * 7))\necho no >&2\n(exit 3)\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, "42\n", "no\n")
