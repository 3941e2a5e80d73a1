"""Control groups: made, entered, frozen, limited, killed and removed by all."""

from __future__ import annotations

from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

GROUPS: Final = ("/cg/g0", "/cg/g1", "/cg/g0/k", "/cg/g1/k")
FILES: Final = ("cgroup.events", "cgroup.procs", "cgroup.threads", "memory.current", "memory.events", "memory.stat",
                "pids.current", "cgroup.stat", "cpu.stat", "memory.pressure", "cpu.pressure", "io.stat")  # fmt: skip
CONTROLLERS: Final = (b"+memory", b"-memory", b"+pids", b"-pids", b"+cpu", b"-cpu", b"+io", b"-io", b"+memory +pids")


def group(worker: Worker) -> str:
    return worker.random.choice(GROUPS)


def prepare(worker: Worker) -> None:
    worker.write_text("/cg/cgroup.subtree_control", b"+memory +pids +cpu")
    for each in GROUPS:
        worker.call("mkdir", each, 0o755)
    worker.shared.paths += (*GROUPS, *(f"{each}/cgroup.events" for each in GROUPS))


def make(worker: Worker) -> None:
    worker.call("mkdir", group(worker), 0o755)


def remove(worker: Worker) -> None:
    worker.call("rmdir", group(worker))


def enter(worker: Worker) -> None:
    where = worker.random.choice((*GROUPS, "/cg"))
    worker.write_text(f"{where}/{worker.random.choice(('cgroup.procs', 'cgroup.procs', 'cgroup.threads'))}",
                     worker.random.choice((b"0", str(worker.other()).encode())))  # fmt: skip


def kill(worker: Worker) -> None:
    if worker.decides(0.3):
        worker.write_text(f"{group(worker)}/cgroup.kill", b"1")


def freeze(worker: Worker) -> None:
    worker.write_text(f"{group(worker)}/cgroup.freeze", worker.random.choice((b"0", b"0", b"1")))


def choose_controllers(worker: Worker) -> None:
    worker.write_text(f"{group(worker)}/cgroup.subtree_control", worker.random.choice(CONTROLLERS))


def limit(worker: Worker) -> None:
    name = worker.random.choice(("memory.max", "memory.high", "memory.low", "pids.max", "cpu.max", "cpu.weight"))
    text = worker.random.choice((b"max", b"max", b"3", b"100", b"1000000", b"4000000", b"20000 100000"))
    worker.write_text(f"{group(worker)}/{name}", text)


def change_type(worker: Worker) -> None:
    worker.write_text(f"{group(worker)}/cgroup.type", b"threaded")


def trigger(worker: Worker) -> None:
    descriptor = worker.open(f"{group(worker)}/{worker.random.choice(('memory', 'cpu'))}.pressure", 2)
    if descriptor >= 0:
        worker.call("write", descriptor, b"some 100000 1000000", 20)


def read(worker: Worker) -> None:
    descriptor = worker.open(f"{worker.random.choice((*GROUPS, '/cg'))}/{worker.random.choice(FILES)}", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(200), worker.random.choice((20, 200)))


def list_directory(worker: Worker) -> None:
    descriptor = worker.open(group(worker), 0o200000, "directory")
    if descriptor >= 0:
        worker.call("getdents64", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "control_groups",
    (make, make, remove, enter, enter, kill, freeze, choose_controllers, limit, change_type, trigger, read, read,
     list_directory, Worker.close_one),
    prepare,
)  # fmt: skip
