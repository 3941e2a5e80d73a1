"""Where things lie: in a checkout, which builds what it needs, or in an installed Krait, which brings it."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREBUILT = ROOT / "prebuilt"  # what a wheel brings (tools/wheel.py); a checkout has none
IS_INSTALLED = PREBUILT.is_dir()


def cache_directory() -> Path:
    """What may be thrown away at any time: $XDG_CACHE_HOME/krait."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "krait"


def on_path(program: str) -> Path | None:
    """Where a program of this machine lies."""
    for place in os.get_exec_path():
        path = Path(place, program)
        if path.is_file() and os.access(path, os.X_OK):
            return path
    return None


BUILD = cache_directory() / "build" if IS_INSTALLED else ROOT / "build"
_MADE = PREBUILT if IS_INSTALLED else BUILD
KERNEL = _MADE / "krait.elf"
INITRAMFS = _MADE / "initramfs.cpio"  # the root image, plain
INITRAMFS_GZ = BUILD / "initramfs.cpio.gz"
ISO = BUILD / "krait.iso"
ORACLE = BUILD / "oracle" / "vmlinuz"  # Debian's Linux kernel, against which behaviour is compared
