"""How much room disks of images may take, and how much they do. Needs the standard library alone: the doctor asks."""

from __future__ import annotations

import os
from pathlib import Path

from tools.errors import UsageError
from tools.paths import cache_directory

SETTING = "KRAIT_IMAGES_SIZE"
DEFAULT = "8G"


def directory() -> Path:
    """Where disks are kept."""
    return cache_directory() / "images"


def limit() -> int:
    """Bytes that all disks may take together: $KRAIT_IMAGES_SIZE, or 8 GiB. Raises UsageError."""
    import argparse

    from tools.arguments import in_bytes, memory_size

    try:
        return in_bytes(memory_size(os.environ.get(SETTING) or DEFAULT))
    except argparse.ArgumentTypeError as error:
        raise UsageError(f"krait: {SETTING}: {error}") from error


def taken() -> int:
    """Bytes that disks take."""
    return sum(disk.stat().st_blocks * 512 for disk in directory().glob("*.ext2"))
