"""Debian 13 from a disk, with systemd as process 1: it comes up whole, does what an administrator asks, and goes down.

A minute in all, of which the boot takes half. The disk is made at the first run (debian_disk.py).
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boot.debian_disk import DebianDisk
from tests.boot.network import forwards, host_ports
from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.machine import Disk, DiskMode, Machine, Network

pytestmark = pytest.mark.timeout(int(120 * PATIENCE))

# In two pieces, because the line editor wraps the line: its echo must not pass for the prompt.
PROMPT = (
    "bind 'set enable-bracketed-paste off'; PS0= PROMPT_COMMAND= PS1='krai''t:# '; unset HISTFILE; stty columns 500; "
    "export SYSTEMD_PAGER= SYSTEMD_COLORS=0"
)
DEBIAN = DebianDisk(
    packages=(
        "systemd", "systemd-sysv", "udev", "dbus", "libpam-systemd", "openssh-server", "login", "util-linux",
        "iproute2", "procps", "kmod", "passwd", "strace", "systemd-resolved",
    ),
    files={
        "etc/hostname": "debian\n",
        "etc/fstab": "/dev/vda / ext2 defaults 0 1\n",
        "etc/systemd/network/eth.network": "[Match]\nName=eth* en*\n\n[Network]\nDHCP=ipv4\nIPv6AcceptRA=no\n",
        "etc/ssh/sshd_config.d/root.conf": "PermitRootLogin yes\nPermitEmptyPasswords yes\n",
        "etc/systemd/system/crashes.service": (
            "[Unit]\nStartLimitBurst=3\nStartLimitIntervalSec=60\n"
            "[Service]\nExecStart=/bin/sh -c 'echo once more; sleep 0.2; kill -SEGV $$$$'\n"
            "Restart=on-failure\nRestartSec=0.1\n"
        ),
    },
    links={
        "etc/systemd/system/multi-user.target.wants/systemd-networkd.service":
            "/usr/lib/systemd/system/systemd-networkd.service",
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A disk of the test's own, which it writes to."""
    image = tmp_path_factory.mktemp("systemd") / "debian.img"
    subprocess.run(["cp", "--sparse=always", str(DEBIAN.path()), str(image)], check=True)
    return image


@pytest.fixture(scope="module")
def guest(kernel: Kernel, disk: Path) -> Iterator[Guest]:
    """Debian, with root logged in at the console."""
    parameters = "root=/dev/vda rw quiet systemd.show_status=0"
    machine = Machine(
        memory="1G", disks=(Disk(disk, DiskMode.WRITE),), network=Network(forwards(22)), extra=("-device", "i6300esb")
    )
    with Guest(kernel.boot(None, parameters), machine) as guest:
        guest.expect("debian login: ", 60)
        guest.send("root\r")
        guest.expect(r"root@debian:~# ", 30)
        guest.send(PROMPT + "\r")
        guest.expect(r"krait:# $", 20)
        yield guest


def test_it_comes_up_whole(guest: Guest) -> None:
    assert guest.check("systemctl is-system-running --wait", 60) == "running\n"
    assert guest.check("systemctl list-units --failed --no-legend") == ""
    assert guest.check("readlink /proc/1/exe") == "/usr/lib/systemd/systemd\n"
    assert guest.check("systemctl is-active multi-user.target dbus.socket systemd-journald systemd-udevd "
                       "systemd-networkd systemd-logind ssh serial-getty@ttyS0") == "active\n" * 8  # fmt: skip
    assert "/dev/vda / ext2" in guest.check("grep ' / ' /proc/mounts")


def test_the_journal(guest: Guest) -> None:
    assert "Krait" in guest.check("journalctl -k -o cat", 30)
    guest.check("logger -t remembered 'all of it'; journalctl --sync", 30)
    assert guest.check("journalctl -t remembered -o cat", 30) == "all of it\n"


def test_a_session(guest: Guest) -> None:
    assert "root" in guest.check("loginctl list-sessions --no-legend", 20)
    assert guest.check("systemctl is-active user@0.service", 20) == "active\n"


def test_the_network(guest: Guest) -> None:
    guest.run_until("networkctl --no-legend list enp0s2", "configured", 20)  # as udev calls it
    assert "10.0.2.15" in guest.check("ip -4 addr show enp0s2")


