"""Virtio devices on every bus and by every kind of interrupt: what the disk holds is what programs read."""

from __future__ import annotations

import hashlib
import random
import re
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.iso import build_iso
from tools.machine import Disk, DiskMode, Firmware, ImageBoot, Machine, Medium, Network

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

MEBIBYTE = 1 << 20
WAYS = {
    "q35, MSI-X": Machine(type="q35"),
    "pc, MSI-X, xAPIC": Machine(type="pc", cpu="qemu64"),
    "microvm, I/O APIC": Machine(type="microvm"),
    "microvm, 8259": Machine(type="microvm", extra=("-machine", "acpi=off")),
}
DEVICE_OPTIONS = {
    "interrupt line": ",vectors=0",
    "no event index": ",event_idx=off",
    "no indirect descriptors": ",indirect_desc=off",
    "short queue": ",queue-size=4",
    "nothing": ",vectors=0,event_idx=off,indirect_desc=off",
}
CARD_OPTIONS = {
    "interrupt line": ",vectors=0",
    "no event index": ",event_idx=off",
    "no merged buffers": ",mrg_rxbuf=off",
    "nothing": ",vectors=0,event_idx=off,indirect_desc=off,mrg_rxbuf=off,status=off",
}


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random bytes, not a multiple of anything but a sector."""
    path = tmp_path_factory.mktemp("disk") / "disk.img"
    path.write_bytes(random.Random(1).randbytes(8 * MEBIBYTE + 512))
    return path


def reads_all(guest: Guest, image: Path) -> None:
    expected = hashlib.md5(image.read_bytes()).hexdigest()
    assert guest.check("blockdev --getsz /dev/vda") == "16385\n"
    assert guest.check("md5sum < /dev/vda", 30).split()[0] == expected


def answers_pings(guest: Guest) -> None:
    """QEMU's user network answers pings to the address of the host."""
    guest.check("ifconfig eth0 10.0.2.15 netmask 255.255.255.0 up")
    for size in (56, 1472, 5000):
        assert " 0% packet loss" in guest.check(f"ping -A -q -c 50 -s {size} 10.0.2.2", 60)


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_is_read(kernel: Kernel, root_image: Path, image: Path, way: str) -> None:
    machine = WAYS[way]
    disks = (Disk(image),)
    machine = Machine(type=machine.type, cpu=machine.cpu, extra=machine.extra, disks=disks, network=Network())
    with Guest(kernel.boot(root_image), machine) as guest:
        guest.expect_prompt(30)
        reads_all(guest, image)
        answers_pings(guest)


@pytest.mark.parametrize("options", DEVICE_OPTIONS)
def test_features_that_a_device_lacks(kernel: Kernel, root_image: Path, image: Path, options: str) -> None:
    machine = Machine(disks=(Disk(image, options=DEVICE_OPTIONS[options]),))
    with Guest(kernel.boot(root_image), machine) as guest:
        guest.expect_prompt(30)
        reads_all(guest, image)


@pytest.mark.parametrize("options", CARD_OPTIONS)
def test_features_that_a_card_lacks(kernel: Kernel, root_image: Path, options: str) -> None:
    machine = Machine(network=Network(options=CARD_OPTIONS[options]))
    with Guest(kernel.boot(root_image), machine) as guest:
        guest.expect_prompt(30)
        answers_pings(guest)


def test_the_cable_is_pulled_out(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image), Machine(network=Network())) as guest:
        guest.expect_prompt(30)
        answers_pings(guest)
        guest.qmp("set_link", name="net0", up=False)
        assert "RUNNING" not in guest.check("ifconfig eth0 2>&1")
        assert "100% packet loss" in guest.run("ping -q -c 1 -W 1 10.0.2.2")
        guest.qmp("set_link", name="net0", up=True)
        assert "RUNNING" in guest.check("ifconfig eth0 2>&1")
        answers_pings(guest)


def test_address_and_mtu_are_the_cards(kernel: Kernel, root_image: Path) -> None:
    options = ",mac=52:54:00:ab:cd:ef,host_mtu=1400"
    with Guest(kernel.boot(root_image), Machine(network=Network(options=options))) as guest:
        guest.expect_prompt(30)
        shown = guest.check("ifconfig eth0 2>&1")
        assert "52:54:00:AB:CD:EF" in shown and "MTU:1400" in shown


def test_what_is_written_is_on_the_disk(kernel: Kernel, root_image: Path, image: Path, tmp_path: Path) -> None:
    written = tmp_path / "disk.img"
    written.write_bytes(image.read_bytes())
    with Guest(kernel.boot(root_image), Machine(disks=(Disk(written, DiskMode.WRITE),))) as guest:
        guest.expect_prompt(30)
        guest.check("head -c 819200 /bin/busybox > /tmp/piece")
        guest.check("dd if=/tmp/piece of=/dev/vda bs=4k seek=3 conv=fsync", 30)
        expected = guest.check("md5sum < /tmp/piece").split()[0]
        data = written.read_bytes()
        assert hashlib.md5(data[3 * 4096 : 203 * 4096]).hexdigest() == expected
        rest = image.read_bytes()
        assert data[: 3 * 4096] == rest[: 3 * 4096] and data[203 * 4096 :] == rest[203 * 4096 :]


def test_a_disk_that_cannot_be_written(kernel: Kernel, root_image: Path, image: Path) -> None:
    with Guest(kernel.boot(root_image), Machine(disks=(Disk(image, DiskMode.READ_ONLY),))) as guest:
        guest.expect_prompt(30)
        assert "ermitted" in guest.run("dd if=/dev/zero of=/dev/vda bs=512 count=1")
        reads_all(guest, image)


def test_errors_of_the_medium(kernel: Kernel, root_image: Path, image: Path, tmp_path: Path) -> None:
    """A sector that can't be read is an error of those who read it, and of nobody else."""
    rules = tmp_path / "rules.conf"
    rules.write_text('[inject-error]\nevent = "read_aio"\nerrno = "5"\nsector = "8192"\n')
    extra = (
        "-blockdev", f"driver=file,filename={image},node-name=file0,read-only=on",
        "-blockdev", f"driver=blkdebug,image=file0,config={rules},node-name=bad0",
        "-blockdev", "driver=raw,file=bad0,node-name=raw0,read-only=on",
        "-device", "virtio-blk-pci,drive=raw0,werror=report,rerror=report",
    )  # fmt: skip
    data = image.read_bytes()
    with Guest(kernel.boot(root_image), Machine(extra=extra)) as guest:
        guest.expect_prompt(30)
        answer = guest.run("dd if=/dev/vda bs=4096 skip=1024 count=1 of=/dev/null")
        assert "I/O error" in answer or "Input/output error" in answer
        guest.check("dd if=/dev/vda of=/tmp/piece bs=4k skip=512 count=64")
        digest = guest.check("md5sum < /tmp/piece").split()[0]
        assert digest == hashlib.md5(data[512 * 4096 : 576 * 4096]).hexdigest()


def test_registers_above_4_gib(image: Path) -> None:
    """UEFI puts the registers of devices there."""
    machine = Machine(memory="512M", disks=(Disk(image),))
    with Guest(ImageBoot(build_iso(), Firmware.UEFI, Medium.CD), machine) as guest:
        guest.expect_prompt(60)
        reads_all(guest, image)
        tree = guest.monitor("info pci")
        assert re.search(r"BAR4: 64 bit prefetchable memory at 0x[1-9a-f][0-9a-f]{8,}", tree), tree
