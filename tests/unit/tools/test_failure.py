"""Why a machine did not come up, in one sentence, whatever QEMU said; it is asked for its version only when it has
failed for no reason that it said.
"""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tools import doctor
from tools.errors import CANNOT_RUN, USAGE
from tools.guest.failure import Reason, reason_of, version_of_qemu, without_warnings

OLD = Reason("QEMU 7.2 is too old: 8.0 or newer is needed")


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An old QEMU, the only program that there is, which notes how it is called."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f'#!/bin/sh\necho "$*" >>{tmp_path}/calls\necho "QEMU emulator version 7.2.19 (Debian 7.2)"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


def test_an_old_qemu_is_named(qemu: Path) -> None:
    assert reason_of("qemu: -device x: unknown\n", 1, "256M") == OLD
    assert (qemu.parent / "calls").read_text() == "--version\n"
    assert doctor.qemu().state == "missing" and "7.2" in doctor.qemu().what


def test_nobody_asks_a_qemu_that_works_or_has_said_why(qemu: Path) -> None:
    assert reason_of("", None, "1G") is None and reason_of("", 0, "1G") is None
    said = "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n"
    no_memory = Reason("there is no memory on this machine for a guest with 900G (-m gives it less)")
    assert reason_of(said, 1, "900G") == no_memory
    killed = reason_of("", -signal.SIGKILL, "1G")
    assert killed is not None and "killed" in killed.text
    assert not (qemu.parent / "calls").exists()


@pytest.mark.parametrize("text", ["echo QEMU emulator version 8.0.0", "echo what", "exit 1"])
def test_a_qemu_that_is_new_enough_or_does_not_say(qemu: Path, text: str) -> None:
    qemu.write_text(f"#!/bin/sh\n{text}\n")
    assert reason_of("", 1, "256M") is None
    assert reason_of("qemu: no\n", 1, "256M") == Reason("QEMU does not start the machine: no")
    assert version_of_qemu() == ((8, 0) if "8.0" in text else (0, 0))


SAYS = "qemu-system-x86_64: "
LISTED = "`qemu-system-x86_64 -cpu help` lists what there is"
WARNING = SAYS + "warning: TCG doesn't support requested feature: CPUID.80000001H:ECX.osvw [bit 9]\n"
IN_USE = "the disk /a, b is in use: by another machine, or twice by this one"


@pytest.mark.parametrize(("words", "text", "status"), [
    ("unable to find CPU model 'nosuch'", f"QEMU has no processor nosuch: {LISTED}", USAGE),
    ("can't apply global max-x86_64-cpu.pkx=on: Property 'max-x86_64-cpu.pkx' not found",
     f"processors have no property pkx: {LISTED}", USAGE),
    ("Property 'max-x86_64-cpu.nosuch' not found", f"processors have no property nosuch: {LISTED}", USAGE),
    ('-device virtio-blk-pci,drive=d: Failed to get "write" lock\nIs another process using the image [/a, b]?', IN_USE,
     CANNOT_RUN),
    ('-device d: Failed to get shared "write" lock\nIs another process using the image [/a, b]?', IN_USE, CANNOT_RUN),
    ('-drive if=none,id=disk0,file=/a,, b,format=raw,snapshot=on: Failed to get "consistent read" lock',
     "the disk /a, b is in use", CANNOT_RUN),
    ("-netdev user,id=n: Could not set up host forwarding rule 'tcp:127.0.0.1:8080-:80'",
     "port 8080 of this machine is in use", CANNOT_RUN),
    ("-gdb x: Failed to find an available port: Address already in use\nqemu: -s: gdbstub: couldn't create chardev",
     "port 1234 of this machine, gdb's, is in use", CANNOT_RUN),
    ("Error loading uncompressed kernel without PVH ELF Note",
     "QEMU cannot start the kernel: it has no PVH note, and is no bzImage either", CANNOT_RUN),
    ("Address space limit 0xffffffffff < 0x2707fffffff phys-bits too low (40)",
     "2T is more than the guest's processor can reach (-m gives it less)", CANNOT_RUN),
    ("-device none: 'none' is not a valid device model name", "this QEMU has no device none, which the machine needs",
     CANNOT_RUN),
    ('unsupported machine type: "q35"\nUse -machine help to list supported machines', "this QEMU has no machine q35",
     CANNOT_RUN),
    ("-drive if=none,id=a,file=/a,format=qcow2: Unsupported qcow2 version 0",
     "QEMU does not start the machine: Unsupported qcow2 version 0", CANNOT_RUN),
    ("-accel kvm: failed to initialize kvm: Permission denied\nqemu: more",
     "QEMU does not start the machine: failed to initialize kvm: Permission denied", CANNOT_RUN),
])  # fmt: skip
def test_what_qemu_says_becomes_a_sentence(
    monkeypatch: pytest.MonkeyPatch, words: str, text: str, status: int
) -> None:
    monkeypatch.setattr("tools.guest.failure.version_of_qemu", lambda: (10, 0))
    assert reason_of(f"{SAYS}{words}\n", 1, "2T") == Reason(text, status)
    assert reason_of(f"{WARNING}{SAYS}{words}\n", 1, "2T") == Reason(text, status), "it may have warned first"
    assert "\n" not in text


def test_a_signal_is_named_with_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.guest.failure.version_of_qemu", lambda: (0, 0))
    assert reason_of("", -signal.SIGSEGV, "1G") == Reason("QEMU was ended by signal 11")
    said = "ERROR:../block.c:1: assertion failed: (a)\nmore\n"
    text = "QEMU was ended by signal 6: ERROR:../block.c:1: assertion failed: (a)"
    assert reason_of(said, -signal.SIGABRT, "1G") == Reason(text)


def test_warnings_are_not_for_the_user() -> None:
    assert without_warnings(f"{WARNING}{SAYS}it is over\n{WARNING}") == f"{SAYS}it is over\n"
