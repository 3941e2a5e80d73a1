"""virtio-balloon and virtio-rng in QEMU: the host takes memory and gives it back, and its random bytes arrive."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.machine import Machine

pytestmark = pytest.mark.timeout(int(180 * PATIENCE))

MIB = 1 << 20
BALLOONS = {"q35": "virtio-balloon-pci", "microvm": "virtio-balloon-device"}


def wait_for(what: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds * PATIENCE
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.1)


def machine(kind: str, device: str, options: str = "", memory: str = "256M", *more: str) -> Machine:
    modern = ("-global", "virtio-mmio.force-legacy=false") if kind == "microvm" else ()
    return Machine(type=kind, memory=memory, extra=(*modern, *more, "-device", device + options))


def balloon_mib(guest: Guest) -> int:
    """How much memory the guest has, as QEMU's balloon knows it."""
    found = re.search(r"actual=(\d+)", guest.monitor("info balloon"))
    assert found
    return int(found[1])


def total_mib(guest: Guest) -> float:
    return int(guest.check("grep MemTotal /proc/meminfo").split()[1]) / 1024


def resident_mib(guest: Guest) -> float:
    """What QEMU holds of the host's memory."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{guest.pid}/status").read_text())
    assert found
    return int(found[1]) / 1024


@pytest.mark.parametrize("kind", ["q35", "microvm"])
def test_a_balloon_takes_memory_and_gives_it_back(kernel: Kernel, root_image: Path, kind: str) -> None:
    with Guest(kernel.boot(root_image), machine(kind, BALLOONS[kind])) as guest:
        guest.expect_prompt(30)
        before = total_mib(guest)
        guest.monitor("balloon 128")
        wait_for(lambda: balloon_mib(guest) == 128)
        assert abs(before - total_mib(guest) - 128) < 1
        guest.check("dd if=/dev/zero of=/tmp/file bs=1M count=32 && md5sum /tmp/file && rm /tmp/file", 60)
        guest.monitor("balloon 256")
        wait_for(lambda: balloon_mib(guest) == 256)
        assert total_mib(guest) == before


def test_a_balloon_leaves_programs_room(kernel: Kernel, root_image: Path) -> None:
    """The host wants nearly everything: caches go, and the shell still works."""
    with Guest(kernel.boot(root_image), machine("q35", BALLOONS["q35"])) as guest:
        guest.expect_prompt(30)
        guest.monitor("balloon 1")
        wait_for(lambda: balloon_mib(guest) < 32)
        guest.check("ls -l /bin > /dev/null && echo still here")
        guest.monitor("balloon 256")
        wait_for(lambda: balloon_mib(guest) == 256)


def test_a_balloon_gives_way_before_programs_die(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image), machine("q35", BALLOONS["q35"], ",deflate-on-oom=on")) as guest:
        guest.expect_prompt(30)
        guest.monitor("balloon 64")
        wait_for(lambda: balloon_mib(guest) <= 64)
        guest.check("dd if=/dev/zero of=/dev/null bs=96M count=1", 60)
        assert balloon_mib(guest) > 64
        assert "out of memory" not in guest.run("dmesg")


@pytest.mark.parametrize("kind", ["q35", "microvm"])
def test_the_host_gets_free_memory_back(kernel: Kernel, root_image: Path, kind: str) -> None:
    reporting = machine(kind, BALLOONS[kind], ",free-page-reporting=on", "512M")
    with Guest(kernel.boot(root_image), reporting) as guest:
        guest.expect_prompt(30)
        guest.check("mount -t tmpfs -o size=400M none /mnt && dd if=/dev/zero of=/mnt/file bs=1M count=320", 60)
        full = resident_mib(guest)
        guest.check("rm /mnt/file")
        # A sixteenth of memory stays at hand, and what is left of blocks of 2 MiB in which the kernel has a page of its
        # own: 234 to 250 MiB were seen to come back.
        wait_for(lambda: resident_mib(guest) < full - 200, 40)
        guest.check("dd if=/dev/urandom of=/mnt/file bs=1M count=64 && cp /mnt/file /mnt/other", 60)
        guest.check("cmp /mnt/file /mnt/other", 30)


def test_the_host_learns_how_memory_is_doing(kernel: Kernel, root_image: Path) -> None:
    with Guest(kernel.boot(root_image), machine("q35", BALLOONS["q35"] + ",id=balloon")) as guest:
        guest.expect_prompt(30)
        guest.qmp("qom-set", path="/machine/peripheral/balloon", property="guest-stats-polling-interval", value=1)

        def statistics() -> dict[str, int]:
            answer = guest.qmp("qom-get", path="/machine/peripheral/balloon", property="guest-stats")
            assert isinstance(answer, dict)
            stats = answer["stats"]
            assert isinstance(stats, dict)
            return stats

        # What the host gets first is what the driver reported when it started, before the boot gave its memory back.
        wait_for(lambda: abs(statistics()["stat-total-memory"] / MIB - total_mib(guest)) < 1)
        found = statistics()
        assert 0 < found["stat-available-memory"] <= found["stat-free-memory"] <= found["stat-total-memory"]


@pytest.mark.parametrize(("kind", "device"), [("q35", "virtio-rng-pci"), ("microvm", "virtio-rng-device")])
def test_random_bytes_of_the_host(kernel: Kernel, root_image: Path, tmp_path: Path, kind: str, device: str) -> None:
    source = tmp_path / "bytes"
    source.write_bytes(b"bytes of the host. " * 4000)
    backend = ("-object", f"rng-random,id=bytes,filename={source}")
    with Guest(kernel.boot(root_image), machine(kind, device, ",rng=bytes", "256M", *backend)) as guest:
        guest.expect_prompt(30)
        assert guest.check("stat -c '%a %t:%T' /dev/hwrng") == "600 a:b7\n"
        assert "of the host." in guest.check("head -c 300 /dev/hwrng")
        assert "Invalid argument" in guest.run("echo > /dev/hwrng")
        assert "has random bytes of the host" in guest.run("dmesg")
