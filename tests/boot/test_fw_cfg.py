"""fw_cfg in QEMU: what `-fw_cfg` gives is below /sys/firmware/qemu_fw_cfg, as on Linux (`--kernel linux`)."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import LINUX, Guest, Kernel
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tools.cpio import Archive, extend
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

TOP = "/sys/firmware/qemu_fw_cfg"
LARGE = random.Random(3).randbytes(100_001)


@pytest.fixture(scope="module", params=["q35", "pc"])
def guest(
    request: pytest.FixtureRequest, kernel: Kernel, root_image: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guest]:
    directory = tmp_path_factory.mktemp("fw_cfg")
    (directory / "large").write_bytes(LARGE)
    image = root_image
    if kernel is LINUX:
        overlay = Archive()
        add_modules(overlay)
        image = directory / "image"
        image.write_bytes(extend(root_image.read_bytes(), overlay))
    extra = (
        "-fw_cfg", "name=opt/org.krait/x,string=hello", "-fw_cfg", f"name=opt/org.krait/large,file={directory}/large",
    )  # fmt: skip
    with Guest(kernel.boot(image, "quiet"), Machine(type=request.param, extra=extra)) as made:
        made.expect_prompt(60)
        yield made


def test_an_item_is_found_by_its_name(guest: Guest) -> None:
    assert guest.check(f"ls -A {TOP}") == "by_key\nby_name\nrev\n"
    assert guest.check(f"cat {TOP}/rev") == "3\n"
    item = f"{TOP}/by_name/opt/org.krait/x"
    assert guest.check(f"ls {TOP}/by_name/opt/org.krait") == "large\nx\n"
    assert guest.check(f"ls {item}/") == "key\nname\nraw\nsize\n"
    assert guest.check(f"cat {item}/name {item}/size") == "opt/org.krait/x\n5\n"
    assert guest.check(f"cat {item}/raw") == "hello"
    key = guest.check(f"cat {item}/key").strip()
    assert guest.check(f"readlink {item}") == f"../../../by_key/{key}\n"
    assert guest.check(f"cat {TOP}/by_key/{key}/raw") == "hello"


def test_a_large_item_is_read_whole_and_in_part(guest: Guest) -> None:
    raw = f"{TOP}/by_name/opt/org.krait/large/raw"
    assert guest.check(f"md5sum < {raw}", 60).split()[0] == hashlib.md5(LARGE).hexdigest()
    part = guest.check(f"dd if={raw} bs=1000 skip=99 count=5 2>/dev/null | md5sum", 60)
    assert part.split()[0] == hashlib.md5(LARGE[99_000:]).hexdigest()


def test_what_belongs_to_whom(guest: Guest) -> None:
    item = f"{TOP}/by_name/opt/org.krait/x"
    assert guest.check(f"stat -c '%a %s' {TOP}/rev {item}/name {item}/raw") == "444 4096\n400 4096\n400 5\n"
    assert guest.check(f"stat -c '%a %F' {TOP} {TOP}/by_key {TOP}/by_name/opt") == "755 directory\n" * 3
    assert "denied" in guest.run(f"su nobody -s /bin/sh -c 'cat {item}/raw'") or kernel_has_no_nobody(guest)
    assert "x\n" not in guest.run(f"echo x > {item}/raw; cat {item}/raw")


def kernel_has_no_nobody(guest: Guest) -> bool:
    return "nobody" not in guest.check("cat /etc/passwd")


def test_all_items_have_a_place_in_both_trees(guest: Guest) -> None:
    names = guest.check(f"cat {TOP}/by_key/*/name | sort")
    assert guest.check(f"cd {TOP}/by_name; find . -type l | sed 's/^..//' | sort; cd /") == names
    assert "etc/acpi/tables" in names
