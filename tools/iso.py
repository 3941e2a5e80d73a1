"""Make `build/krait.iso`, a hybrid image: it boots as a CD and written raw to a disk, under BIOS and under UEFI."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.lock import exclusively
from tools.paths import INITRAMFS_GZ, ISO, KERNEL

MODULES = "multiboot2 multiboot normal serial terminal iso9660 part_gpt part_msdos search gzio"
PARAMETERS = "console=ttyS0"
MENU = f"""\
serial --unit=0 --speed=115200
terminal_input serial console
terminal_output serial console
set timeout=1
set default=0
menuentry "Krait" {{
	multiboot2 /boot/krait.elf {PARAMETERS}
	module2 --nounzip /boot/initramfs.cpio.gz
}}
menuentry "Krait (multiboot 1)" {{
	multiboot /boot/krait.elf {PARAMETERS}
	module --nounzip /boot/initramfs.cpio.gz
}}
"""


def _is_current() -> bool:
    sources = (KERNEL, INITRAMFS_GZ, Path(__file__))
    return ISO.exists() and all(path.stat().st_mtime <= ISO.stat().st_mtime for path in sources)


def build_iso() -> Path:
    """The image, made anew when the kernel or the root image have changed."""
    with exclusively("iso"):
        if not _is_current():
            _build()
    return ISO


def _build() -> None:
    with tempfile.TemporaryDirectory(dir=ISO.parent) as directory:
        boot = Path(directory) / "boot"
        (boot / "grub").mkdir(parents=True)
        shutil.copy(KERNEL, boot / "krait.elf")
        shutil.copy(INITRAMFS_GZ, boot)
        (boot / "grub" / "grub.cfg").write_text(MENU)
        new = ISO.with_suffix(".new")
        command = [
            "grub-mkrescue", "--locales=", "--themes=", "--fonts=", f"--install-modules={MODULES}",
            "-o", str(new), directory,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"iso: grub-mkrescue failed:\n{done.stderr}")
    new.rename(ISO)
    print(f"iso: wrote {ISO} ({ISO.stat().st_size >> 10} KiB)", file=sys.stderr)
