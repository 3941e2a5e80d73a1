"""A watchdog resets the machine when nobody pings, and knows it afterwards, as on Linux (`--kernel linux`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.harness import LINUX, Guest, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

PROGRAM = Path(__file__).parent / "hang.c"
STATE = "/sys/class/watchdog/watchdog0"
# A reset starts the machine anew; the harness's own option would end it.
DEVICE = ("-device", "i6300esb", "-action", "reboot=reset")


@pytest.fixture(scope="module")
def image(kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    overlay = Archive()
    overlay.file("usr/bin/hang", compile_program(PROGRAM).read_bytes(), 0o755)
    if kernel is LINUX:
        add_modules(overlay)
    path = tmp_path_factory.mktemp("watchdog") / "initrd"
    path.write_bytes(extend(root_image.read_bytes(), overlay))
    return path


def until_up(guest: Guest) -> None:
    """Wait for the first prompt after a start of the machine."""
    guest.expect_prompt(60)
    guest.run("stty columns 500")


@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_the_machine_is_reset_when_nobody_pings(kernel: Kernel, image: Path, kind: str) -> None:
    with Guest(kernel.boot(image, "quiet"), Machine(type=kind, extra=DEVICE)) as guest:
        until_up(guest)
        assert guest.check(f"cat {STATE}/bootstatus {STATE}/state") == "0\ninactive\n"
        guest.check("touch /tmp/before")
        guest.start("sh -c 'hang 2; sleep 1000'")
        until_up(guest)
        assert guest.check(f"cat {STATE}/bootstatus {STATE}/state") == "32\ninactive\n"
        assert guest.check("ls /tmp/before 2>/dev/null; true") == ""
        guest.check("echo V > /dev/watchdog")
        assert guest.check(f"cat {STATE}/state") == "inactive\n"


def test_one_that_must_stay_active(kernel: Kernel, image: Path) -> None:
    """nowayout: neither a magic close nor SETOPTIONS stops it, and the hardware itself is locked."""
    with Guest(kernel.boot(image, "quiet"), Machine(extra=DEVICE)) as guest:
        until_up(guest)
        guest.check(f"echo 1 > {STATE}/nowayout")
        assert "permitted" in guest.run(f"echo 0 > {STATE}/nowayout")
        guest.check("echo V > /dev/watchdog")
        assert guest.check(f"cat {STATE}/state") == "active\n"
        guest.start("sh -c 'hang 1; sleep 1000'")
        until_up(guest)
        assert guest.check(f"cat {STATE}/bootstatus") == "32\n"
