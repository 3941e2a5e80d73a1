"""Make a disk image that boots: GRUB for BIOS and for UEFI, the kernel, and an ext2 root file system.

The root file system comes from a directory or from a tar archive, plain or compressed, such as `docker export` writes;
its owners and modes are kept. No privilege is needed, and nothing is mounted: mke2fs and mtools write into the image.

Layout: a GUID partition table; partition 1 holds GRUB for BIOS, 2 is the EFI system partition with the kernel, 3 is the
root. Source: GRUB manual, "BIOS installation"; GRUB's i386/pc/boot.h for what is patched into its first sectors.
"""

from __future__ import annotations

import os
import struct
import subprocess
import tarfile
import tempfile
import uuid
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tools.gpt import (
    ALIGNMENT,
    BIOS_BOOT,
    EFI_SYSTEM,
    FIRST_USABLE,
    LINUX_ROOT_X86_64,
    SECTOR,
    TABLE_SECTORS,
    Partition,
    aligned,
    write_table,
)
from tools.images import archives, layers
from tools.paths import ROOT

GRUB = Path("/usr/lib/grub")
OUR_INIT = ROOT / "userland" / "root" / "init"
INIT_PATHS = ("sbin/init", "etc/init", "bin/init", "init")
MIB = 1 << 20
EFI_SIZE = 40 * MIB  # FAT32 needs 65,525 clusters at least
BLOCK = 4096
BYTES_PER_INODE = 16384
EARLY_MODULES = ("part_gpt", "fat", "search_fs_uuid", "configfile", "normal", "multiboot2", "serial", "terminal")

# Where GRUB's first stage says on which sector the second begins, and which bytes skip its test of the drive number.
BOOT_KERNEL_SECTOR = 0x5C
BOOT_DRIVE_CHECK = 0x66
NO_OPERATIONS = b"\x90\x90"
CORE_BLOCK_LIST = SECTOR - 12  # in the second stage's first sector: where the rest of it begins

XATTR_HEADER = "SCHILY.xattr."

MENU = """\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
set default=0
menuentry "Krait" {{
	multiboot2 /boot/krait.elf {parameters}
}}
"""


class ImageError(Exception):
    """Why no image can be made of what was given."""


@dataclass(frozen=True)
class Contents:
    """What is known of the root file system to be: bytes in blocks, how many files, and which paths."""

    blocks: int
    files: int
    has_init: bool


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise ImageError(f"`{' '.join(map(str, command))}` failed: {(done.stderr or done.stdout).strip()}")


