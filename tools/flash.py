"""Write the ISO image to a disk, after showing what will be overwritten and asking."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

CHUNK = 1 << 20


def refusal(device: Path, image: Path | None) -> str | None:
    """Why the image, if there is one already, must not be written to this device; None if it may."""
    if not device.exists():
        return f"{device} does not exist"
    if not stat.S_ISBLK(device.stat().st_mode):
        return f"{device} is not a block device"
    shown = subprocess.run(
        ["lsblk", "--noheadings", "--raw", "--output", "NAME,MOUNTPOINTS", str(device)],
        check=False, capture_output=True, text=True,
    )
    if shown.returncode != 0:
        return f"lsblk cannot look at {device}: {shown.stderr.strip()}"
    for line in shown.stdout.splitlines():
        name, _, mounted = line.strip().partition(" ")
        if mounted:
            return f"{name} is in use: mounted at {mounted.encode().decode('unicode_escape').splitlines()[0]}"
    if image is None:
        return None
    with device.open("rb") as opened:
        size = opened.seek(0, os.SEEK_END)
    if size < image.stat().st_size:
        return f"{device} is too small: {size} bytes, and the image has {image.stat().st_size}"
    return None


def flash(device: Path, image: Path) -> None:
    """Ask, then write and read back."""
    reason = refusal(device, image)
    if reason:
        raise SystemExit(f"flash: {reason}")
    print(f"All data on {device} will be overwritten:\n", flush=True)
    columns = "NAME,SIZE,TYPE,TRAN,VENDOR,MODEL,FSTYPE,LABEL"
    subprocess.run(["lsblk", "--output", columns, str(device)], check=True)
    try:
        answer = input(f"\nType the device's name ({device.name}) to go on: ")
    except EOFError:
        answer = ""
    if answer.strip() not in (device.name, str(device)):
        raise SystemExit("flash: nothing was written")
    data = image.read_bytes()
    with device.open("r+b", buffering=0) as out:
        for offset in range(0, len(data), CHUNK):
            out.write(data[offset : offset + CHUNK])
        os.fsync(out.fileno())
        out.seek(0)
        os.posix_fadvise(out.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for offset in range(0, len(data), CHUNK):
            expected = data[offset : offset + CHUNK]
            if out.read(len(expected)) != expected:
                raise SystemExit(f"flash: {device} does not read back what was written at byte {offset}")
    print(f"flash: wrote {len(data)} bytes to {device} and read them back")
