"""A watchdog on a booted machine: when it starts, when closing stops it, and the warning before it expires."""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import partial

import pytest

from kernel.drivers.watchdog.device_file import (
    WDIOC_GETSTATUS,
    WDIOC_GETSUPPORT,
    WDIOC_SETOPTIONS,
    WDIOC_SETPRETIMEOUT,
    WDIOC_SETTIMEOUT,
    enter_watchdog,
)
from kernel.drivers.watchdog.watchdog import (
    CARD_RESET,
    KEEPALIVE,
    MAGIC_CLOSE,
    PRETIMEOUT,
    Watchdog,
    WatchdogTimer,
    stop_all,
)
from kernel.time.clock import NS_PER_SECOND, monotonic_ns
from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

O_WRONLY = 1


class Recorder(WatchdogTimer):
    """Notes how it is called."""

    def __init__(self) -> None:
        super().__init__(b"a test's timer", 2, 100, 30)
        self.said: list[str] = []
        self.stops = True

    def start(self, *, for_good: bool) -> None:
        self.said.append("start for good" if for_good else "start")

    def stop(self) -> bool:
        self.said.append("stop")
        return self.stops

    def restart(self) -> None:
        self.said.append("restart")

    def set_seconds(self, seconds: int) -> None:
        self.said.append(f"{seconds} s")

    def take(self) -> list[str]:
        said, self.said = self.said, []
        return said


def entered(machine: Machine) -> tuple[Recorder, Watchdog]:
    """A watchdog that the kernel has found, and /dev with its device files."""
    timer = Recorder()
    machine.host.mount("none", "/dev", "devtmpfs", 0, None)
    return timer, enter_watchdog(timer)


def opened(program: Program) -> int:
    return program.open("/dev/watchdog", O_WRONLY, 0)


def code(call: Callable[[], object]) -> int:
    with pytest.raises(OSError) as caught:
        call()
    assert caught.value.errno is not None
    return caught.value.errno


def number(program: Program, descriptor: int, command: int, value: int = 0) -> int:
    """What an ioctl makes of a number."""
    place = bytearray(value.to_bytes(4, "little"))
    program.ioctl(descriptor, command, place)
    return int.from_bytes(place, "little")


@booted
def test_only_a_magic_close_stops_it(machine: Machine) -> None:
    timer, watchdog = entered(machine)
    host = machine.host
    descriptor = opened(host)
    assert timer.take() == ["start"]
    assert code(lambda: host.open("/dev/watchdog0", O_WRONLY, 0)) == errno.EBUSY
    host.write(descriptor, b"V", 1)
    host.write(descriptor, b"x", 1)
    assert timer.take() == ["restart"] * 2
    host.close(descriptor)
    assert timer.take() == ["restart"] and watchdog.is_active
    descriptor = host.open("/dev/watchdog0", O_WRONLY, 0)
    assert timer.take() == []
    host.write(descriptor, b"x" * 299 + b"V", 300)
    host.close(descriptor)
    assert timer.take() == ["restart", "stop"] and not watchdog.is_active
    host.close(opened(host))
    assert timer.take() == ["start", "restart"] and watchdog.is_active


@booted
def test_the_state_that_a_program_sees(machine: Machine) -> None:
    timer, _ = entered(machine)
    timer.caused_reset = True
    host = machine.host
    descriptor = opened(host)
    support = bytearray(40)
    host.ioctl(descriptor, WDIOC_GETSUPPORT, support)
    assert support[8:].rstrip(b"\0") == timer.identity
    assert number(host, descriptor, WDIOC_GETSTATUS) == CARD_RESET | PRETIMEOUT | KEEPALIVE
    assert number(host, descriptor, WDIOC_GETSTATUS) == CARD_RESET | PRETIMEOUT
    host.write(descriptor, b"V", 1)
    assert number(host, descriptor, WDIOC_GETSTATUS) == CARD_RESET | PRETIMEOUT | KEEPALIVE | MAGIC_CLOSE


