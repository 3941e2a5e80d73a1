"""Processes: sessions, groups, signals, waits, tracers, threads, and what /proc says about them."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

# Not wchan and stack: they follow a stack in memory, which a simulated thread does not have.
FILES: Final = ("stat", "status", "maps", "fd", "task", "cgroup", "mountinfo", "smaps", "syscall",
                "limits", "io", "sched", "environ", "cmdline", "comm", "ns", "fdinfo", "timers", "exe", "cwd",
                "root", "auxv", "schedstat", "uid_map", "oom_score", "children", "attr/current")  # fmt: skip
SIGNALS: Final = (0, 18, 19, 17, 23, 20)
PIDFD_AND_SHARED: Final = 0x1000


def short(actor: Actor) -> None:
    """What a child does that ends at once."""
    for _ in range(actor.random.randrange(6)):
        actor.one_of(look, set_group, send, wait, Actor.close_one)


def start(actor: Actor) -> None:
    if actor.depth < 4 and len(actor.stage.actors) < 400:
        actor.fork(short)


def start_thread(actor: Actor) -> None:
    if actor.depth < 4 and len(actor.stage.actors) < 400:
        actor.start_thread(short, actor.random.choice((0x50F00, 0x50F00, 0x100 | 17, 0x400 | 17, 0x300 | 17)))


def set_group(actor: Actor) -> None:
    if actor.decides(0.3):
        actor.call("setsid")
    else:
        actor.call("setpgid", actor.resource("pid"), actor.random.choice((0, actor.resource("pid"))))


def send(actor: Actor) -> None:
    signal = 9 if actor.decides(0.03) else actor.random.choice(SIGNALS)
    actor.call(actor.random.choice(("kill", "tkill")), actor.resource("pid"), signal)


def let_go_on(actor: Actor) -> None:
    actor.call("kill", actor.resource("pid"), 18)


def wait(actor: Actor) -> None:
    if actor.decides(0.6):
        actor.call("wait4", actor.random.choice((-1, 0, actor.resource("pid"))), bytearray(4),
                   actor.random.choice((1, 3, 11)), 0)  # fmt: skip
    else:
        actor.call("waitid", actor.random.choice((0, 1, 2)), actor.resource("pid"), bytearray(128),
                   1 | actor.random.choice((4, 6, 14, 0x1000004)), 0)  # fmt: skip


def look(actor: Actor) -> None:
    who = actor.random.choice(("self", "1", "thread-self", str(actor.resource("pid"))))
    descriptor = actor.open(f"/proc/{who}/{actor.random.choice(FILES)}", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(400), actor.random.choice((40, 400)))
        actor.call("getdents64", descriptor, bytearray(400), 400)


def list_all(actor: Actor) -> None:
    descriptor = actor.call("open", "/proc", 0o200000, 0)
    if descriptor >= 0:
        while actor.call("getdents64", descriptor, bytearray(600), 600) > 0:
            pass
        actor.call("close", descriptor)


def follow_link(actor: Actor) -> None:
    name = actor.random.choice(("exe", "cwd", "root", "fd/3", "fd/4", "ns/mnt", "ns/pid", "ns/net"))
    actor.call("readlink", f"/proc/{actor.resource('pid')}/{name}", bytearray(100), 100)


def adopt(actor: Actor) -> None:
    actor.call("prctl", 36, 1, 0, 0, 0)


def die_with_parent(actor: Actor) -> None:
    actor.call("prctl", 1, actor.random.choice((0, 18, 9)), 0, 0, 0)


def trace(actor: Actor) -> None:
    request = actor.random.choice((0x4206, 0x4207, 0x4208, 17, 7, 24, 0x4201, 0x4202, 0x420E, 12, 1))
    actor.call("ptrace", request, actor.other(), actor.random.choice((0, actor.arguments.place(256))),
               actor.random.choice((0, 0, actor.arguments.place(256))))  # fmt: skip


def let_traced_go(actor: Actor) -> None:
    actor.call("ptrace", actor.random.choice((17, 7)), actor.resource("pid"), 0, 0)


def enter_namespace(actor: Actor) -> None:
    kind = actor.random.choice(("mnt", "net", "ipc", "uts", "cgroup", "pid_for_children", "time_for_children"))
    descriptor = actor.call("open", f"/proc/{actor.other() or 'self'}/ns/{kind}", 0, 0)
    if descriptor >= 0:
        actor.call("setns", descriptor, 0)
        actor.keep(descriptor, "file")


def leave_namespaces(actor: Actor) -> None:
    if actor.decides(0.3):
        flags = (0x20000, 0x4000000, 0x8000000, 0x40000000, 0x2000000, 0x20000000, 0x80, 0x400, 0x200)
        actor.call("unshare", actor.random.choice(flags))


def start_with_descriptor(actor: Actor) -> None:
    """clone3(2) with CLONE_PIDFD and CLONE_PARENT_SETTID, whose child ends at once."""
    if actor.depth >= 4 or len(actor.stage.actors) > 400:
        return
    place = actor.arguments.place(16)
    flags = PIDFD_AND_SHARED | 0x100000 | actor.random.choice((0, 0x400))
    request = struct.pack("<QQQQQQQQ", flags, place, 0, place + 8, 17, 0, 0, 0)
    frame = actor.program.frame
    frame.r15 = actor.program.code.add_main(lambda program: 0)
    try:
        child = actor.remember("pid", actor.call("clone3", request, 64))
    finally:
        frame.r15 = 0
    if child > 0:
        actor.keep(int.from_bytes(actor.load(place, 4), "little"), "pidfd")


def others(actor: Actor) -> None:
    names = ("getpgid", "getsid", "getpriority", "sched_getaffinity", "prlimit64", "ioprio_set", "rt_sigqueueinfo",
             "rt_tgsigqueueinfo", "kcmp", "get_robust_list", "sched_getattr", "rt_sigtimedwait")  # fmt: skip
    actor.call_any(actor.random.choice(names))


KIND: Final = Kind(
    "processes",
    (start, start, start_thread, set_group, send, send, let_go_on, wait, wait, look, look, look, list_all, follow_link,
     adopt, die_with_parent, trace, let_traced_go, enter_namespace, leave_namespaces, start_with_descriptor, others),
)  # fmt: skip