def look_at(source: Path) -> Contents:
    """Measure a directory or an archive. Raises ImageError if it is neither, is damaged, or leads out of the root."""
    blocks = files = 0
    has_init = False

    def count(path: str, size: int) -> None:
        nonlocal blocks, files, has_init
        files += 1
        blocks += 1 + -(-size // BLOCK) + size // (BLOCK * 1024)
        has_init = has_init or path.removeprefix("./").strip("/") in INIT_PATHS

    if source.is_dir():
        for directory, names, leaves in os.walk(source):
            for name in [*names, *leaves]:
                path = Path(directory) / name
                count(str(path.relative_to(source)), path.lstat().st_size)
    else:
        try:
            with ExitStack() as stack:
                archive = archives.open_tar(source, stack, source.name)
                for member in archive:
                    layers.split(member.name)
                    count(member.name, member.size if member.isreg() else 0)
                archives.check_end(source, archive)
        except (tarfile.TarError, EOFError) as error:
            raise ImageError(f"{source.name} is damaged: {error}") from error
        except layers.ImageError as error:
            raise ImageError(str(error)) from error
    return Contents(blocks, files, has_init)


def _core(target: str, output: Path, serial: str, *modules: str) -> None:
    """GRUB's second stage, which looks for the boot partition by its serial number."""
    early = output.with_suffix(".cfg")
    early.write_text(f"search.fs_uuid {serial} root\nset prefix=($root)/boot/grub\n")
    _run("grub-mkimage", "-O", target, "-o", output, "-c", early, "-p", "/boot/grub", *modules, *EARLY_MODULES)


def _install_bios(disk: Path, partition: Partition, scratch: Path, serial: str) -> bytes:
    """Write GRUB's second stage into its partition; returns the first stage, for the MBR."""
    core_file = scratch / "core.img"
    _core("i386-pc", core_file, serial, "biosdisk")
    core = bytearray(core_file.read_bytes())
    if len(core) > partition.count * SECTOR:
        raise ImageError(f"GRUB's second stage has {len(core)} bytes and does not fit")
    struct.pack_into("<Q", core, CORE_BLOCK_LIST, partition.first + 1)
    with disk.open("r+b") as image:
        image.seek(partition.offset)
        image.write(core)
    boot = bytearray((GRUB / "i386-pc" / "boot.img").read_bytes())
    struct.pack_into("<Q", boot, BOOT_KERNEL_SECTOR, partition.first)
    boot[BOOT_DRIVE_CHECK : BOOT_DRIVE_CHECK + 2] = NO_OPERATIONS
    return bytes(boot)


def _install_efi(disk: Path, partition: Partition, scratch: Path, serial: str, kernel: Path, parameters: str) -> None:
    """Make the EFI system partition: GRUB, its menu, the kernel."""
    loader = scratch / "bootx64.efi"
    _core("x86_64-efi", loader, serial, "efi_gop")
    menu = scratch / "grub.cfg"
    menu.write_text(MENU.format(parameters=parameters))
    place = f"{disk}@@{partition.offset}"
    number = serial.replace("-", "")
    _run("mformat", "-i", place, "-F", "-c", "1", "-h", "64", "-s", "32", "-T", str(partition.count), "-N", number,
         "-v", "KRAIT", "::")
    _run("mmd", "-i", place, "::EFI", "::EFI/BOOT", "::boot", "::boot/grub")
    for file, path in ((loader, "EFI/BOOT/BOOTX64.EFI"), (kernel, "boot/krait.elf"), (menu, "boot/grub/grub.cfg")):
        _run("mcopy", "-i", place, file, f"::{path}")


def _install_root(disk: Path, partition: Partition, source: Path, contents: Contents, label: str, name: str) -> None:
    """Make the root file system; one without a first program gets ours."""
    inodes = max(contents.files * 5 // 4 + 64, partition.count * SECTOR // BYTES_PER_INODE)
    _run("mke2fs", "-q", "-F", "-t", "ext2", "-b", str(BLOCK), "-N", str(inodes), "-L", label, "-U", name, "-d", source,
         "-E", f"offset={partition.offset},root_owner=0:0", disk, f"{partition.count * SECTOR // 1024}k")
    place = f"{disk}?offset={partition.offset}"
    if source.is_file():
        set_attributes(place, source)
    if not contents.has_init:
        for request in (f"write {OUR_INIT} init", "set_inode_field init mode 0100755", "set_inode_field init uid 0",
                        "set_inode_field init gid 0"):
            _run("debugfs", "-w", "-R", request, place)


def set_attributes(place: str, source: Path) -> None:
    """Give files the extended attributes that an archive's pax headers say: mke2fs leaves them out."""
    with tempfile.TemporaryDirectory(prefix="krait-attributes-") as directory, tarfile.open(source) as archive:
        requests: list[str] = []
        for member in archive:
            for header, value in member.pax_headers.items():
                if header.startswith(XATTR_HEADER):
                    file = Path(directory) / str(len(requests))
                    file.write_bytes(value.encode("utf-8", "surrogateescape"))
                    requests.append(f'ea_set -f {file} "/{member.name}" {header.removeprefix(XATTR_HEADER)}\n')
        if requests:
            script = Path(directory) / "requests"
            script.write_text("".join(requests))
            _run("debugfs", "-w", "-f", script, place)


@dataclass(frozen=True)
class Plan:
    """A disk to be written."""

    source: Path
    contents: Contents
    sectors: int
    bios: Partition
    efi: Partition
    root: Partition


def plan_disk(source: Path, size: int | None) -> Plan:
    """Lay a disk out. `size` is of the whole disk in bytes; without it there is room for half as much again.

    Raises ImageError when `source` is not to be read, or does not fit.
    """
    contents = look_at(source)
    needed = contents.blocks * BLOCK * 21 // 20 + contents.files * 256 + 4 * MIB
    bios = Partition(BIOS_BOOT, ALIGNMENT, ALIGNMENT, "GRUB")
    efi = Partition(EFI_SYSTEM, aligned(bios.first + bios.count), EFI_SIZE // SECTOR, "EFI")
    first = aligned(efi.first + efi.count)
    if size is None:
        size = first * SECTOR + aligned(max(needed * 3 // 2, 32 * MIB) // SECTOR + TABLE_SECTORS + 1) * SECTOR
    sectors = size // SECTOR
    count = (sectors - FIRST_USABLE - first) // 8 * 8
    if count * SECTOR < needed:
        raise ImageError(f"{size} bytes are too few: {first * SECTOR + needed + MIB} are needed")
    return Plan(source, contents, sectors, bios, efi, Partition(LINUX_ROOT_X86_64, first, count, "root"))


def build_disk(plan: Plan, kernel: Path, output: Path, *, label: str, parameters: str) -> None:
    """Write the image. Raises ImageError; an image that was there is replaced only at the end."""
    identity = str(uuid.uuid4())
    serial = f"{uuid.uuid4().hex[:4]}-{uuid.uuid4().hex[:4]}".upper()
    new = output.with_name(output.name + ".new")
    try:
        with tempfile.TemporaryDirectory(prefix="krait-image-") as directory:
            scratch = Path(directory)
            with new.open("wb") as image:
                image.truncate(plan.sectors * SECTOR)
            _install_root(new, plan.root, plan.source, plan.contents, label, identity)
            words = f"root=UUID={identity} rw {parameters}".strip()
            _install_efi(new, plan.efi, scratch, serial, kernel, words)
            code = _install_bios(new, plan.bios, scratch, serial)
            with new.open("r+b") as image:
                write_table(image, plan.sectors, [plan.bios, plan.efi, plan.root], code)
        new.rename(output)
    finally:
        new.unlink(missing_ok=True)
