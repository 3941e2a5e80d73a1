"""Where things lie in the checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
KERNEL = BUILD / "krait.elf"
INITRAMFS = BUILD / "initramfs.cpio"  # the root image, plain
INITRAMFS_GZ = BUILD / "initramfs.cpio.gz"
ISO = BUILD / "krait.iso"
ORACLE = BUILD / "oracle" / "vmlinuz"  # Debian's Linux kernel, against which behaviour is compared
