"""Message queues of System V (msgop(2), msgctl(2)), on a booted machine."""

from __future__ import annotations

import signal
import struct

from tests.unit.booted import booted
from tests.unit.errors import error_of
from tools.simulated.machine import Machine
from tools.simulated.program import Program

CREATE, EXCLUSIVE, NO_WAIT = 0o1000, 0o2000, 0o4000
NO_ERROR, EXCEPT, COPY = 0o10000, 0o20000, 0o40000
REMOVE, SET, STATUS, LIMITS, STATUS_AT, USAGE = 0, 1, 2, 3, 11, 12
SECOND = struct.pack("<QQ", 1, 0)
QUEUE_BYTES, LARGEST_MESSAGE = 16384, 8192


def send(program: Program, queue: int, kind: int, text: bytes, flags: int = NO_WAIT) -> int:
    return program.msgsnd(queue, bytearray(struct.pack("<q", kind) + text), len(text), flags)


def receive(program: Program, queue: int, kind: int, flags: int = NO_WAIT, size: int = 100) -> tuple[int, bytes]:
    message = bytearray(8 + size)
    count = program.msgrcv(queue, message, size, kind, flags)
    return struct.unpack_from("<q", message)[0], bytes(message[8 : 8 + count])


def status(program: Program, queue: int) -> dict[str, int]:
    raw = bytearray(120)
    assert program.msgctl(queue, STATUS, raw) == 0
    names = ("bytes", "count", "most_bytes")
    found = dict(zip(names, struct.unpack_from("<QQQ", raw, 72), strict=True))
    found["sender"], found["receiver"] = struct.unpack_from("<ii", raw, 96)
    found["uid"], found["mode"] = struct.unpack_from("<I", raw, 4)[0], struct.unpack_from("<I", raw, 20)[0]
    return found


