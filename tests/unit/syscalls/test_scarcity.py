"""System calls that find no memory, at whatever place, change nothing and lose nothing."""

from __future__ import annotations

import pytest

from tests.unit.booted import booted
from tests.unit.scarcity import check_each
from tools.simulated.machine import Machine
from tools.simulated.program import Program


def words(array: bytearray) -> list[int]:
    """The ints of an array that a call has filled."""
    return [int.from_bytes(array[i : i + 4], "little") for i in range(0, len(array), 4)]


def pair(program: Program, name: str, *arguments: int) -> list[int]:
    """pipe2(2) or socketpair(2): the descriptors that it made."""
    array = bytearray(8)
    if name == "pipe2":
        program.call(name, array, *arguments)
    else:
        program.call(name, *arguments, array)
    return words(array)


def close_all(program: Program, descriptors: list[int]) -> None:
    for each in descriptors:
        program.close(each)


SINGLE: dict[str, tuple[str, tuple[int | str | bytes, ...]]] = {
    "socket, unix": ("socket", (1, 1, 0)),
    "epoll": ("epoll_create1", (0,)),
    "eventfd": ("eventfd2", (1, 0)),
    "timerfd": ("timerfd_create", (1, 0)),
    "signalfd": ("signalfd4", (-1, bytes(8), 8, 0)),
    "inotify": ("inotify_init1", (0,)),
    "fanotify": ("fanotify_init", (0x200, 0)),
    "memfd": ("memfd_create", ("short", 2)),
    "memfd_secret": ("memfd_secret", (0,)),
    "pidfd": ("pidfd_open", (1, 0)),
    "userfaultfd": ("userfaultfd", (1,)),
    "open": ("open", ("/", 0)),
    "openat, O_PATH": ("openat", (-100, "/", 0o10000000, 0)),
    "fsopen": ("fsopen", ("tmpfs", 0)),
    "open_tree": ("open_tree", (-100, "/", 1)),
    "map": ("bpf", (0, b"\1\0\0\0\4\0\0\0\x08\0\0\0\x10\0\0\0" + bytes(100), 72)),
}


@pytest.mark.parametrize("name", SINGLE)
@booted
def test_a_descriptor(machine: Machine, name: str) -> None:
    call, arguments = SINGLE[name]
    check_each(lambda: machine.host.call(call, *arguments), machine.host.close)


PAIRS = {
    "pipe": ("pipe2", 0),
    "packets": ("pipe2", 0o40000),
    "stream": ("socketpair", 1, 1, 0),
    "datagram": ("socketpair", 1, 2, 0),
    "seqpacket": ("socketpair", 1, 5, 0),
}


@pytest.mark.parametrize("name", PAIRS)
@booted
def test_two_descriptors(machine: Machine, name: str) -> None:
    call, *arguments = PAIRS[name]
    assert isinstance(call, str)
    numbers = [each for each in arguments if isinstance(each, int)]
    check_each(lambda: pair(machine.host, call, *numbers), lambda both: close_all(machine.host, both), fewest=5)


UNIX = 1
STREAM, PACKETS = 1, 5
ADDRESS = UNIX.to_bytes(2, "little") + b"\0short"


@pytest.mark.parametrize("kind", [STREAM, PACKETS])
@booted
def test_a_connection(machine: Machine, kind: int) -> None:
    """One that could not be made does not wait at the listener."""
    host = machine.host
    listener = host.socket(UNIX, kind, 0)
    host.bind(listener, ADDRESS, len(ADDRESS))
    host.listen(listener, 5)
    client = [host.socket(UNIX, kind, 0)]

    def renew() -> None:
        host.close(client.pop())
        client.append(host.socket(UNIX, kind, 0))

    def end(_: int) -> None:
        host.close(host.accept(listener, 0, 0))
        renew()

    check_each(lambda: host.connect(client[0], ADDRESS, len(ADDRESS)), end, fewest=5)


IPC_RMID = 0
MADE = {
    "segment": ("shmget", "shmctl", (0, 8192, 0o600)),
    "queue": ("msgget", "msgctl", (0, 0o600)),
    "set": ("semget", "semctl", (0, 3, 0o600)),
}


@pytest.mark.parametrize("name", MADE)
@booted
def test_an_object_of_system_v(machine: Machine, name: str) -> None:
    make, control, arguments = MADE[name]
    host = machine.host

    def remove(identifier: int) -> None:
        host.call(control, identifier, *((0, IPC_RMID) if control == "semctl" else (IPC_RMID, 0)))

    check_each(lambda: host.call(make, *arguments), remove, fewest=2)


