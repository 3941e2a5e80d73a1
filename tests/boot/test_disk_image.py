"""`./krait image`: disks that boot by themselves, made of directories and of archives."""

from __future__ import annotations

import io
import re
import subprocess
import tarfile
import uuid
from pathlib import Path

import pytest

from tests.boot.test_front_end import krait
from tests.harness import Guest
from tests.harness.guest import PATIENCE
from tools.gpt import LINUX_ROOT_X86_64, SECTOR
from tools.image import build_disk, plan_disk
from tools.machine import DiskMode, Firmware, ImageBoot, Machine, Medium
from tools.paths import KERNEL
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))


def root_partition(image: Path) -> bytes:
    """The root file system's entry of the partition table."""
    table = image.read_bytes()[2 * SECTOR : 34 * SECTOR]
    for entry in range(0, len(table), 128):
        if table[entry : entry + 16] == LINUX_ROOT_X86_64.bytes_le:
            return table[entry : entry + 128]
    raise AssertionError("there is no root partition")


def root_offset(image: Path) -> int:
    return int.from_bytes(root_partition(image)[32:40], "little") * SECTOR


def debugfs(image: Path, request: str) -> str:
    command = ["debugfs", "-R", request, f"{image}?offset={root_offset(image)}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def assert_clean(image: Path) -> None:
    """e2fsck finds nothing to repair in the root file system."""
    done = subprocess.run(
        ["e2fsck", "-f", "-n", f"{image}?offset={root_offset(image)}"], check=False, capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def own_root(tmp_path_factory: pytest.TempPathFactory, root_image: Path) -> Path:
    """Krait's own root file system, as an archive."""
    archive = tmp_path_factory.mktemp("root") / "root.tar"
    root_archive().write_tar(archive)
    return archive


@pytest.fixture
def disk(own_root: Path, tmp_path: Path) -> Path:
    image = tmp_path / "disk.img"
    parameters = "console=ttyS0 quiet panic=-1"
    build_disk(plan_disk(own_root, None), KERNEL, image, label="krait", parameters=parameters)
    assert_clean(image)
    return image


@pytest.mark.parametrize("firmware", list(Firmware), ids=lambda firmware: firmware.value)
def test_a_disk_boots_and_keeps_what_is_written(disk: Path, firmware: Firmware) -> None:
    boot = ImageBoot(disk, firmware, Medium.VIRTIO, DiskMode.WRITE)
    with Guest(boot, Machine()) as guest:
        guest.expect_prompt(60)
        assert " / ext2 rw" in guest.check("grep ext2 /proc/mounts")
        guest.check("seq 100000 >/root/numbers && chmod 640 /root/numbers && ln -s numbers /root/link")
        guest.send("poweroff -f\r")
        guest.wait_exit(20)
    assert_clean(disk)
    assert "Mode:  0640" in debugfs(disk, "stat /root/numbers")
    with Guest(boot, Machine()) as guest:
        guest.expect_prompt(60)
        assert guest.check("cksum </root/link; seq 100000 | cksum").splitlines()[0::2] == \
            guest.check("seq 100000 | cksum").splitlines()


def test_a_command_in_the_root_of_a_disk(disk: Path) -> None:
    """The front end runs a command, or a program of the host, inside a disk's root file system, and unmounts it."""
    arguments = ("run", "--kernel", str(KERNEL), "--disk", f"{disk},rw", "--root", "LABEL=krait")
    done = krait(*arguments, "--command", "grep -c ' / ext2' /proc/mounts; echo kept >/root/note; exit 9", status=9)
    assert done.stdout == "1\n"
    assert_clean(disk)
    assert debugfs(disk, "cat /root/note") == "kept\n"


def test_the_names_of_a_root(disk: Path) -> None:
    partition = root_partition(disk)
    superblock = disk.read_bytes()[root_offset(disk) + 1024 :][:1024]
    label = partition[56:128].decode("utf-16-le").rstrip("\0")
    for name in (
        f"PARTUUID={str(uuid.UUID(bytes_le=partition[16:32])).upper()}", f"UUID={uuid.UUID(bytes=superblock[104:120])}",
        f"PARTLABEL={label}",
    ):
        done = krait("run", "--kernel", str(KERNEL), "--disk", f"{disk},ro", "--root", name, "--command", "echo up")
        assert (done.stdout, done.returncode) == ("up\n", 0), (name, done.stderr)
    done = krait("run", "--kernel", str(KERNEL), "--disk", f"{disk},ro", "--root", "LABEL=typo", "--command", "true")
    assert done.returncode == 125
    assert re.fullmatch(r"krait: there is no disk LABEL=typo; there are:( vda\d* \(\d+ MiB\))+\n", done.stderr)


def test_an_archive_keeps_owners_modes_and_devices(tmp_path: Path) -> None:
    source = tmp_path / "root.tar.gz"
    with tarfile.open(source, "w:gz") as archive:
        for name, kind, mode, uid in (
            ("./sbin", tarfile.DIRTYPE, 0o755, 0), ("./sbin/init", tarfile.REGTYPE, 0o755, 0),
            ("./home", tarfile.DIRTYPE, 0o1777, 1000), ("./home/tool", tarfile.REGTYPE, 0o4711, 1234),
            ("./null", tarfile.CHRTYPE, 0o666, 0),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.mode, member.uid, member.gid = kind, mode, uid, uid
            member.devmajor, member.devminor = 1, 3
            data = b"#!/bin/sh\n" if kind == tarfile.REGTYPE else b""
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    image = tmp_path / "disk.img"
    build_disk(plan_disk(source, 200 << 20), KERNEL, image, label="given", parameters="")
    assert image.stat().st_size == 200 << 20
    assert_clean(image)
    tool = debugfs(image, "stat /home/tool")
    assert "Mode:  04711" in tool and "User:  1234   Group:  1234" in tool
    assert "Mode:  01777" in debugfs(image, "stat /home")
    null = debugfs(image, "stat /null")
    assert "Type: character special" in null and "01:03" in null
    assert " init " not in debugfs(image, "ls /")


def test_a_directory_without_a_first_program_gets_ours(tmp_path: Path) -> None:
    source = tmp_path / "root"
    (source / "etc").mkdir(parents=True)
    (source / "etc" / "hostname").write_text("bare\n")
    image = tmp_path / "disk.img"
    build_disk(plan_disk(source, None), KERNEL, image, label="bare", parameters="")
    assert "Mode:  0755" in debugfs(image, "stat /init")
    assert debugfs(image, "cat /etc/hostname") == "bare\n"
    assert_clean(image)


@pytest.mark.parametrize("arguments", [
    ("image",), ("image", "/none", "-o", "OUT"), ("image", "/etc/passwd", "-o", "OUT"),
    ("image", "-o", "OUT/x"),
    ("image", "-o", "/tmp"), ("image", "/etc", "-o", "OUT", "--size", "1M"), ("image", "-o", "x", "--label", "a b"),
])
def test_bad_options_give_one_line(arguments: tuple[str, ...], kernel: object, tmp_path: Path) -> None:
    image = tmp_path / "disk.img"
    done = krait(*(argument.replace("OUT", str(image)) for argument in arguments))
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].startswith("krait image: ")
    assert not image.exists()


def test_it_runs_as_an_image_too(disk: Path) -> None:
    done = krait("run", "--kernel", str(KERNEL), str(disk), "cat", "/proc/mounts", status=0)
    assert re.search(r"^/dev/\S+ / ext2 ", done.stdout, re.MULTILINE), done.stdout
