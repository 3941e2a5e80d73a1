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

LARGE = random.Random(3).randbytes(100_001)


@pytest.fixture(scope="module", params=["q35", "pc", "microvm"])
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
        made.run("stty columns 500")
        made.check("T=/sys/firmware/qemu_fw_cfg; I=$T/by_name/opt/org.krait")
        yield made


def test_an_item_is_found_by_its_name(guest: Guest) -> None:
    assert guest.check("ls -A $T | cat") == "by_key\nby_name\nrev\n"
    assert guest.check("cat $T/rev") == "3\n"
    assert guest.check("ls $I | cat") == "large\nx\n"
    assert guest.check("ls $I/x/ | cat") == "key\nname\nraw\nsize\n"
    assert guest.check("cat $I/x/name $I/x/size") == "opt/org.krait/x\n5\n"
    assert guest.check("cat $I/x/raw; echo") == "hello\n"
    key = guest.check("cat $I/x/key").strip()
    assert guest.check("readlink $I/x") == f"../../../by_key/{key}\n"
    assert guest.check(f"cat $T/by_key/{key}/raw; echo") == "hello\n"


def test_a_large_item_is_read_whole_and_in_part(guest: Guest) -> None:
    assert guest.check("md5sum < $I/large/raw", 60).split()[0] == hashlib.md5(LARGE).hexdigest()
    part = guest.check("dd if=$I/large/raw bs=1000 skip=99 2>/dev/null | md5sum", 60)
    assert part.split()[0] == hashlib.md5(LARGE[99_000:]).hexdigest()


def test_what_may_be_done_with_it(guest: Guest) -> None:
    found = guest.check("stat -c '%a %s' $T/rev $I/x/name $I/x/raw")
    assert found == "400 4096\n400 4096\n400 0\n"
    assert guest.check("stat -c '%a %F' $T $T/by_key $I") == "755 directory\n" * 3
    assert "denied" in guest.run("echo x > $I/x/raw")


def test_all_items_have_a_place_in_both_trees(guest: Guest) -> None:
    names = guest.check("cat $T/by_key/*/name | sort")
    links = guest.check("(cd $T/by_name; find . -type l | cut -c3- | sort)")
    assert links == names and "etc/acpi/tables" in names