@booted
def test_a_message(machine: Machine) -> None:
    """One that could not be sent is not there; one that could not be received is."""
    host = machine.host
    queue = host.msgget(0, 0o600)
    message = (1).to_bytes(8, "little") + b"text"
    place = bytearray(100)
    check_each(lambda: host.msgsnd(queue, message, 4, 0), lambda _: host.msgrcv(queue, place, 92, 0, 0), fewest=1)
    host.msgsnd(queue, message, 4, 0)
    check_each(lambda: host.msgrcv(queue, place, 92, 0, 0), lambda _: host.msgsnd(queue, message, 4, 0))


@booted
def test_an_attached_segment(machine: Machine) -> None:
    host = machine.host
    segment = host.shmget(0, 8192, 0o600)
    check_each(lambda: host.shmat(segment, 0, 0), lambda address: host.shmdt(address))


@booted
def test_an_undone_operation(machine: Machine) -> None:
    host = machine.host
    identifier = host.semget(0, 2, 0o600)
    up = bytes((0, 0, 1, 0, 0, 0x10))  # SEM_UNDO
    down = bytes((0, 0, 0xFF, 0xFF, 0, 0x10))
    check_each(lambda: host.semop(identifier, up, 1), lambda _: host.semop(identifier, down, 1))


@booted
def test_a_member_of_an_epoll_set(machine: Machine) -> None:
    host = machine.host
    members = host.epoll_create1(0)
    event = host.eventfd2(1, 0)
    record = (1).to_bytes(4, "little") + bytes(8)
    check_each(
        lambda: host.epoll_ctl(members, 1, event, record), lambda _: host.epoll_ctl(members, 2, event, 0), fewest=2
    )


@booted
def test_a_watch_of_inotify(machine: Machine) -> None:
    host = machine.host
    instance = host.inotify_init1(0)
    check_each(
        lambda: host.inotify_add_watch(instance, "/tmp", 0xFFF),
        lambda number: host.inotify_rm_watch(instance, number),
        fewest=1,
    )


@booted
def test_a_timer(machine: Machine) -> None:
    host = machine.host
    number = bytearray(4)
    check_each(
        lambda: host.timer_create(1, 0, number),
        lambda _: host.timer_delete(int.from_bytes(number, "little")),
        fewest=1,
    )


PROT_READ_WRITE = 3
PRIVATE_ANONYMOUS = 0x22
PIECE = 0x4000


@booted
def test_memory(machine: Machine) -> None:
    """Areas that could not be made, cut or moved are as they were."""
    host = machine.host

    def mmap(size: int) -> int:
        return host.mmap(0, size, PROT_READ_WRITE, PRIVATE_ANONYMOUS, -1, 0)

    check_each(lambda: mmap(PIECE), lambda address: host.munmap(address, PIECE), fewest=1)
    whole = mmap(4 * PIECE)

    def mend() -> None:
        host.mmap(whole, 4 * PIECE, PROT_READ_WRITE, PRIVATE_ANONYMOUS | 0x10, -1, 0)

    check_each(lambda: host.mprotect(whole + PIECE, PIECE, 1), lambda _: mend(), fewest=1)
    check_each(lambda: host.munmap(whole + PIECE, PIECE), lambda _: mend(), fewest=1)
    check_each(
        lambda: host.mremap(whole, 4 * PIECE, 8 * PIECE, 1, 0),
        lambda address: host.mremap(address, 8 * PIECE, 4 * PIECE, 3, whole),
    )


@booted
def test_a_mount(machine: Machine) -> None:
    host = machine.host
    host.mkdir("/tmp/place", 0o700)
    check_each(
        lambda: host.mount("none", "/tmp/place", "tmpfs", 0, "size=1m"),
        lambda _: host.umount2("/tmp/place", 0),
        fewest=5,
    )
    check_each(
        lambda: host.mount("/tmp", "/tmp/place", 0, 4096, 0), lambda _: host.umount2("/tmp/place", 0), fewest=2
    )


@booted
def test_a_queue_of_posix(machine: Machine) -> None:
    host = machine.host
    descriptor = host.mq_open("short", 0o102, 0o600, 0)

    def receive() -> None:
        host.mq_timedreceive(descriptor, bytearray(8192), 8192, 0, 0)

    check_each(lambda: host.mq_timedsend(descriptor, b"text", 4, 1, 0), lambda _: receive())
    host.mq_timedsend(descriptor, b"text", 4, 1, 0)
    check_each(receive, lambda _: host.mq_timedsend(descriptor, b"text", 4, 1, 0), fewest=0)


KEY_SPEC_PROCESS_KEYRING = -2
KEYCTL_UNLINK = 9


@booted
def test_a_key(machine: Machine) -> None:
    host = machine.host
    ring = host.add_key("keyring", "ring", 0, 0, KEY_SPEC_PROCESS_KEYRING)
    check_each(
        lambda: host.add_key("user", "key", b"data", 4, ring),
        lambda key: host.keyctl(KEYCTL_UNLINK, key, ring, 0, 0),
        fewest=2,
    )
