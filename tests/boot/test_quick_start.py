"""What it takes to start a program by `krait run`, counted in ways that do not depend on what else the host does:
modules and processes of the front end before QEMU, and instructions of the kernel before process 1.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.counting import CLOCK
from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.machine import Machine, quick_firmware
from tools.paths import ROOT
from userland.image import ROOT_WITH_AGENT, build_ram_disk

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

# Runs the front end until it starts a process, and tells what has happened by then.
WATCHED = """
import json, os, sys
known, opened = set(sys.modules), []
def watch(event, arguments):
    if event == "open":
        opened.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes)) else "")
    elif event in ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.system"):
        report = {"event": event, "program": str(arguments[0]), "opened": opened,
                  "modules": sorted(set(sys.modules) - known)}
        os.write(1, json.dumps(report).encode())
        os._exit(0)
sys.addaudithook(watch)
from tools.front_end import start
sys.exit(start())
"""

# Each takes milliseconds to import, and a machine of the root image needs none of them.
LATE = {
    "compiler", "hashlib", "json", "llvmlite", "random", "shutil", "tarfile", "tempfile", "tomllib", "typing",
    "tools.build_commands", "tools.guest.session", "tools.images.make", "tools.kvm", "tools.machine_commands",
    "tools.setup", "userland.busybox", "userland.programs",
}  # fmt: skip
MOST_MODULES = 110
MOST_FILES = 12  # beside modules

MOST_INSTRUCTIONS = 10_000_000  # 8.7 million when this was written, 7.7 of them to unpack the archive


def before_the_first_process(*arguments: str) -> dict[str, list[str]]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", WATCHED, *arguments], check=True, capture_output=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    report = json.loads(done.stdout)
    assert isinstance(report, dict), done.stderr
    assert (report["event"], report["program"]) == ("subprocess.Popen", "/bin/sh"), "the guard is the first process"
    return report


def test_the_front_end_does_little_before_it_starts_a_machine(
    kernel: Kernel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    build_ram_disk(with_root=True)  # once; then it is kept
    report = before_the_first_process("run", "--kernel", str(kernel.path), "busybox", "true")
    assert not LATE & set(report["modules"])
    assert len(report["modules"]) <= MOST_MODULES, report["modules"]
    files = [name for name in report["opened"] if not name.endswith((".py", ".pyc", ".so"))]
    assert len(files) <= MOST_FILES, files
    assert files.count(str(ROOT_WITH_AGENT)) == 1, "opened, for QEMU to read"


def test_the_kernel_starts_process_1_after_few_instructions(kernel: Kernel) -> None:
    if kernel.name != "krait":
        pytest.skip("it is about Krait")
    machine = Machine(firmware=quick_firmware("q35"), extra=CLOCK)
    boot = kernel.boot(build_ram_disk(with_root=True), "loglevel=7 rdinit=/bin/true")
    with Guest(boot, machine) as guest:
        match = guest.expect(r"\[ *(\d+\.\d+)\] initramfs: (\d+) entries, 0 skipped", 60)
        guest.expect("Attempted to kill init", 60)
    instructions = float(match[1]) * 1e9 / 2  # an instruction takes two nanoseconds
    assert instructions < MOST_INSTRUCTIONS, f"{instructions:,.0f} instructions"
    assert re.fullmatch(rb"4\d\d", match[2]), "the root image and the agent"
