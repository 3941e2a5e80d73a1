"""Starting another kernel from this one: Krait and Linux, by our own program and by Debian's kexec."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import KRAIT, LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.cpio import Archive, extend
from tools.libraries import add_program
from tools.machine import Disk, Machine
from tools.oracle import fetch_oracle
from tools.setup import require

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

PROGRAM = Path(__file__).parent / "kexec.c"
MEMORY = "256M"


@pytest.fixture(scope="module")
def image(root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Has both kernels, the plain root image to start them with, and Debian's kexec."""
    require("kexec")
    overlay = Archive()
    overlay.file("usr/bin/start_kernel", compile_program(PROGRAM).read_bytes(), 0o755)
    add_program(overlay, Path("/usr/sbin/kexec"))
    overlay.file("next/krait", KRAIT.path.read_bytes())
    overlay.file("next/linux", fetch_oracle().read_bytes())
    overlay.file("next/initrd", root_image.read_bytes())
    path = tmp_path_factory.mktemp("kexec") / "initrd"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


def start(guest: Guest, command: str) -> None:
    """Run a command that starts another kernel, and wait for the shell there."""
    guest.start(command)
    guest.expect_prompt_anywhere(90)


@pytest.mark.parametrize(
    ("kind", "cpu", "processors"), [("q35", "max", 1), ("pc", "qemu64", 1), ("microvm", "max", 1), ("q35", "max", 4)]
)
def test_krait_starts_krait(kernel: Kernel, image: Path, tmp_path: Path, kind: str, cpu: str, processors: int) -> None:
    """… with another command line; all that there was of processors, memory and devices is there again."""
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4 << 20))
    hardware = Machine(type=kind, cpu=cpu, processors=processors, memory=MEMORY, disks=(Disk(disk),))
    with Guest(kernel.boot(image, f"quiet maxcpus={processors}"), hardware) as guest:
        guest.expect_prompt(60)
        memory = guest.check("grep MemTotal /proc/meminfo")
        guest.check("mke2fs /dev/vda >/dev/null; mount -t ext2 /dev/vda /mnt")
        guest.check("echo written before > /mnt/file")
        command = "taskset 8 start_kernel" if processors > 1 else "start_kernel"  # the last processor asks for it
        start(guest, f"{command} /next/krait /next/initrd 'console=ttyS0 panic=-1 quiet maxcpus={processors} again'")
        assert guest.check("grep -c again /proc/cmdline") == "1\n"
        assert guest.check("nproc") == f"{processors}\n"
        before, after = (int(line.split()[1]) for line in (memory, guest.check("grep MemTotal /proc/meminfo")))
        assert abs(after - before) < before // 50
        assert guest.check("mount -t ext2 /dev/vda /mnt && cat /mnt/file") == "written before\n"
        assert guest.check("ls /next 2>/dev/null; echo gone") == "gone\n"  # it has its own initial RAM disk


def test_krait_starts_linux(kernel: Kernel, image: Path) -> None:
    with Guest(kernel.boot(image, "quiet"), Machine(memory=MEMORY)) as guest:
        guest.expect_prompt(60)
        start(guest, f"start_kernel /next/linux /next/initrd '{LINUX.parameters} quiet again'")
        assert guest.check("uname -s") == "Linux\n"
        assert guest.check("grep -c again /proc/cmdline") == "1\n"


@pytest.mark.parametrize("name", ["krait", "linux"])
def test_debians_kexec(kernel: Kernel, image: Path, name: str) -> None:
    """By kexec_load(2): the program lays the kernel out itself."""
    parameters = (KRAIT if name == "krait" else LINUX).parameters
    with Guest(kernel.boot(image, "quiet"), Machine(memory=MEMORY)) as guest:
        guest.expect_prompt(60)
        disk = "--module" if name == "krait" else "--initrd"  # it knows Krait by its multiboot header
        options = f"{disk}=/next/initrd --command-line='{parameters} quiet again'"
        guest.check(f"kexec --kexec-syscall -l /next/{name} {options}", 30)
        assert guest.check("cat /sys/kernel/kexec_loaded") == "1\n"
        start(guest, "kexec -e")
        assert guest.check("grep -c again /proc/cmdline") == "1\n"
        assert ("Krait" in guest.check("uname -v")) == (name == "krait")


def test_what_is_no_kernel_leaves_the_machine_as_it_is(kernel: Kernel, image: Path) -> None:
    with Guest(kernel.boot(image, "quiet"), Machine(memory=MEMORY)) as guest:
        guest.expect_prompt(60)
        assert "Exec format error" in guest.run("start_kernel /bin/busybox - ''")
        assert "Exec format error" in guest.run("head -c 100000 /next/krait > /short; start_kernel /short - ''")
        assert "Exec format error" in guest.run("start_kernel /next/initrd - ''")
        long = "$(head -c 3000 /dev/zero | tr '\\0' x)"
        assert "Invalid argument" in guest.run(f'start_kernel /next/linux - "{long}"')
        assert guest.check("cat /sys/kernel/kexec_loaded") == "0\n"
        # It is not even loaded, so nothing is held.
        before = int(guest.check("awk '/MemFree/ { print $2 }' /proc/meminfo"))
        for _ in range(3):
            guest.run("start_kernel /short - ''")
        assert int(guest.check("awk '/MemFree/ { print $2 }' /proc/meminfo")) > before - 1000
