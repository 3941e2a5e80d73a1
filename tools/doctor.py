#!/usr/bin/env python3
"""`krait doctor`: what this machine lacks for Krait, and how to get it. Installs nothing.

Runs under the system's Python, with its standard library alone: the rest may be what is missing.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tools.errors import UsageError
from tools.guest.failure import OLDEST_QEMU, shown, version_of_qemu
from tools.images.room import SETTING, directory, limit, taken
from tools.paths import IS_INSTALLED, ROOT
from tools.setup import GROUPS, OLDEST_PYTHON, PACKAGES, VENV, are_installed, missing_packages

BUILD_MIB = 2048
USES = {
    "gcc": "compiling the kernel of a project", "ld": "compiling the kernel of a project", "gdb": "krait debug",
    "mke2fs": "images that are archives, and python", "mmdebstrap": "the images debian:…",
}  # fmt: skip
COLOURS = {"ok": "32", "note": "33", "missing": "31"}


@dataclass(frozen=True)
class Finding:
    """`state`: ok, note (works without), missing."""

    state: str
    what: str
    remedy: str = ""


def python() -> Finding:
    shown = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < OLDEST_PYTHON:
        return Finding("missing", f"Python {shown}", f"{'.'.join(map(str, OLDEST_PYTHON))} or newer is needed")
    return Finding("ok", f"Python {shown}")


def packages() -> list[Finding]:
    if shutil.which("dpkg-query") is None:
        return [Finding("missing", "Debian's package tools", "Krait is developed on Debian 13")]
    missing = missing_packages(PACKAGES)
    remedy = f"make build installs them, or: apt-get install {' '.join(missing)}"
    found = [Finding("missing", f"packages: {' '.join(missing)}", remedy) if missing
             else Finding("ok", "Debian packages")]  # fmt: skip
    for group, names in sorted(GROUPS.items()):
        lacking = missing_packages(names)
        if lacking:
            found.append(Finding("note", f"for {group}: {' '.join(lacking)}", "installed when they are first needed"))
    return found


def programs() -> list[Finding]:
    """What an installed Krait calls besides QEMU, which some commands alone need."""
    return [
        Finding("ok", name) if shutil.which(name) is not None else Finding("note", f"no {name}", f"it is for {use}")
        for name, use in USES.items()
    ]


def qemu() -> Finding:
    program = shutil.which("qemu-system-x86_64")
    if program is None:
        return Finding("missing", "QEMU", "apt-get install qemu-system-x86")
    version = version_of_qemu(program)
    if version < OLDEST_QEMU:
        return Finding("missing", f"QEMU {shown(version)}", f"{shown(OLDEST_QEMU)} or newer")
    return Finding("ok", f"QEMU {shown(version)}")


def environment() -> Finding:
    if are_installed(everything=True):
        return Finding("ok", "Python environment")
    if are_installed(everything=False):
        return Finding("note", "the Python environment can build and run", "other commands install what they need")
    if not any((VENV / name).exists() for name in ("installed", "installed-run")):
        return Finding("missing", "the Python environment .venv", "make build creates it")
    return Finding("note", "the Python environment is of other versions", "the next command brings it up to date")


def room() -> Finding:
    free = shutil.disk_usage(ROOT).free >> 20
    if free < BUILD_MIB:
        return Finding("missing", f"{free} MiB free in {ROOT}", f"a build needs about {BUILD_MIB} MiB")
    return Finding("ok", f"{free} MiB free")


def images() -> Finding:
    """What disks of images take, which only the next one that is made brings below the limit."""
    try:
        most = limit()
    except UsageError as error:
        return Finding("missing", str(error), "give a size like 8G")
    shown = f"images take {taken() >> 20} MiB in {directory()}"
    if taken() > most:
        return Finding("note", shown, f"more than {most >> 20} MiB ({SETTING}): krait rmi removes some")
    return Finding("ok", f"{shown}, of at most {most >> 20} MiB")


def checkout() -> Finding:
    if not os.access(ROOT, os.W_OK):
        owner = ROOT.stat().st_uid
        return Finding("missing", f"the checkout is user {owner}'s, and may not be written", "clone one of your own")
    return Finding("ok", "the checkout may be written")


def kvm() -> Finding:
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return Finding("note", "no /dev/kvm", "guests are emulated, which is slower")
    return Finding("ok", "/dev/kvm (--accel auto tries it)")


def examine() -> list[Finding]:
    if IS_INSTALLED:
        return [python(), qemu(), *programs(), images(), kvm()]
    return [python(), *packages(), qemu(), environment(), checkout(), room(), images(), kvm()]


def main(*, as_json: bool = False) -> int:
    findings = examine()
    if as_json:
        import json

        print(json.dumps([asdict(each) for each in findings]))
    for each in findings if not as_json else ():
        state = f"\x1b[{COLOURS[each.state]}m{each.state:>7}\x1b[0m" if sys.stdout.isatty() else f"{each.state:>7}"
        print(f"{state}  {each.what}" + (f": {each.remedy}" if each.remedy else ""))
    return 1 if any(each.state == "missing" for each in findings) else 0


if __name__ == "__main__":
    if sys.argv[1:] not in ([], ["--json"]):
        print("krait doctor: it takes no arguments but --json", file=sys.stderr)
        sys.exit(2)
    sys.exit(main(as_json=bool(sys.argv[1:])))
