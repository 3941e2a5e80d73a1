"""Debian's udev, lsblk and lspci, as they are: they find in /sys what they find on Linux, and udev hears of devices
that come and go.

Numbers of devices and of events differ, and Linux has more devices, so the scripts ask for those that both have.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.harness import KRAIT, Batch, Case, Result
from tests.harness.agreement import linux_texts
from tests.harness.guest import PATIENCE
from tools.cpio import Archive
from tools.libraries import add_program
from tools.machine import Disk, Machine
from tools.setup import require

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

RULES = Path("/usr/lib/udev/rules.d")
BEGIN = """\
export PATH=/usr/bin:/bin:/usr/sbin:/sbin
exec 2>&1
mkdir -p /run /etc
udev=/usr/bin/udevadm
start() {
    ln -sf /usr/bin/udevadm /usr/bin/systemd-udevd
    /usr/bin/systemd-udevd --daemon
    $udev trigger --type=subsystems --action=add
    $udev trigger --type=devices --action=add
    $udev settle --timeout=60; echo "settled: $?"
}
finish() {
    $udev control --exit; rm -rf /run/udev /dev/disk /dev/block /dev/char
}
"""
SCRIPTS = {
    "udev_devices": """\
start
for name in null zero tty console loop3 loop-control vda; do
    $udev info --query=property --name=/dev/$name |
        grep -v 'USEC_INITIALIZED\\|DISKSEQ\\|^DEVPATH=/devices/pci\\|ID_PATH\\|^MAJOR=25\\|TAGS' |
        sed '/^DEVLINKS/s/[= ]/\\n/g' | grep -v 'by-diskseq\\|by-path' | sort
done
ls /dev/disk
ls /dev/disk/by-label /dev/disk/by-uuid
readlink -f /dev/disk/by-label/named
ls /dev/char | grep -x '1:[3-9]'
stat -c '%a %U:%G %n' /dev/null /dev/zero /dev/tty /dev/vda | sed 's/UNKNOWN/-/g'
$udev info --attribute-walk --name=/dev/vda | grep -o 'looking at .*device\\|SUBSYSTEM.*==.*\\|DRIVER.*=="[^"].*' |
    head -8
finish
""",
    "udev_events": """\
start
$udev monitor --kernel --udev --subsystem-match=block --subsystem-match=net > /tmp/heard & monitor=$!
for i in $(seq 200); do
    grep -qE "^[0-9a-f]+ +15 +$monitor +0*[1-9a-f]" /proc/net/netlink && break; sleep 0.1  # it hears of events
done
sleep 1
losetup /dev/loop5 /devices/fresh.img
$udev settle; readlink -f /dev/disk/by-label/fresh
losetup -d /dev/loop5
for i in $(seq 200); do [ -e /dev/disk/by-label/fresh ] || break; sleep 0.1; done
ls /dev/disk/by-label/fresh
ip link add dummy3 type dummy; $udev settle
$udev info --query=property --path=/sys/class/net/dummy3 | grep 'INTERFACE\\|SUBSYSTEM\\|ID_NET_DRIVER\\|ID_MM'
ip link del dummy3; $udev settle
for i in $(seq 200); do grep -q '^UDEV.*remove.*dummy3' /tmp/heard && break; sleep 0.1; done
kill $monitor; wait $monitor
for sender in KERNEL UDEV; do [ $(grep -c "^$sender.*change.*loop5" /tmp/heard) -ge 3 ] && echo "heard of loop5"; done
sed -n 's/^\\(KERNEL\\|UDEV *\\)\\[[0-9.]*\\]/\\1/p' /tmp/heard | grep dummy3 | sort
finish
""",
    "lsblk": """\
losetup -d /dev/loop5 2> /dev/null
dd if=/dev/zero of=/tmp/image bs=1k count=2048 2> /dev/null
losetup -o 4096 /dev/loop5 /tmp/image
lsblk -o NAME,SIZE,RO,TYPE,ALIGNMENT,LOG-SEC,PHY-SEC,RM,HOTPLUG,SUBSYSTEMS,TRAN /dev/vda /dev/loop5
lsblk -S; lsblk -n -o KNAME,PKNAME,MAJ:MIN /dev/loop5
losetup -d /dev/loop5
lspci -n | grep 1af4 | cut -d' ' -f2-; lspci -n -k | grep -c virtio-pci
lspci -n -v | grep -c 'Kernel driver in use: virtio-pci'
lspci -n -x | grep -A1 1af4 | tail -n 1 | cut -c1-15
""",
}


def new_disk(path: Path, label: str, uuid: str) -> Path:
    """A disk with an empty ext2."""
    with path.open("wb") as file:
        file.truncate(2 << 20)
    subprocess.run(["mke2fs", "-q", "-L", label, "-U", uuid, str(path)], check=True, capture_output=True)
    return path


def image(folder: Path) -> Archive:
    require("devices")
    files = Archive()
    for name in ("udevadm", "lsblk", "lspci"):
        add_program(files, Path("/usr/bin") / name)
    add_program(files, Path("/usr/sbin/losetup"))
    for rules in sorted(RULES.glob("*.rules")):
        files.file(str(rules).lstrip("/"), rules.read_bytes())
    files.file("etc/group", b"root:x:0:\ntty:x:5:\ndisk:x:6:\n")
    fresh = new_disk(folder / "fresh.img", "fresh", "fedcba98-7654-3210-fedc-ba9876543210")
    files.file("devices/fresh.img", fresh.read_bytes())
    for name, text in SCRIPTS.items():
        files.file(f"devices/{name}.sh", (BEGIN + text).encode(), 0o755)
    return files


def text_of(result: Result) -> str:
    return f"{result.output}{result.ending}{result.log}".replace("\r", "")


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory) -> Batch:
    folder = tmp_path_factory.mktemp("udev")
    disk = new_disk(folder / "disk.img", "named", "01234567-89ab-cdef-0123-456789abcdef")
    cases = [Case(name, ("/bin/sh", f"/devices/{name}.sh")) for name in SCRIPTS]
    return Batch(cases, image(folder), Machine(disks=(Disk(disk),)), needs_modules=True)


@pytest.fixture(scope="module")
def krait(batch: Batch) -> dict[str, Result]:
    return batch.run(KRAIT)


@pytest.fixture(scope="module")
def linux(batch: Batch, krait: dict[str, Result]) -> dict[str, str]:
    return linux_texts("udev", batch, krait, text_of, Path(__file__))


@pytest.mark.parametrize("name", SCRIPTS)
def test_prints_what_it_prints_on_linux(linux: dict[str, str], krait: dict[str, Result], name: str) -> None:
    assert text_of(krait[name]) == linux[name]


def test_it_does_what_it_is_for(linux: dict[str, str]) -> None:
    """Equal outputs could be equally wrong."""
    assert "/dev/vda\n" in linux["udev_devices"] and "settled: 0" in linux["udev_devices"]
    assert "/dev/loop5\n" in linux["udev_events"] and "add      /devices/virtual/net/dummy3" in linux["udev_events"]
    assert "loop5" in linux["lsblk"]
