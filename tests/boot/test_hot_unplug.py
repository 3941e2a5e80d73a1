"""QEMU is asked to take a disk and a card out of a running machine. Krait does not answer such requests, so that the
devices stay; whatever becomes of them, each access ends, and the machine goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, Kernel
from tests.harness.guest import PATIENCE
from tools import cpio
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

WAYS = ("pc", "q35 by ACPI", "q35 by PCIe")
PORTS = ("-device", "pcie-root-port,id=port1,chassis=1,slot=1", "-device", "pcie-root-port,id=port2,chassis=2,slot=2")
NATIVE = ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")
READ = b"""#!/bin/sh
echo 3 > /proc/sys/vm/drop_caches
dd if=/dev/vda of=/dev/null bs=4096 count=1 2>/dev/null
"""
# A slot with a button waits for five seconds before it gives a device up.
USE = b"""#!/bin/sh
i=0
while [ $i -lt 8 ]; do ./read; ip link set eth0 up; sleep 1; i=$((i + 1)); done
echo went on
"""


def devices(image: Path, disk_bus: str, card_bus: str) -> tuple[str, ...]:
    return (
        "-drive", f"if=none,id=drive0,file={image},format=raw",
        "-device", f"virtio-blk-pci,drive=drive0,id=disk{disk_bus}",
        "-netdev", "user,id=net0", "-device", f"virtio-net-pci,netdev=net0,id=card{card_bus}",
    )  # fmt: skip


def ask_for_devices(kernel: Kernel, root_image: Path, tmp_path: Path, way: str) -> None:
    image = tmp_path / "disk.img"
    image.write_bytes(bytes(1 << 20))
    if way == "pc":
        machine = Machine(type="pc", extra=devices(image, "", ""))
    else:
        extra = (*PORTS, *devices(image, ",bus=port1", ",bus=port2"))
        machine = Machine(extra=extra if way == "q35 by ACPI" else (*NATIVE, *extra))
    overlay = cpio.Archive()
    overlay.file("root/read", READ, 0o755)
    overlay.file("root/use", USE, 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(cpio.extend(root_image.read_bytes(), overlay))
    with Guest(kernel.boot(initrd, "quiet"), machine) as guest:
        guest.expect_prompt(30)
        assert guest.check("./read; echo $?") == "0\n"
        for device in ("disk", "card"):
            guest.qmp("device_del", id=device)
            assert guest.check("./use", 60).endswith("went on\n")
        guest.send("poweroff -f\r")
        assert guest.wait_exit(20) in (0, 1), guest.log


@pytest.fixture(scope="module")
def machines(
    kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Future[None]]]:
    """What becomes of each, all at once: they wait for most of their time."""
    if kernel is not KRAIT:
        pytest.skip("Linux lets them go")
    with ThreadPoolExecutor(len(WAYS)) as pool:
        places = {way: tmp_path_factory.mktemp("machine") for way in WAYS}
        yield {way: pool.submit(ask_for_devices, kernel, root_image, place, way) for way, place in places.items()}


@pytest.mark.parametrize("way", WAYS)
def test_devices_are_asked_for(machines: dict[str, Future[None]], way: str) -> None:
    machines[way].result()