@booted
def test_times_have_bounds(machine: Machine) -> None:
    timer, watchdog = entered(machine)
    host = machine.host
    descriptor = opened(host)
    timer.take()
    for bad in (0, 1, 101, 0xFFFF_FFFF):
        assert code(partial(number, host, descriptor, WDIOC_SETTIMEOUT, bad)) == errno.EINVAL
    assert timer.take() == []
    assert number(host, descriptor, WDIOC_SETTIMEOUT, 100) == 100
    assert timer.take() == ["100 s", "restart"] and timer.seconds == 100
    assert code(lambda: number(host, descriptor, WDIOC_SETPRETIMEOUT, 100)) == errno.EINVAL
    number(host, descriptor, WDIOC_SETPRETIMEOUT, 99)
    assert watchdog.pretimeout == 99


@booted
def test_one_that_stays_active_is_not_stopped(machine: Machine) -> None:
    timer, watchdog = entered(machine)
    watchdog.stays_active = True
    host = machine.host
    descriptor = opened(host)
    assert timer.take() == ["start for good"]
    assert code(lambda: number(host, descriptor, WDIOC_SETOPTIONS, 1)) == errno.EBUSY
    host.write(descriptor, b"V", 1)
    host.close(descriptor)
    assert timer.take() == ["restart"] * 2 and watchdog.is_active
    stop_all()
    assert timer.take() == ["stop"]


@booted
def test_hardware_that_does_not_stop(machine: Machine) -> None:
    timer, watchdog = entered(machine)
    timer.stops = False
    host = machine.host
    descriptor = opened(host)
    assert code(lambda: number(host, descriptor, WDIOC_SETOPTIONS, 1)) == errno.EBUSY
    assert watchdog.is_active


@booted
def test_the_warning_comes_that_long_before(machine: Machine) -> None:
    _, watchdog = entered(machine)
    host = machine.host
    descriptor = opened(host)
    warning = watchdog.warning
    number(host, descriptor, WDIOC_SETPRETIMEOUT, 10)
    before_ns = monotonic_ns()
    host.write(descriptor, b"x", 1)
    assert before_ns + 20 * NS_PER_SECOND <= warning.deadline_ns <= monotonic_ns() + 20 * NS_PER_SECOND
    assert not warning.has_expired
    warning.expire(warning.deadline_ns)
    assert warning.has_expired
    host.write(descriptor, b"V", 1)
    host.close(descriptor)
    assert warning.deadline_ns > before_ns + 100 * NS_PER_SECOND


@booted
def test_its_files(machine: Machine) -> None:
    _, watchdog = entered(machine)
    host = machine.host
    host.mkdir("/shown", 0o755)
    host.mount("none", "/shown", "sysfs", 0, None)
    files = "/shown/class/watchdog/watchdog0/"

    def text(name: str) -> bytes:
        descriptor = host.open(files + name, 0, 0)
        content = bytearray(100)
        count = host.read(descriptor, content, 100)
        host.close(descriptor)
        return bytes(content[:count])

    def store(name: str, value: bytes) -> None:
        descriptor = host.open(files + name, O_WRONLY, 0)
        try:
            host.write(descriptor, value, len(value))
        finally:
            host.close(descriptor)

    assert text("identity") == b"a test's timer\n" and text("state") == b"inactive\n"
    opened(host)
    assert text("state") == b"active\n"
    assert code(lambda: store("nowayout", b"2\n")) == errno.EINVAL
    store("nowayout", b"1\n")
    assert watchdog.stays_active
    assert code(lambda: store("nowayout", b"0\n")) == errno.EPERM
    store("pretimeout_governor", b"panic\n")
    assert text("pretimeout_governor") == b"panic\n"
    assert code(lambda: store("pretimeout_governor", b"none\n")) == errno.EINVAL
