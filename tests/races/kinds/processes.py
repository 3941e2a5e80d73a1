"""Processes: sessions, groups, signals, waits, tracers, threads, and what /proc says about them."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

# Not wchan and stack: they follow a stack in memory, which a simulated thread does not have.
FILES: Final = ("stat", "status", "maps", "fd", "task", "cgroup", "mountinfo", "smaps", "syscall",
                "limits", "io", "sched", "environ", "cmdline", "comm", "ns", "fdinfo", "timers", "exe", "cwd",
                "root", "auxv", "schedstat", "uid_map", "oom_score", "children", "attr/current")  # fmt: skip
SIGNALS: Final = (0, 18, 19, 17, 23, 20)
PIDFD_AND_SHARED: Final = 0x1000


def short(worker: Worker) -> None:
    """What a child does that ends at once."""
    for _ in range(worker.random.randrange(6)):
        worker.one_of(look, set_group, send, wait, Worker.close_one)


def start(worker: Worker) -> None:
    if worker.depth < 4 and len(worker.shared.workers) < 400:
        worker.fork(short)


def start_thread(worker: Worker) -> None:
    if worker.depth < 4 and len(worker.shared.workers) < 400:
        worker.start_thread(short, worker.random.choice((0x50F00, 0x50F00, 0x100 | 17, 0x400 | 17, 0x300 | 17)))


def set_group(worker: Worker) -> None:
    if worker.decides(0.3):
        worker.call("setsid")
    else:
        worker.call("setpgid", worker.resource("pid"), worker.random.choice((0, worker.resource("pid"))))


def send(worker: Worker) -> None:
    signal = 9 if worker.decides(0.03) else worker.random.choice(SIGNALS)
    worker.call(worker.random.choice(("kill", "tkill")), worker.resource("pid"), signal)


def let_go_on(worker: Worker) -> None:
    worker.call("kill", worker.resource("pid"), 18)


def wait(worker: Worker) -> None:
    if worker.decides(0.6):
        worker.call("wait4", worker.random.choice((-1, 0, worker.resource("pid"))), bytearray(4),
                   worker.random.choice((1, 3, 11)), 0)  # fmt: skip
    else:
        worker.call("waitid", worker.random.choice((0, 1, 2)), worker.resource("pid"), bytearray(128),
                   1 | worker.random.choice((4, 6, 14, 0x1000004)), 0)  # fmt: skip


def look(worker: Worker) -> None:
    who = worker.random.choice(("self", "1", "thread-self", str(worker.resource("pid"))))
    descriptor = worker.open(f"/proc/{who}/{worker.random.choice(FILES)}", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(400), worker.random.choice((40, 400)))
        worker.call("getdents64", descriptor, bytearray(400), 400)


def list_all(worker: Worker) -> None:
    descriptor = worker.call("open", "/proc", 0o200000, 0)
    if descriptor >= 0:
        while worker.call("getdents64", descriptor, bytearray(600), 600) > 0:
            pass
        worker.call("close", descriptor)


def follow_link(worker: Worker) -> None:
    name = worker.random.choice(("exe", "cwd", "root", "fd/3", "fd/4", "ns/mnt", "ns/pid", "ns/net"))
    worker.call("readlink", f"/proc/{worker.resource('pid')}/{name}", bytearray(100), 100)


def adopt(worker: Worker) -> None:
    worker.call("prctl", 36, 1, 0, 0, 0)


def die_with_parent(worker: Worker) -> None:
    worker.call("prctl", 1, worker.random.choice((0, 18, 9)), 0, 0, 0)


def trace(worker: Worker) -> None:
    request = worker.random.choice((0x4206, 0x4207, 0x4208, 17, 7, 24, 0x4201, 0x4202, 0x420E, 12, 1))
    worker.call("ptrace", request, worker.other(), worker.random.choice((0, worker.arguments.place(256))),
               worker.random.choice((0, 0, worker.arguments.place(256))))  # fmt: skip


def let_traced_go(worker: Worker) -> None:
    worker.call("ptrace", worker.random.choice((17, 7)), worker.resource("pid"), 0, 0)


def enter_namespace(worker: Worker) -> None:
    kind = worker.random.choice(("mnt", "net", "ipc", "uts", "cgroup", "pid_for_children", "time_for_children"))
    descriptor = worker.call("open", f"/proc/{worker.other() or 'self'}/ns/{kind}", 0, 0)
    if descriptor >= 0:
        worker.call("setns", descriptor, 0)
        worker.keep(descriptor, "file")


def leave_namespaces(worker: Worker) -> None:
    if worker.decides(0.3):
        flags = (0x20000, 0x4000000, 0x8000000, 0x40000000, 0x2000000, 0x20000000, 0x80, 0x400, 0x200)
        worker.call("unshare", worker.random.choice(flags))


def start_with_descriptor(worker: Worker) -> None:
    """clone3(2) with CLONE_PIDFD and CLONE_PARENT_SETTID, whose child ends at once."""
    if worker.depth >= 4 or len(worker.shared.workers) > 400:
        return
    place = worker.arguments.place(16)
    flags = PIDFD_AND_SHARED | 0x100000 | worker.random.choice((0, 0x400))
    request = struct.pack("<QQQQQQQQ", flags, place, 0, place + 8, 17, 0, 0, 0)
    frame = worker.program.frame
    frame.r15 = worker.program.code.add_main(lambda program: 0)
    try:
        child = worker.remember("pid", worker.call("clone3", request, 64))
    finally:
        frame.r15 = 0
    if child > 0:
        worker.keep(int.from_bytes(worker.load(place, 4), "little"), "pidfd")


def others(worker: Worker) -> None:
    names = ("getpgid", "getsid", "getpriority", "sched_getaffinity", "prlimit64", "ioprio_set", "rt_sigqueueinfo",
             "rt_tgsigqueueinfo", "kcmp", "get_robust_list", "sched_getattr", "rt_sigtimedwait")  # fmt: skip
    worker.call_any(worker.random.choice(names))


KIND: Final = Kind(
    "processes",
    (start, start, start_thread, set_group, send, send, let_go_on, wait, wait, look, look, look, list_all, follow_link,
     adopt, die_with_parent, trace, let_traced_go, enter_namespace, leave_namespaces, start_with_descriptor, others),
)  # fmt: skip
