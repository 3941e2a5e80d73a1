"""tracefs on a booted machine: each tracepoint that is named has a number and a format."""

from __future__ import annotations

import errno
import os
import re
from itertools import pairwise

import pytest

from kernel.fs.tracefs.filesystem import is_tracepoint
from kernel.perf.event import BEHIND_CALLS, FIRST_CALL
from tests.unit.booted import booted
from tests.unit.syscalls.test_files import names_in, read_all
from tools.simulated.machine import Machine
from tools.simulated.program import Program

EVENTS = "/trace/events"


def mounted(machine: Machine) -> Program:
    host = machine.host
    host.mkdir("/trace", 0o755)
    host.mount("none", "/trace", "tracefs", 0, None)
    return host


@booted
def test_each_named_tracepoint_has_a_number_of_its_own(machine: Machine) -> None:
    host = mounted(machine)
    named = read_all(host, "/trace/available_events").decode().split()
    numbers = {}
    for name in named:
        system, point = name.split(":")
        number = int(read_all(host, f"{EVENTS}/{system}/{point}/id"))
        form = read_all(host, f"{EVENTS}/{system}/{point}/format").decode()
        assert f"name: {point}\n" in form and f"ID: {number}\n" in form
        numbers[name] = number
    assert len(set(numbers.values())) == len(named) > 500
    assert all(is_tracepoint(number) for number in numbers.values())
    of_calls = {number for number in range(FIRST_CALL, BEHIND_CALLS) if is_tracepoint(number)}
    assert of_calls == {number for name, number in numbers.items() if name.startswith("syscalls:")}
    assert not is_tracepoint(0) and not is_tracepoint(BEHIND_CALLS + 1000)


@booted
def test_what_is_listed_is_what_is_named(machine: Machine) -> None:
    host = mounted(machine)
    named = {tuple(name.split(":")) for name in read_all(host, "/trace/available_events").decode().split()}
    systems = {name for name in names_in(host, EVENTS) if not name.startswith(("header_", "."))} - {"ftrace"}
    listed = {(system, point) for system in systems for point in names_in(host, f"{EVENTS}/{system}")
              if not point.startswith(".")}  # fmt: skip
    assert listed == named
    assert names_in(host, f"{EVENTS}/syscalls/sys_enter_read") == [".", "..", "format", "id"]


@booted
def test_fields_do_not_overlap(machine: Machine) -> None:
    host = mounted(machine)
    for point in ("sched/sched_switch", "syscalls/sys_enter_openat", "syscalls/sys_exit_read"):
        form = read_all(host, f"{EVENTS}/{point}/format").decode()
        fields = [(int(at), int(size)) for at, size in re.findall(r"offset:(\d+);\s*size:(\d+);", form)]
        assert len(fields) > 4
        assert all(at + size <= following for (at, size), (following, _) in pairwise(fields))


@booted
def test_what_there_is_not(machine: Machine) -> None:
    host = mounted(machine)
    for name in ("syscalls/sys_enter_nothing", "syscalls/read", "syscalls/sys_enter_read/enable", "nothing"):
        with pytest.raises(OSError) as caught:
            host.open(f"{EVENTS}/{name}", os.O_RDONLY)
        assert caught.value.errno == errno.ENOENT, name
