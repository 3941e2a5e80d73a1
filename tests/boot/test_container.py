"""An exported container becomes a disk that boots: what `docker export` writes, with its marker file, an empty
/dev/console, hard links, programs that run as another user, owners, and extended attributes in pax headers.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.boot.test_disk_image import assert_clean, debugfs
from tests.harness import Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tools.image import build_disk, plan_disk
from tools.machine import Disk, DiskMode, Firmware, ImageBoot, Machine, Medium
from tools.paths import KERNEL, ROOT
from userland.image import root_archive

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

HERE = Path(__file__).parent
DYNAMIC = ROOT / "tests" / "conformance" / "c" / "hello_dynamic.c"
LOADER = "lib/ld-musl-x86_64.so.1"
APPLETS = ("sh", "ls", "mount", "cat", "stat", "grep", "id", "poweroff", "sed", "mkdir", "hostname", "setsid", "stty",
           "ln", "getfattr", "chown", "su", "env", "umount", "sync", "reboot", "sleep", "init")


class Export:
    """A tar archive in the making, with names as docker writes them: without "./" in front."""

    def __init__(self, path: Path) -> None:
        self.archive = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)

    def add(
        self, name: str, data: bytes = b"", *, kind: bytes = tarfile.REGTYPE, mode: int = 0o644, link: str = "",
        owner: tuple[int, int] = (0, 0), attributes: dict[str, str] | None = None,
    ) -> None:
        member = tarfile.TarInfo(name)
        member.type, member.mode, member.linkname, member.size = kind, mode, link, len(data)
        member.uid, member.gid = owner
        member.mtime = 1_700_000_000
        member.pax_headers = {f"SCHILY.xattr.{key}": value for key, value in (attributes or {}).items()}
        self.archive.addfile(member, io.BytesIO(data))

    def directory(self, name: str, mode: int = 0o755, owner: tuple[int, int] = (0, 0)) -> None:
        self.add(f"{name}/", kind=tarfile.DIRTYPE, mode=mode, owner=owner)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory, root_image: Path) -> Path:
    """An image made of an exported container that has musl, busybox and a program that is linked dynamically."""
    directory = tmp_path_factory.mktemp("container")
    own = root_archive().entries
    loader = "-Wl,--dynamic-linker=/lib/ld-musl-x86_64.so.1"
    program = compile_program(DYNAMIC, flags=(loader,)).read_bytes()
    export = Export(directory / "export.tar")
    export.add(".dockerenv", mode=0o755)
    export.directory("bin")
    export.add("bin/busybox", own["bin/busybox"].data, mode=0o755)
    for applet in APPLETS:
        export.add(f"bin/{applet}", kind=tarfile.LNKTYPE, link="bin/busybox", mode=0o755)
    export.directory("dev")
    export.add("dev/console", mode=0o755)
    for name in ("dev/pts", "dev/shm", "proc", "sys", "root", "var", "lib", "usr", "usr/bin", "home"):
        export.directory(name)
    export.directory("tmp", 0o1777)
    export.directory("home/app", 0o750, (1000, 1000))
    export.add("home/app/data", b"the application's\n", mode=0o640, owner=(1000, 1000),
               attributes={"user.origin": "container", "user.long": "x" * 200})
    export.directory("etc")
    for name in ("hostname", "hosts", "resolv.conf"):
        export.add(f"etc/{name}", mode=0o755)
    export.add("etc/mtab", kind=tarfile.SYMTYPE, link="/proc/mounts", mode=0o777)
    export.add("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n")
    export.add("etc/group", b"root:x:0:\napp:x:1000:\n")
    export.add("etc/inittab", b"::respawn:-/bin/sh\n::shutdown:/bin/umount -a -r\n")
    export.add("etc/profile", b"PS1='krait:\\w# '\n")
    look = b"#!/bin/sh\nmount -t proc proc /proc\ngrep ' / ' /proc/mounts\ncat /home/app/data\npoweroff -f\n"
    export.add("look", look, mode=0o755)
    export.add(LOADER, own[LOADER].data, mode=0o755)
    export.add("usr/bin/hello", program, mode=0o755)
    export.add("usr/bin/elevated", compile_program(HERE / "effective.c").read_bytes(), mode=0o4755)
    export.add("usr/bin/who", kind=tarfile.SYMTYPE, link="elevated", mode=0o777)
    export.add("home/app/" + "long name " * 15, b"pax\n", owner=(1000, 1000))
    export.archive.close()
    image = directory / "disk.img"
    plan = plan_disk(directory / "export.tar", None)
    build_disk(plan, KERNEL, image, label="container", parameters="console=ttyS0 quiet panic=-1")
    assert_clean(image)
    return image


def test_a_container_boots(container: Path, kernel: Kernel) -> None:
    with Guest(ImageBoot(container, Firmware.BIOS, Medium.VIRTIO, DiskMode.WRITE), Machine()) as guest:
        guest.expect_prompt(60)
        guest.check("mount -t proc proc /proc; mount -t sysfs sys /sys")
        assert " / ext2 rw" in guest.check("cat /etc/mtab")
        assert guest.check("stat -c '%h %a' /bin/sh /bin/busybox").split() == [str(len(APPLETS) + 1), "755"] * 2
        for name, wanted in (("home/app/data", "640 1000"), ("usr/bin/elevated", "4755 0"), ("tmp", "1777 0")):
            assert guest.check(f"stat -c '%a %u' /{name}") == f"{wanted}\n"
        assert "hello" in guest.run("/usr/bin/hello")
        guest.check("cd /home/app")
        assert 'user.origin="container"' in guest.check("getfattr -n user.origin data")
        assert "x" * 200 in guest.check("getfattr -n user.long data")
        assert guest.check("cat /home/app/long*") == "pax\n"
        # A program with the set-user-ID bit, run by somebody else.
        assert guest.check("su app -c /usr/bin/who") == "uid 1000, effective 0\n"
        assert "Permission denied" in guest.run("su app -c 'echo x >/etc/hosts'")
        guest.check("su app -c 'echo kept >kept' && test -f /.dockerenv && test -c /dev/console")
        guest.send("umount -a -r; poweroff -f\r")
        guest.wait_exit(20)
    assert_clean(container)
    assert debugfs(container, "cat /home/app/kept") == "kept\n"
    assert "User:  1000" in debugfs(container, "stat /home/app/kept")


def partition_identity(image: Path) -> str:
    done = subprocess.run(["blkid", "-p", "-o", "value", "-s", "PTTYPE", str(image)], capture_output=True, text=True)
    assert done.stdout.strip() == "gpt"
    entry = image.read_bytes()[2 * 512 + 2 * 128 : 2 * 512 + 3 * 128]
    low, middle, high = entry[16:20][::-1].hex(), entry[20:22][::-1].hex(), entry[22:24][::-1].hex()
    return f"{low}-{middle}-{high}-{entry[24:26].hex()}-{entry[26:32].hex()}"


@pytest.mark.parametrize("how", ["PARTUUID", "PARTLABEL", "name"])
def test_a_root_by_its_partition(container: Path, kernel: Kernel, how: str) -> None:
    """The third partition of the table, by the names that a GUID table gives it."""
    names = {"PARTUUID": f"PARTUUID={partition_identity(container).upper()}", "PARTLABEL": "PARTLABEL=root",
             "name": "/dev/vda3"}
    boot = kernel.boot(None, f"root={names[how]} ro rootwait init=/look")
    with Guest(boot, Machine(disks=(Disk(container, DiskMode.SNAPSHOT),))) as guest:
        guest.expect(r"/dev/\S+ / ext2 ro", 30)
        guest.expect("the application's", 10)
        guest.wait_exit(20)
