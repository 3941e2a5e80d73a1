"""Observers: counters and records of perf, tracefs, programs of bpf, filters of system calls and of sockets."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

PLACE: Final = "/t/trace"
NONBLOCK: Final = 0o4000
# ENABLE, DISABLE, REFRESH, RESET, SET_OUTPUT, PAUSE_OUTPUT, ID, PERIOD
COMMANDS: Final = (0x2400, 0x2401, 0x2402, 0x2403, 0x2405, 0x40042409, 0x80082407, 0x40082404)


def prepare(worker: Worker) -> None:
    worker.call("mkdir", PLACE, 0o755)
    worker.call("mount", "tr", PLACE, "tracefs", 0, None)
    worker.shared.paths += (PLACE, f"{PLACE}/events", f"{PLACE}/events/sched/sched_switch/id")


def open_counter(worker: Worker) -> None:
    chance = worker.random
    kind, what = chance.choice(((1, chance.randrange(0, 12)), (2, chance.randrange(1, 300))))
    period = chance.choice((0, 1, 1, 1000))
    flags = chance.choice((0, 1, 2, 0x2, 0x1 | 0x2000, 0x100 | 0x200 | 0x2000, 0x40000))
    sample, read = chance.choice((0, 7, 0x187)), chance.choice((0, 3, 15))
    attributes = struct.pack("<IIQQQQQI", kind, 112, what, period, sample, read, flags, 1).ljust(112, b"\0")
    group = worker.descriptor("perf") if chance.random() < 0.3 else -1
    who, processor = chance.choice(((0, -1), (0, 0), (-1, 0), (worker.resource("pid"), -1)))
    worker.keep(worker.call("perf_event_open", attributes, who, processor, group, chance.choice((0, 8))), "perf")


def map_records(worker: Worker) -> None:
    pages = worker.random.choice((1, 2, 3, 5))
    at = worker.call("mmap", 0, pages * 4096, 3, 1, worker.descriptor("perf"), 0)
    if at > 0 and worker.decides(0.5):
        worker.call("munmap", at, pages * 4096)


def command(worker: Worker) -> None:
    which = worker.random.choice(COMMANDS)
    argument = worker.descriptor("perf") if which == 0x2405 else worker.random.choice((0, 1, 2))
    if which >= 0x40000000 and which != 0x40042409:
        worker.call("ioctl", worker.descriptor("perf"), which, bytearray(struct.pack("<Q", 1)))
    else:
        worker.call("ioctl", worker.descriptor("perf"), which, argument)


def read_counter(worker: Worker) -> None:
    size = worker.random.choice((8, 16, 200))
    worker.call("read", worker.descriptor("perf"), bytearray(size), size)


def program(worker: Worker) -> None:
    worker.call_any("bpf")


def filter_calls(worker: Worker) -> None:
    """A seccomp filter that lets everything pass, perhaps for all threads."""
    if not worker.decides(0.2):
        return
    at = worker.arguments.place(32)
    worker.store(at, struct.pack("<HHxxxxQ", 1, 0, at + 16) + struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
    worker.call("prctl", 38, 1, 0, 0, 0)
    worker.call("seccomp", 1, worker.random.choice((0, 1, 0x10)), at)


def filter_packets(worker: Worker) -> None:
    at = worker.arguments.place(32)
    worker.store(at, struct.pack("<HHxxxxQ", 1, 0, at + 16) + struct.pack("<HBBI", 6, 0, 0, 0xFFFF))
    option = worker.random.choice((26, 27))
    worker.call("setsockopt", worker.descriptor("socket"), 1, option, at, 16)


def change_event(worker: Worker) -> None:
    name = worker.random.choice(
        ("sched/sched_switch", "sched/sched_wakeup", "syscalls/sys_enter_read", "raw_syscalls/sys_enter")
    )
    worker.write_text(f"{PLACE}/events/{name}/enable", worker.random.choice((b"0", b"1")))


def read_traces(worker: Worker) -> None:
    name = worker.random.choice(("events/sched/sched_switch/format", "available_events", "trace", "set_event"))
    descriptor = worker.open(f"{PLACE}/{name}", NONBLOCK)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(300), 300)


def restrict(worker: Worker) -> None:
    """A ruleset of landlock."""
    worker.call_any("landlock_create_ruleset")
    if worker.decides(0.3):
        worker.call_any("landlock_add_rule")


def poll(worker: Worker) -> None:
    worker.call(
        "poll", bytearray(struct.pack("<ihh", worker.descriptor("perf"), 0x1F, 0)), 1, worker.random.choice((0, 1))
    )


KIND: Final = Kind(
    "tracing",
    (open_counter, open_counter, open_counter, map_records, map_records, command, command, read_counter, program,
     program, filter_calls, filter_packets, change_event, read_traces, restrict, poll, Worker.close_one),
    prepare,
)  # fmt: skip
