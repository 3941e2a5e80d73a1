"""Control groups: made, entered, frozen, limited, killed and removed by all."""

from __future__ import annotations

from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

GROUPS: Final = ("/cg/g0", "/cg/g1", "/cg/g0/k", "/cg/g1/k")
FILES: Final = ("cgroup.events", "cgroup.procs", "cgroup.threads", "memory.current", "memory.events", "memory.stat",
                "pids.current", "cgroup.stat", "cpu.stat", "memory.pressure", "cpu.pressure", "io.stat")  # fmt: skip
CONTROLLERS: Final = (b"+memory", b"-memory", b"+pids", b"-pids", b"+cpu", b"-cpu", b"+io", b"-io", b"+memory +pids")


def group(actor: Actor) -> str:
    return actor.random.choice(GROUPS)


def prepare(actor: Actor) -> None:
    actor.write_text("/cg/cgroup.subtree_control", b"+memory +pids +cpu")
    for each in GROUPS:
        actor.call("mkdir", each, 0o755)
    actor.stage.paths += (*GROUPS, *(f"{each}/cgroup.events" for each in GROUPS))


def make(actor: Actor) -> None:
    actor.call("mkdir", group(actor), 0o755)


def remove(actor: Actor) -> None:
    actor.call("rmdir", group(actor))


def enter(actor: Actor) -> None:
    where = actor.random.choice((*GROUPS, "/cg"))
    actor.write_text(f"{where}/{actor.random.choice(('cgroup.procs', 'cgroup.procs', 'cgroup.threads'))}",
                     actor.random.choice((b"0", str(actor.other()).encode())))  # fmt: skip


def kill(actor: Actor) -> None:
    if actor.decides(0.3):
        actor.write_text(f"{group(actor)}/cgroup.kill", b"1")


def freeze(actor: Actor) -> None:
    actor.write_text(f"{group(actor)}/cgroup.freeze", actor.random.choice((b"0", b"0", b"1")))


def choose_controllers(actor: Actor) -> None:
    actor.write_text(f"{group(actor)}/cgroup.subtree_control", actor.random.choice(CONTROLLERS))


def limit(actor: Actor) -> None:
    name = actor.random.choice(("memory.max", "memory.high", "memory.low", "pids.max", "cpu.max", "cpu.weight"))
    text = actor.random.choice((b"max", b"max", b"3", b"100", b"1000000", b"4000000", b"20000 100000"))
    actor.write_text(f"{group(actor)}/{name}", text)


def change_type(actor: Actor) -> None:
    actor.write_text(f"{group(actor)}/cgroup.type", b"threaded")


def trigger(actor: Actor) -> None:
    descriptor = actor.open(f"{group(actor)}/{actor.random.choice(('memory', 'cpu'))}.pressure", 2)
    if descriptor >= 0:
        actor.call("write", descriptor, b"some 100000 1000000", 20)


def read(actor: Actor) -> None:
    descriptor = actor.open(f"{actor.random.choice((*GROUPS, '/cg'))}/{actor.random.choice(FILES)}", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(200), actor.random.choice((20, 200)))


def list_directory(actor: Actor) -> None:
    descriptor = actor.open(group(actor), 0o200000, "directory")
    if descriptor >= 0:
        actor.call("getdents64", descriptor, bytearray(300), 300)


KIND: Final = Kind(
    "control_groups",
    (make, make, remove, enter, enter, kill, freeze, choose_controllers, limit, change_type, trigger, read, read,
     list_directory, Actor.close_one),
    prepare,
)  # fmt: skip
