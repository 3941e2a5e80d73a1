"""Decide whether KVM can be used. A /dev/kvm that opens proves nothing: a guest must have run on it.

Inside another virtual machine KVM may accept a guest and then fail, or emulate it a thousand times slower than TCG
does. So the probe boots Linux, runs a program in it, and asks for both within a few seconds.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from tools.cpio import Archive, extend
from tools.errors import KraitError
from tools.machine import DirectBoot, Machine
from tools.oracle import fetch_oracle
from userland.image import build_image

PROBE_SECONDS = 5
PROOF = "@kvm-works@"


def kvm_works() -> bool:
    """Whether a guest boots and runs a program under KVM on this machine."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK) or Path("/sys/module/kvm_pvm").exists():
        return False
    overlay = Archive()
    overlay.file("krait-run", f"#!/bin/sh\necho {PROOF[:5]}'{PROOF[5:]}'\n".encode(), 0o755)
    initrd = extend(build_image().read_bytes(), overlay)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "initrd"
        path.write_bytes(initrd)
        boot = DirectBoot(fetch_oracle(), path, "console=ttyS0 quiet panic=-1")
        command = Machine(accelerator="kvm", cpu="host").command(boot, Path(directory))
        try:
            done = subprocess.run(
                [*command, "-serial", "stdio"], stdin=subprocess.DEVNULL, capture_output=True, timeout=PROBE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return PROOF.encode() in done.stdout


def accelerator(wanted: str) -> str:
    """The accelerator to use for "tcg", "kvm" or "auto". Raises KraitError."""
    if wanted == "tcg":
        return "tcg"
    try:
        if kvm_works():
            return "kvm"
        reason = "a probing guest did not run"
    except (SystemExit, LookupError, OSError, subprocess.CalledProcessError):
        reason = "the kernel of a probing guest could not be fetched"
    if wanted == "kvm":
        raise KraitError(f"krait: KVM does not work on this machine: {reason}")
    return "tcg"
