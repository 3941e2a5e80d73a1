"""Make `build/krait.iso`, a hybrid image: it boots as a CD and written raw to a disk, under BIOS and under UEFI."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tools.lock import exclusively
from tools.paths import INITRAMFS_GZ, ISO, KERNEL

UEFI_LIMIT = 8 << 20  # OVMF keeps memory there
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


def end_in_memory(kernel: Path) -> int:
    """Where the memory of a kernel's image ends: a physical address."""
    from elftools.elf.elffile import ELFFile  # not for whoever asks for another command

    with kernel.open("rb") as file:
        segments = ELFFile(file).iter_segments()
        return max(int(one["p_paddr"] + one["p_memsz"]) for one in segments if one["p_type"] == "PT_LOAD")


def _build() -> None:
    end = end_in_memory(KERNEL)
    if end > UEFI_LIMIT:
        print(f"iso: the kernel ends at {end:#x}, beyond {UEFI_LIMIT >> 20} MiB, so it may not boot under UEFI: "
              "build it with --profile release", file=sys.stderr)  # fmt: skip
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
