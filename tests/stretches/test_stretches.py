"""No call keeps everybody waiting: the worst ones, at great sizes, run no million instructions without a safe point."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.harness import KRAIT, Guest, compile_program
from tests.harness.guest import PATIENCE
from tests.stretches import Recorder
from tools.cpio import Archive, extend

LIMIT = 1_000_000  # instructions: STRETCH_LIMIT of kernel/lib/pace.py
SOURCE = Path(__file__).parent / "worst_calls.c"
FAMILIES = re.findall(r'\{"(\w+)", \w+\}', SOURCE.read_text())

pytestmark = pytest.mark.timeout(int(400 * PATIENCE))


def test_no_stretch_is_longer_than_a_million_instructions(root_image: Path, tmp_path: Path) -> None:
    assert len(FAMILIES) > 10
    files = Archive()
    files.file("usr/bin/worst_calls", compile_program(SOURCE).read_bytes(), 0o755)
    initrd = tmp_path / "initrd"
    initrd.write_bytes(extend(root_image.read_bytes(), files))
    recorder = Recorder(tmp_path)
    table = []
    failures = []
    with Guest(KRAIT.boot(initrd, "quiet"), recorder.machine("512M")) as guest:
        guest.expect_prompt(60)
        guest.check("ifconfig lo up")
        guest.check("dd if=/dev/zero of=/tmp/disk bs=1M count=48 2> /dev/null")
        guest.check("mke2fs -F -b 4096 /tmp/disk > /dev/null")
        guest.check("mount -o loop /tmp/disk /mnt")
        recorder.new()  # bringing up is not measured: nobody waits yet
        for family in FAMILIES:
            guest.check(f"worst_calls {family}", 100)
            stretches = recorder.new()
            longest = stretches[0].length if stretches else recorder.interval
            table.append(f"{longest:12,} {family}")
            if longest > LIMIT:
                failures.append(f"{family}: {stretches[0].describe()}")
    assert not failures, "\n".join([*table, *failures])
