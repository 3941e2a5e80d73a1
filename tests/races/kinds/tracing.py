"""Observers: counters and records of perf, tracefs, programs of bpf, filters of system calls and of sockets."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

PLACE: Final = "/t/trace"
NONBLOCK: Final = 0o4000
# ENABLE, DISABLE, REFRESH, RESET, SET_OUTPUT, PAUSE_OUTPUT, ID, PERIOD
COMMANDS: Final = (0x2400, 0x2401, 0x2402, 0x2403, 0x2405, 0x40042409, 0x80082407, 0x40082404)


def prepare(actor: Actor) -> None:
    actor.call("mkdir", PLACE, 0o755)
    actor.call("mount", "tr", PLACE, "tracefs", 0, None)
    actor.stage.paths += (PLACE, f"{PLACE}/events", f"{PLACE}/events/sched/sched_switch/id")


def open_counter(actor: Actor) -> None:
    chance = actor.random
    kind, what = chance.choice(((1, chance.randrange(0, 12)), (2, chance.randrange(1, 300))))
    period = chance.choice((0, 1, 1, 1000))
    flags = chance.choice((0, 1, 2, 0x2, 0x1 | 0x2000, 0x100 | 0x200 | 0x2000, 0x40000))
    sample, read = chance.choice((0, 7, 0x187)), chance.choice((0, 3, 15))
    attributes = struct.pack("<IIQQQQQI", kind, 112, what, period, sample, read, flags, 1).ljust(112, b"\0")
    group = actor.descriptor("perf") if chance.random() < 0.3 else -1
    who, processor = chance.choice(((0, -1), (0, 0), (-1, 0), (actor.resource("pid"), -1)))
    actor.keep(actor.call("perf_event_open", attributes, who, processor, group, chance.choice((0, 8))), "perf")


def map_records(actor: Actor) -> None:
    pages = actor.random.choice((1, 2, 3, 5))
    at = actor.call("mmap", 0, pages * 4096, 3, 1, actor.descriptor("perf"), 0)
    if at > 0 and actor.decides(0.5):
        actor.call("munmap", at, pages * 4096)


def command(actor: Actor) -> None:
    which = actor.random.choice(COMMANDS)
    argument = actor.descriptor("perf") if which == 0x2405 else actor.random.choice((0, 1, 2))
    if which >= 0x40000000 and which != 0x40042409:
        actor.call("ioctl", actor.descriptor("perf"), which, bytearray(struct.pack("<Q", 1)))
    else:
        actor.call("ioctl", actor.descriptor("perf"), which, argument)


def read_counter(actor: Actor) -> None:
    size = actor.random.choice((8, 16, 200))
    actor.call("read", actor.descriptor("perf"), bytearray(size), size)


def program(actor: Actor) -> None:
    actor.call_any("bpf")


def filter_calls(actor: Actor) -> None:
    """A seccomp filter that lets everything pass, perhaps for all threads."""
    if not actor.decides(0.2):
        return
    at = actor.arguments.place(32)
    actor.store(at, struct.pack("<HHxxxxQ", 1, 0, at + 16) + struct.pack("<HBBI", 6, 0, 0, 0x7FFF0000))
    actor.call("prctl", 38, 1, 0, 0, 0)
    actor.call("seccomp", 1, actor.random.choice((0, 1, 0x10)), at)


def filter_packets(actor: Actor) -> None:
    at = actor.arguments.place(32)
    actor.store(at, struct.pack("<HHxxxxQ", 1, 0, at + 16) + struct.pack("<HBBI", 6, 0, 0, 0xFFFF))
    option = actor.random.choice((26, 27))
    actor.call("setsockopt", actor.descriptor("socket"), 1, option, at, 16)


def change_event(actor: Actor) -> None:
    name = actor.random.choice(
        ("sched/sched_switch", "sched/sched_wakeup", "syscalls/sys_enter_read", "raw_syscalls/sys_enter")
    )
    actor.write_text(f"{PLACE}/events/{name}/enable", actor.random.choice((b"0", b"1")))


def read_traces(actor: Actor) -> None:
    name = actor.random.choice(("events/sched/sched_switch/format", "available_events", "trace", "set_event"))
    descriptor = actor.open(f"{PLACE}/{name}", NONBLOCK)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(300), 300)


def restrict(actor: Actor) -> None:
    """A ruleset of landlock."""
    actor.call_any("landlock_create_ruleset")
    if actor.decides(0.3):
        actor.call_any("landlock_add_rule")


def poll(actor: Actor) -> None:
    actor.call(
        "poll", bytearray(struct.pack("<ihh", actor.descriptor("perf"), 0x1F, 0)), 1, actor.random.choice((0, 1))
    )


KIND: Final = Kind(
    "tracing",
    (open_counter, open_counter, open_counter, map_records, map_records, command, command, read_counter, program,
     program, filter_calls, filter_packets, change_event, read_traces, restrict, poll, Actor.close_one),
    prepare,
)  # fmt: skip