@booted
def test_a_receiver_chooses_by_type(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    for kind in (5, 2, 9, 2):
        send(host, queue, kind, b"of type %d" % kind)
    assert receive(host, queue, 2, NO_WAIT | EXCEPT) == (5, b"of type 5")
    assert receive(host, queue, -8) == (2, b"of type 2")  # the lowest up to 8
    assert receive(host, queue, 9) == (9, b"of type 9")
    assert error_of(receive, host, queue, 9) == "ENOMSG"
    assert receive(host, queue, -(1 << 63)) == (2, b"of type 2")
    assert status(host, queue)["count"] == 0


@booted
def test_a_message_that_is_too_long_stays_or_is_cut(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    send(host, queue, 1, b"much too long")
    assert error_of(receive, host, queue, 0, NO_WAIT, 4) == "E2BIG"
    assert status(host, queue)["bytes"] == 13
    assert receive(host, queue, 0, NO_WAIT | NO_ERROR, 4) == (1, b"much")
    assert status(host, queue)["bytes"] == 0


@booted
def test_a_copy_leaves_the_message_where_it_is(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    for kind in (7, 8):
        send(host, queue, kind, b"text")
    assert receive(host, queue, 1, COPY | NO_WAIT) == (8, b"text")
    assert error_of(receive, host, queue, 2, COPY | NO_WAIT) == "ENOMSG"
    assert error_of(receive, host, queue, 0, COPY) == "EINVAL"  # it must not wait
    assert error_of(receive, host, queue, 0, COPY | NO_WAIT | EXCEPT) == "EINVAL"
    assert status(host, queue)["count"] == 2


@booted
def test_what_cannot_be_sent(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    assert error_of(send, host, queue, 0, b"no type") == "EINVAL"
    assert error_of(send, host, queue, -1, b"no type") == "EINVAL"
    assert error_of(send, host, queue, 1, bytes(LARGEST_MESSAGE + 1)) == "EINVAL"
    assert error_of(send, host, queue + 1, 1, b"no queue") == "EINVAL"
    assert error_of(send, host, -1, 1, b"no queue") == "EINVAL"


@booted
def test_a_full_queue_makes_its_sender_wait_until_there_is_room(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    for _ in range(QUEUE_BYTES // LARGEST_MESSAGE):
        send(host, queue, 1, bytes(LARGEST_MESSAGE))
    assert error_of(send, host, queue, 2, b"more") == "EAGAIN"
    send(host, queue, 2, b"")  # no bytes find room among the bytes
    order: list[str] = []

    def sender(program: Program) -> None:
        send(program, queue, 3, b"late", 0)
        order.append("sent")

    child = host.fork(sender)
    host.nanosleep(SECOND, None)
    order.append("received")
    receive(host, queue, 1, NO_WAIT, LARGEST_MESSAGE)
    assert machine.wait(child) == 0 and order == ["received", "sent"]
    assert receive(host, queue, 3) == (3, b"late")
    assert status(host, queue)["sender"] == child


@booted
def test_a_waiting_receiver_gets_its_type_and_no_other(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    got: list[tuple[int, bytes]] = []
    child = host.fork(lambda program: got.append(receive(program, queue, 4, 0)))
    host.nanosleep(SECOND, None)
    send(host, queue, 3, b"for others")
    send(host, queue, 4, b"for it")
    assert status(host, queue)["count"] == 1, "it was handed over, and never lay in the queue"
    assert machine.wait(child) == 0 and got == [(4, b"for it")]
    assert status(host, queue)["receiver"] == child


@booted
def test_a_waiting_receiver_without_room_for_it_fails(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    errors: list[str] = []
    child = host.fork(lambda program: errors.append(error_of(receive, program, queue, 0, 0, 2)))
    host.nanosleep(SECOND, None)
    send(host, queue, 1, b"long")
    assert machine.wait(child) == 0 and errors == ["E2BIG"]
    assert receive(host, queue, 0) == (1, b"long")


@booted
def test_a_signal_ends_a_wait_for_good(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    errors: list[str] = []

    def receiver(program: Program) -> None:
        program.handle(signal.SIGUSR1, lambda program, signo: None, 0x1000_0000)  # SA_RESTART changes nothing
        errors.append(error_of(receive, program, queue, 0, 0))

    child = host.fork(receiver)
    host.nanosleep(SECOND, None)
    host.kill(child, signal.SIGUSR1)
    assert machine.wait(child) == 0 and errors == ["EINTR"]
    send(host, queue, 1, b"x")
    assert status(host, queue)["count"] == 1, "nobody waits any more"


@booted
def test_removal_ends_all_waits(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    errors: list[str] = []
    child = host.fork(lambda program: errors.append(error_of(receive, program, queue, 0, 0)))
    host.nanosleep(SECOND, None)
    host.msgctl(queue, REMOVE, 0)
    assert machine.wait(child) == 0 and errors == ["EIDRM"]
    assert error_of(send, host, queue, 1, b"x") == "EINVAL"


@booted
def test_the_owner_changes_a_queue(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE | 0o600)
    raw = bytearray(120)
    host.msgctl(queue, STATUS, raw)
    struct.pack_into("<I", raw, 4, 1000)
    struct.pack_into("<I", raw, 20, 0o640)
    struct.pack_into("<Q", raw, 88, 10)
    assert host.msgctl(queue, SET, raw) == 0
    changed = status(host, queue)
    assert (changed["uid"], changed["mode"], changed["most_bytes"]) == (1000, 0o640, 10)
    assert error_of(send, host, queue, 1, bytes(11)) == "EAGAIN"

    def owner(program: Program) -> None:
        program.setresuid(1000, 1000, 1000)
        raw = bytearray(120)
        program.msgctl(queue, STATUS, raw)
        struct.pack_into("<Q", raw, 88, QUEUE_BYTES + 1)
        assert error_of(program.msgctl, queue, SET, raw) == "EPERM"  # CAP_SYS_RESOURCE
        struct.pack_into("<Q", raw, 88, QUEUE_BYTES)
        assert program.msgctl(queue, SET, raw) == 0

    assert machine.run(owner) == 0
    assert status(host, queue)["most_bytes"] == QUEUE_BYTES

    def stranger(program: Program) -> None:
        program.setresgid(1001, 1001, 1001)
        program.setresuid(1001, 1001, 1001)
        assert error_of(send, program, queue, 1, b"x") == "EACCES"
        assert error_of(program.msgctl, queue, STATUS, bytearray(120)) == "EACCES"
        assert error_of(program.msgctl, queue, SET, raw) == "EPERM"
        assert error_of(program.msgctl, queue, REMOVE, 0) == "EPERM"

    assert machine.run(stranger) == 0


@booted
def test_keys_find_a_queue(machine: Machine) -> None:
    host = machine.host
    assert error_of(host.msgget, 77, 0o600) == "ENOENT"
    queue = host.msgget(77, CREATE | 0o600)
    assert host.msgget(77, CREATE | 0o600) == queue == host.msgget(77, 0)
    assert error_of(host.msgget, 77, CREATE | EXCLUSIVE) == "EEXIST"
    assert host.msgget(0, CREATE | 0o600) != queue != host.msgget(0, 0o600)  # IPC_PRIVATE: one of its own each time


@booted
def test_totals_count_all_queues(machine: Machine) -> None:
    host = machine.host
    queues = [host.msgget(0, CREATE | 0o600) for _ in range(3)]
    for queue in queues:
        send(host, queue, 1, b"four")
    raw = bytearray(32)
    highest = host.msgctl(0, USAGE, raw)
    in_use, messages, largest, most = struct.unpack_from("<4i", raw)
    assert (in_use, messages, largest, most) == (3, 3, LARGEST_MESSAGE, QUEUE_BYTES)
    assert struct.unpack_from("<i", raw, 24)[0] == 12
    assert host.msgctl(highest, STATUS_AT, bytearray(120)) == queues[-1]
    host.msgctl(queues[0], REMOVE, 0)
    host.msgctl(0, USAGE, raw)
    assert struct.unpack_from("<2i", raw) == (2, 2) and struct.unpack_from("<i", raw, 24)[0] == 8
    host.msgctl(0, LIMITS, raw)
    assert struct.unpack_from("<2i", raw, 8) == (LARGEST_MESSAGE, QUEUE_BYTES)
    assert error_of(host.msgctl, 0, 99, 0) == "EINVAL"
