"""`krait profile`: a picture of what the kernel did, and the program's own status and output."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.boot.test_front_end import krait
from tests.harness import Kernel
from tests.harness.guest import PATIENCE

pytestmark = pytest.mark.timeout(int(240 * PATIENCE))


def test_a_flame_graph(kernel: Kernel, tmp_path: Path) -> None:
    picture = tmp_path / "a, b.svg"
    done = krait("profile", "--kernel", str(kernel.path), "-o", str(picture), "--interval", "2000",
                 "--command", "dd if=/dev/zero of=/tmp/a bs=64k count=200 2>/dev/null; echo done; exit 3",
                 status=3)  # fmt: skip
    assert done.stdout == "done\n"
    shares = {name: int(count.replace(",", "")) for name, count in
              re.findall(r"<title>(.*?): ([\d,]+) samples", picture.read_text())}  # fmt: skip
    assert str(shares["all"]) in done.stderr.replace(",", "")
    assert shares["(program)"] > 0
    assert shares["doors.dispatch.krait_syscall"] > shares["all"] // 10
    assert any("tmpfs" in name for name in shares)
    assert shares.get("start.main.krait_main", 0) < shares["all"] // 100  # the boot is left out, but for its end


def test_the_boot_is_drawn(kernel: Kernel, tmp_path: Path) -> None:
    picture = tmp_path / "boot.svg"
    krait("profile", "--kernel", str(kernel.path), "-o", str(picture), "--interval", "2000", "--boot",
          "--command", "true", status=0)  # fmt: skip
    shares = {name: float(share) for name, share in re.findall(r"<title>(.*?): .*, ([\d.]+) %", picture.read_text())}
    assert shares["start.main.krait_main"] > 40 and shares.get("(assembly)", 0) < 5  # nothing of the firmware's


@pytest.mark.parametrize("arguments", [
    (), ("-d", "busybox"), ("--accel", "kvm", "busybox"), ("-o", "/none/x.svg", "busybox"), ("-o", "/tmp", "busybox"),
    ("--interval", "0", "busybox"), ("--interval", "x", "busybox"),
])  # fmt: skip
def test_what_cannot_be_profiled(arguments: tuple[str, ...]) -> None:
    done = krait("profile", *arguments, status=2)
    assert done.stderr.startswith("krait profile: ") and done.stderr.count("\n") == 1
