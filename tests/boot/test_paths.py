"""Each way to boot ends at a working shell, and powering off ends the machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools import cpio
from tools.machine import Firmware, ImageBoot, Machine, Medium

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def works(guest: Guest, seconds: float = 30) -> None:
    """The shell answers, and the machine ends on request."""
    guest.expect_prompt(seconds)
    assert guest.check("echo $((6 * 7))") == "42\n"
    assert "NAME" not in guest.check("ls /bin/busybox /etc/passwd")
    guest.send("poweroff -f\r")
    assert guest.wait_exit(20) in (0, 1), guest.log


@pytest.mark.parametrize("machine_type", ["q35", "pc"])
@pytest.mark.parametrize("cpu", ["max", "qemu64"])
def test_direct_boot(kernel: Kernel, root_image: Path, machine_type: str, cpu: str) -> None:
    with Guest(kernel.boot(root_image), Machine(type=machine_type, cpu=cpu)) as guest:
        works(guest)


@pytest.mark.parametrize("memory", ["40M", "64M", "128M", "3G", "6G"])
def test_amounts_of_memory(kernel: Kernel, root_image: Path, memory: str) -> None:
    with Guest(kernel.boot(root_image, "quiet"), Machine(memory=memory)) as guest:
        guest.expect_prompt(30)
        total = int(guest.check("grep MemTotal /proc/meminfo").split()[1])
        size = int(memory[:-1]) << (20 if memory.endswith("G") else 10)
        assert size * 0.6 < total <= size


@pytest.mark.parametrize("processors", [2, 4])
def test_several_processors_are_present(kernel: Kernel, root_image: Path, processors: int) -> None:
    """The machine boots with more processors than one, whether or not they are used."""
    with Guest(kernel.boot(root_image), Machine(processors=processors)) as guest:
        works(guest)


def test_compressed_root_image(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image.with_suffix(".cpio.gz"))) as guest:
        works(guest)


@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gzip"])
def test_archives_one_after_the_other(kernel: Kernel, root_image: Path, tmp_path: Path, compressed: bool) -> None:
    """A second archive in the same initial RAM disk is unpacked over the first."""
    overlay = cpio.Archive()
    overlay.file("root/added", b"by the second archive\n")
    overlay.file("etc/hostname", b"replaced\n")
    first = root_image.with_suffix(".cpio.gz") if compressed else root_image
    data = first.read_bytes()
    initrd = tmp_path / "initrd"
    second = overlay.pack()
    initrd.write_bytes(data + bytes(-len(data) % 4) + (cpio.compress(second) if compressed else second))
    with Guest(kernel.boot(initrd, "quiet")) as guest:
        guest.expect_prompt(30)
        assert guest.check("cat /root/added; hostname") == "by the second archive\nreplaced\n"


HOSTILE_NAMES = [
    b"\xff\xfe", b"\xff/\xfe\xfd", b"file", b"file/\xff\xfe", b"../../../up", b"/" * 300, b"\xc3" * 300,
    b"a/" * 2000, b"", b".", b"..",
]


def entry(name: bytes) -> bytes:
    """A member of a cpio archive: a regular file of four bytes."""
    fields = [1, 0o100644, 0, 0, 1, 0, 4, 0, 0, 0, 0, len(name) + 1, 0]
    head = b"070701" + b"".join(b"%08X" % field for field in fields) + name + b"\0"
    return head + bytes(-len(head) % 4) + b"data"


@pytest.mark.parametrize(
    "damage",
    ["truncated", "trailing garbage", "no archive", "lying size", "broken gzip", "hostile names"],
)
def test_broken_root_images_end_in_a_message(kernel: Kernel, root_image: Path, tmp_path: Path, damage: str) -> None:
    """Whatever the initial RAM disk holds, the kernel says something and does not reset."""
    data = root_image.read_bytes()
    compressed = root_image.with_suffix(".cpio.gz").read_bytes()
    broken = {
        "truncated": data[: len(data) // 3],
        "trailing garbage": data + b"\xff" * 1000,
        "no archive": b"this is no archive" * 100,
        "lying size": data[:54] + b"FFFFFFFF" + data[62:],
        "broken gzip": compressed[:1000] + b"\0" * 1000 + compressed[2000:],
        "hostile names": b"".join(entry(name) for name in HOSTILE_NAMES) + data,
    }[damage]
    initrd = tmp_path / "initrd"
    initrd.write_bytes(broken)
    with Guest(kernel.boot(initrd)) as guest:
        guest.expect(r"krait:[^\r\n#]*# $|[Pp]anic|[Nn]o (working )?init|initramfs|Initramfs", 30)


def test_without_a_root_image_the_kernel_says_so(kernel: Kernel) -> None:
    with Guest(kernel.boot(None), may_trap=True) as guest:
        guest.expect(r"[Pp]anic|[Nn]o (working )?init|Unable to mount root", 30)


def test_a_first_program_whose_name_is_no_text(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image, "quiet rdinit=/\udcff\udcfe")) as guest:
        guest.expect(r"[Pp]anic|krait:[^\r\n#]*# $", 30)
        assert "Traceback" not in guest.log or "no program to run" in guest.log, guest.log


def test_after_a_panic_the_machine_restarts_when_told_to(kernel: Kernel) -> None:
    """`panic=-1`, which the tests' kernels have: at once. QEMU runs with -no-reboot, so it exits."""
    with Guest(kernel.boot(None), may_trap=True) as guest:
        guest.expect(r"[Pp]anic", 30)
        guest.wait_exit(20)


