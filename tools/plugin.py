"""Plugins of QEMU, which watch what a guest executes (https://www.qemu.org/docs/master/devel/tcg-plugins.html)."""

from __future__ import annotations

import subprocess
from pathlib import Path


def build_plugin(source: Path, folder: Path) -> Path:
    """Compile a plugin's C source into the folder. A warning is an error."""
    plugin = folder / f"{source.stem}.so"
    flags = ("-shared", "-fPIC", "-O2", "-Wall", "-Werror")
    subprocess.run(["gcc", *flags, "-o", str(plugin), str(source)], check=True)
    return plugin
