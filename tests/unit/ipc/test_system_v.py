"""System V and POSIX communication between processes, on a booted machine."""

import errno
import os
import struct

import pytest

from tests.unit.booted import booted
from tools.simulated.machine import Machine
from tools.simulated.program import Program

SECOND = struct.pack("<QQ", 1, 0)
CREATE = 0o1600  # IPC_CREAT, for the owner
REMOVE = 0
SETVAL = 16
GETVAL = 12
FAULTY = 16  # an address without memory
NO_WAIT = 0o4000
MSG_EXCEPT = 0o20000
MSG_COPY = 0o40000
REPLACE = 0o40000  # SHM_REMAP


def change(program: Program, semaphores: int, number: int, by: int, flags: int = 0) -> int:
    return program.semop(semaphores, bytearray(struct.pack("<Hhh", number, by, flags)), 1)


@booted
def test_a_semaphore_makes_its_taker_wait(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 2, CREATE)
    order: list[str] = []

    def taker(program: Program) -> None:
        change(program, semaphores, 1, -3)
        order.append("taken")

    child = host.fork(taker)
    for _ in range(3):
        host.nanosleep(SECOND, None)
        order.append("given")
        change(host, semaphores, 1, 1)
    assert machine.wait(child) == 0
    assert order == ["given", "given", "given", "taken"]
    assert host.semctl(semaphores, 1, GETVAL, 0) == 0


@booted
def test_a_semaphore_that_goes_away(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE)

    def taker(program: Program) -> None:
        with pytest.raises(OSError) as raised:
            change(program, semaphores, 0, -1)
        assert raised.value.errno == errno.EIDRM

    child = host.fork(taker)
    host.nanosleep(SECOND, None)
    host.semctl(semaphores, 0, REMOVE, 0)
    assert machine.wait(child) == 0


@booted
def test_what_a_dead_process_took_is_given_back(machine: Machine) -> None:
    host = machine.host
    semaphores = host.semget(0, 1, CREATE)
    host.semctl(semaphores, 0, SETVAL, 5)
    assert machine.run(lambda program: change(program, semaphores, 0, -4, 0x1000)) == 0  # SEM_UNDO
    assert host.semctl(semaphores, 0, GETVAL, 0) == 5


@booted
def test_messages_by_their_type(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE)
    for kind, text in ((3, b"third"), (1, b"first"), (3, b"again")):
        host.msgsnd(queue, bytearray(struct.pack("<q", kind) + text), len(text), 0)
    message = bytearray(8 + 5)

    def receive(kind: int) -> tuple[int, bytes]:
        assert host.msgrcv(queue, message, 5, kind, 0o4000) == 5  # IPC_NOWAIT
        return struct.unpack_from("<q", message)[0], bytes(message[8:])

    assert receive(1) == (1, b"first")
    assert receive(-3) == (3, b"third")
    assert receive(0) == (3, b"again")
    with pytest.raises(OSError, match="ENOMSG"):
        receive(0)


@booted
def test_shared_memory(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, 4096, CREATE)

    def child(program: Program) -> None:
        address = program.shmat(segment, 0, 0)
        program.store(address, b"shared")

    assert machine.run(child) == 0
    address = host.shmat(segment, 0, 0o10000)  # SHM_RDONLY
    assert host.load(address, 6) == b"shared"
    host.shmctl(segment, REMOVE, 0)
    host.shmdt(address)
    with pytest.raises(OSError, match="EINVAL"):
        host.shmat(segment, 0, 0)


@booted
def test_posix_queues_give_the_most_urgent_first(machine: Machine) -> None:
    host = machine.host
    attributes = struct.pack("<8q", 0, 4, 16, 0, 0, 0, 0, 0)
    queue = host.mq_open("queue", os.O_RDWR | os.O_CREAT, 0o600, attributes)
    for priority, text in ((1, b"later"), (9, b"at once")):
        host.mq_timedsend(queue, text, len(text), priority, None)
    buffer, priority_word = bytearray(16), bytearray(4)
    count = host.mq_timedreceive(queue, buffer, 16, priority_word, None)
    assert (bytes(buffer[:count]), priority_word[0]) == (b"at once", 9)
    with pytest.raises(OSError, match="EMSGSIZE"):
        host.mq_timedreceive(queue, buffer, 8, priority_word, None)


@booted
def test_an_eventfd_counts(machine: Machine) -> None:
    host = machine.host
    counter = host.eventfd2(3, os.O_NONBLOCK)
    host.write(counter, struct.pack("<Q", 4), 8)
    value = bytearray(8)
    host.read(counter, value, 8)
    assert struct.unpack("<Q", value) == (7,)
    with pytest.raises(OSError, match="EAGAIN"):
        host.read(counter, value, 8)


@booted
def test_inotify_reports_what_happens_to_a_folder(machine: Machine) -> None:
    host = machine.host
    watcher = host.inotify_init1(0)
    watch = host.inotify_add_watch(watcher, "/tmp", 0x100 | 0x200)  # IN_CREATE, IN_DELETE
    host.close(host.open("/tmp/new", os.O_CREAT | os.O_WRONLY, 0o600))
    host.unlink("/tmp/new")
    buffer = bytearray(200)
    count = host.read(watcher, buffer, 200)
    events = []
    at = 0
    while at < count:
        found, mask, _, size = struct.unpack_from("<iIII", buffer, at)
        events.append((found, mask, bytes(buffer[at + 16 : at + 16 + size]).rstrip(b"\0")))
        at += 16 + size
    assert events == [(watch, 0x100, b"new"), (watch, 0x200, b"new")]


@booted
def test_a_message_is_copied_only_over_readable_memory(machine: Machine) -> None:
    host = machine.host
    queue = host.msgget(0, CREATE)
    for size, flags, error in (
        (1, MSG_COPY, "EINVAL"),  # it would wait
        (1, MSG_COPY | MSG_EXCEPT | NO_WAIT, "EINVAL"),
        (1, MSG_COPY | NO_WAIT, "EFAULT"),  # Linux makes the copy from what is there
        (0, MSG_COPY | NO_WAIT, "ENOMSG"),
    ):
        with pytest.raises(OSError, match=error):
            host.msgrcv(queue, FAULTY, size, 0, flags)
    with pytest.raises(OSError, match="EFAULT"):
        host.msgrcv(12345, FAULTY, 1, 0, MSG_COPY | NO_WAIT)  # before the queue is looked for


@booted
def test_memory_is_shared_only_inside_of_the_address_space(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, 4096, CREATE)
    outside = -(1 << 47)
    for address, flags, error in (
        (outside + 1, 0, "EINVAL"),
        (outside, 0, "ENOMEM"),
        (outside, REPLACE, "ENOMEM"),
        (-4096, 0, "EINVAL"),  # its end is address 0
        (-4096, REPLACE, "ENOMEM"),
    ):
        with pytest.raises(OSError, match=error):
            host.shmat(segment, address, flags)


@booted
def test_threads_are_notified_through_a_netlink_socket_only(machine: Machine) -> None:
    host = machine.host
    reader_writer = bytearray(8)
    host.pipe2(reader_writer, 0)
    cookie = host.mmap(0, 4096, 3, 0x22, -1, 0)
    for descriptor, error in (
        (999, "EBADF"),
        (struct.unpack("<ii", reader_writer)[0], "ENOTSOCK"),
        (host.socket(1, 1, 0), "EINVAL"),
    ):
        with pytest.raises(OSError, match=error):
            host.mq_notify(999, struct.pack("<Qii48x", cookie, descriptor, 2))