def test_limits(guest: Guest) -> None:
    """What systemd-run sets is in the group's files, and holds."""
    look = "cat /sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)/{memory.max,pids.max,cpu.max}"
    run = "systemd-run --quiet --pipe --wait -p MemoryMax=32M -p TasksMax=7 -p CPUQuota=20%"
    assert guest.check(f"{run} bash -c '{look}'", 20) == "33554432\n7\n20000 100000\n"
    for hog in ("dd if=/dev/zero of=/dev/null bs=200M count=1", "tail /dev/zero", "sort /dev/zero"):
        shown = guest.run(f"systemd-run --wait -p MemoryMax=32M {hog}", 30)
        assert "oom-kill" in shown, shown


def test_a_service_that_crashes_is_started_again(guest: Guest) -> None:
    guest.run("systemctl start crashes")
    # Between two starts it is failed as well: see to it that there will be no more.
    guest.run_until("journalctl --sync; journalctl -u crashes -o cat", "repeated too quickly", 30)
    assert guest.check("systemctl is-failed crashes") == "failed\n"
    assert guest.check("journalctl -t sh -o cat | grep -c 'once more'") == "3\n"
    guest.check("systemctl reset-failed")  # the one that ran out of memory, too


def test_what_is_mounted_when_somebody_goes_there(guest: Guest) -> None:
    """Debian's own unit, and one that is unmounted when it is idle."""
    place = "/proc/sys/fs/binfmt_misc"
    assert guest.check(f"grep -c '^systemd-1 {place} autofs .*,direct,' /proc/mounts") == "1\n"
    assert guest.check(f"ls {place}", 30) == "register  status\n"
    assert guest.check(f"grep -c '^binfmt_misc {place} binfmt_misc ' /proc/mounts") == "1\n"
    guest.check("systemd-mount --quiet --automount=yes --timeout-idle-sec=2 -t tmpfs none /mnt/idle", 30)
    assert guest.check("stat -c %T -f /mnt/idle", 30) == "tmpfs\n"
    guest.run_until("grep -c ' /mnt/idle tmpfs ' /proc/mounts", "0\n", 60)
    assert guest.check("stat -c %T -f /mnt/idle", 30) == "tmpfs\n"
    guest.check("systemd-umount /mnt/idle", 30)


def test_the_watchdog(guest: Guest) -> None:
    """As with RuntimeWatchdogSec=: the manager finds it, pings it, and lets go of it."""
    manager = "org.freedesktop.systemd1 /org/freedesktop/systemd1 org.freedesktop.systemd1.Manager"
    files = "/sys/class/watchdog/watchdog0"
    guest.check(f"busctl set-property {manager} RuntimeWatchdogUSec t 600000000", 20)
    assert guest.check(f"cat {files}/state {files}/timeout") == "active\n600\n"
    assert guest.check(f"busctl get-property {manager} WatchdogDevice", 20) == 's "/dev/watchdog0"\n'
    guest.check(f"busctl set-property {manager} RuntimeWatchdogUSec t 0", 20)
    assert guest.check(f"cat {files}/state") == "inactive\n"


def test_a_login_by_ssh(guest: Guest) -> None:
    (port,) = host_ports(guest, 22)
    command = (
        "ssh", "-F", "none", "-p", str(port), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
        "-o", "BatchMode=yes", "-o", f"ConnectTimeout={int(20 * PATIENCE)}", "root@127.0.0.1",
        "systemctl is-system-running; id -un",
    )  # fmt: skip
    try:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30 * PATIENCE
        )
    except subprocess.TimeoutExpired:
        guest.fail(f"no answer by ssh within {30 * PATIENCE:g} s")
    assert done.stdout == "running\nroot\n", done.stderr


def test_it_goes_down_and_leaves_the_disk_clean(guest: Guest, disk: Path) -> None:
    """The last one: the machine ends."""
    guest.send("systemctl poweroff\r")
    assert guest.wait_exit(30) == 0
    done = subprocess.run(["e2fsck", "-f", "-n", str(disk)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    state = subprocess.run(["dumpe2fs", "-h", str(disk)], check=True, capture_output=True, text=True).stdout
    assert "Filesystem state:         clean\n" in state