def test_too_little_memory_ends_in_a_message(kernel: Kernel, root_image: Path) -> None:
    """The archive does not fit: that is said, and nothing hangs silently."""
    with Guest(kernel.boot(root_image), Machine(memory="8M"), may_trap=True) as guest:
        guest.expect(r"not enough memory|[Pp]anic - |[Mm]emory|krait:[^\r\n#]*# $", 30)


def test_a_call_that_is_missing_is_told_of_once(kernel: Kernel, root_image: Path, tmp_path: Path) -> None:
    if kernel is not KRAIT:
        pytest.skip("Linux does not log it")
    source = tmp_path / "missing.c"
    source.write_text(
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <stdio.h>\n#include <unistd.h>\n"
        "int main(void) {\n"
        "  for (int i = 0; i < 3; i++) { long r = syscall(500); printf(\"%ld %d\\n\", r, errno == ENOSYS); }\n"
        "  return 0;\n}\n"
    )
    overlay = cpio.Archive()
    overlay.file("root/missing", compile_program(source).read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(cpio.extend(root_image.read_bytes(), overlay))
    with Guest(kernel.boot(initrd, "quiet")) as guest:
        guest.expect_prompt(30)
        assert guest.check("./missing") == "-1 1\n" * 3
        assert guest.check("dmesg | grep -c 'system call 500 is not implemented'") == "1\n"


def test_a_session_without_a_terminal_ends_and_nobody_hears_of_it(
    kernel: Kernel, root_image: Path, tmp_path: Path
) -> None:
    """The first process and its children are in group 0, as nobody else."""
    overlay = cpio.Archive()
    overlay.file("etc/start.d/sessions", b"#!/bin/sh\nsleep 1 &\nsetsid true\nwait $!; echo slept $?\n", 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(cpio.extend(root_image.read_bytes(), overlay))
    with Guest(kernel.boot(initrd, "quiet")) as guest:
        guest.expect("slept 0", 30)


@pytest.mark.parametrize("medium", list(Medium))
@pytest.mark.parametrize("firmware", list(Firmware))
def test_iso_image(kernel: Kernel, firmware: Firmware, medium: Medium) -> None:
    """The hybrid image, as a CD and as a disk, under both kinds of firmware, with multiboot2."""
    if kernel is not KRAIT:
        pytest.skip("the image holds Krait")
    from tools.iso import build_iso

    with Guest(ImageBoot(build_iso(), firmware, medium), Machine(memory="512M")) as guest:
        works(guest, 60)


def test_iso_image_with_multiboot1(kernel: Kernel) -> None:
    if kernel is not KRAIT:
        pytest.skip("the image holds Krait")
    from tools.iso import build_iso

    with Guest(ImageBoot(build_iso())) as guest:
        guest.expect("multiboot 1", 30)
        guest.send("\x1b[B\r")
        works(guest, 60)


def test_kernel_parameters_are_seen(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image, "quiet unknown.parameter=5 'quoted value'")) as guest:
        guest.expect_prompt(30)
        assert "unknown.parameter=5" in guest.check("cat /proc/cmdline")


def test_reboot_ends_the_machine(kernel: Kernel, root_image: Path) -> None:
    """QEMU runs with -no-reboot: a reset makes it exit."""
    with Guest(kernel.boot(root_image, "quiet")) as guest:
        guest.expect_prompt(30)
        guest.send("reboot -f\r")
        guest.wait_exit(20)


def test_halt_keeps_the_machine_quiet(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image, "quiet")) as guest:
        guest.expect_prompt(30)
        guest.send("halt -f\r")
        guest.expect(r"halt -f\r\n", 5)
        assert guest.running


def test_a_release_ends_where_uefi_lets_it() -> None:
    from tools.iso import UEFI_LIMIT, end_in_memory

    assert end_in_memory(KRAIT.path) <= UEFI_LIMIT
