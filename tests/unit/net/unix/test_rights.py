"""Descriptors under way in unix sockets: which sockets stay, and which nobody can reach any more."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.fs.anonymous import anonymous_path
from kernel.fs.constants import O_RDWR
from kernel.fs.file import File
from kernel.lang import Errno, Span, u8
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.user import KernelBuffer
from kernel.lib.user_account import account_count
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import MSG_DONTWAIT, Message, release_files
from kernel.net.unix import rights, unreachable
from kernel.net.unix.datagram import DatagramSocket
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import SOCKETS, SUSPICION, send_files
from kernel.net.unix.unreachable import collect, collect_if_due


def put(receiver: DatagramSocket, files: list[File]) -> None:
    """Let descriptors of `files` lie in a socket's queue."""
    parcel = Parcel(1, receiver)
    parcel.end = 1
    for file in files:
        file.acquire()
    send_files(parcel, files, KernelUid(4711))
    receiver.post(parcel, Message(KernelBuffer(bytearray()), 0), b"", receiver)


class Slow(KernelBuffer):
    """A program's memory; in the middle of the copy to it another thread acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(bytearray(1))
        self.act = act

    def put(self, source: Span[u8]) -> int:
        self.act()
        return super().put(source)


class SlowFile(File):
    """A file whose end sleeps, while another thread acts."""

    def __init__(self, act: Callable[[], object]) -> None:
        super().__init__(anonymous_path(b"slow"), O_RDWR)
        self.act = act

    def close(self) -> None:
        self.act()


def is_dead(socket: DatagramSocket) -> bool:
    return socket.is_dead


def sockets(count: int) -> list[DatagramSocket]:
    return [DatagramSocket(0, Credentials(), FIRST_NETWORK) for _ in range(count)]


def test_a_socket_in_its_own_queue_ends() -> None:
    accounts = account_count()
    (socket,) = sockets(1)
    put(socket, [socket])
    socket.release()
    assert not is_dead(socket)  # nobody has looked yet
    assert account_count() == accounts + 1
    collect()
    assert is_dead(socket)
    assert SOCKETS.sockets_under_way == 0
    assert account_count() == accounts


def test_so_many_more_under_way_are_worth_a_look() -> None:
    lost: list[DatagramSocket] = []
    while SOCKETS.sockets_under_way < SOCKETS.collect_at:
        (socket,) = sockets(1)
        put(socket, [socket])
        socket.release()
        lost.append(socket)
        assert not any(is_dead(each) for each in lost)
    collect_if_due()
    assert all(is_dead(each) for each in lost)


def test_a_ring_ends_with_its_last_outside_reference() -> None:
    ring = sockets(3)
    for index, socket in enumerate(ring):
        put(socket, [ring[(index + 1) % 3]])
    ring[0].release()
    ring[1].release()
    collect()
    assert not any(socket.is_dead for socket in ring)
    ring[2].release()
    collect()
    assert all(socket.is_dead for socket in ring)


def test_a_connection_that_waits_keeps_what_lies_in_its_queue() -> None:
    listener, connection, passed = sockets(3)
    put(connection, [passed])
    connection.is_accepted = False  # only now: such a socket's senders sign, and no task runs here
    listener.waiting.append(connection)
    passed.release()
    collect()
    assert not passed.is_dead
    listener.waiting.clear()
    connection.release()
    listener.release()
    assert passed.is_dead


def test_what_lies_in_a_socket_that_is_being_received_stays() -> None:
    """Its datagram has left the queue; another thread looks for garbage while the bytes are copied."""
    receiver, passed, held = sockets(3)
    put(passed, [held])
    put(receiver, [passed])
    passed.release()
    message = Message(Slow(collect), 0)
    message.wants_control = True
    assert receiver.receive(message) == 1
    assert message.control is not None and message.control[0].files == [passed]
    inner = Message(KernelBuffer(bytearray(1)), 0)
    inner.wants_control = True
    assert passed.receive(inner) == 1
    assert inner.control is not None and inner.control[0].files == [held]
    for each in (message.control, inner.control):
        release_files(each)
    assert passed.is_dead and SOCKETS.sockets_under_way == 0
    receiver.release()
    held.release()


def test_datagrams_that_come_while_those_of_an_old_peer_are_dropped_stay() -> None:
    """Closing what was sent with them sleeps: others receive, and the new peer sends."""
    old, new, socket = sockets(3)
    socket.peer = old

    def act() -> None:
        taken.append(len(socket.queue))
        put(socket, [])

    taken: list[int] = []
    slow = SlowFile(act)
    put(socket, [slow])
    put(socket, [])
    slow.release()
    socket._set_peer(new)
    assert taken == [0] and len(socket.queue) == 1
    receiver = Message(KernelBuffer(bytearray(1)), MSG_DONTWAIT)
    assert socket.receive(receiver) == 1
    for each in (socket, new, old):
        each.release()


def test_others_that_become_garbage_while_one_looks_are_found_later(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = sockets(2)

    def act() -> None:
        put(second, [second])
        second.release()
        collect()

    slow = SlowFile(act)
    put(first, [first, slow])
    slow.release()
    monkeypatch.setattr(SUSPICION, "is_raised", False)
    first.release()
    collect()
    assert first.is_dead and not is_dead(second) and SUSPICION.is_raised
    collect()  # as the thread for it does then
    assert is_dead(second)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12),
    st.lists(st.booleans(), min_size=6, max_size=6),
)
def test_exactly_the_unreachable_end(edges: list[tuple[int, int]], kept: list[bool]) -> None:
    nodes = sockets(6)
    for holder, held in edges:
        put(nodes[holder], [nodes[held]])
    reachable = {index for index in range(6) if kept[index]}
    pending = list(reachable)
    while pending:
        holder = pending.pop()
        for source, target in edges:
            if source == holder and target not in reachable:
                reachable.add(target)
                pending.append(target)
    for index in range(6):
        if not kept[index]:
            nodes[index].release()
    collect()
    assert [not node.is_dead for node in nodes] == [index in reachable for index in range(6)]
    for index in range(6):
        if kept[index]:
            nodes[index].release()
    collect()
    assert all(node.is_dead for node in nodes)
    assert SOCKETS.sockets_under_way == 0


def take_one(receiver: DatagramSocket) -> list[File]:
    """The files of the next datagram, if there is one."""
    message = Message(KernelBuffer(bytearray(1)), MSG_DONTWAIT)
    message.wants_control = True
    try:
        receiver.receive(message)
    except Errno:
        return []
    control = message.control or []
    return [file for part in control for file in part.files or []]


class Crowd:
    """Sockets, what processes hold of them, and what lies in their queues, so that what is lost wrongly is seen."""

    def __init__(self, count: int, source: random.Random) -> None:
        self.nodes = sockets(count)
        self.source = source
        self.held = list(range(count))
        self.queues: list[list[int]] = [[] for _ in range(count)]

    def send(self, receiver: int, sent: int) -> None:
        put(self.nodes[receiver], [self.nodes[sent]])
        self.queues[receiver].append(sent)

    def receive(self, receiver: int) -> None:
        found = [self.nodes.index(file) for file in take_one(self.nodes[receiver]) if isinstance(file, DatagramSocket)]
        assert found == self.queues[receiver][:1]
        del self.queues[receiver][:1]
        self.held += found

    def drop(self, node: int) -> None:
        self.held.remove(node)
        self.nodes[node].release()

    def act(self) -> None:
        """Some processes do something."""
        for _ in range(self.source.randrange(4)):
            one, other = self.source.choice(self.held), self.source.choice(self.held)
            match self.source.randrange(6):
                case 0:
                    self.send(other, one)
                case 1 if len(self.held) > 1:
                    self.send(other, one)
                    self.drop(one)
                case 2 | 3:
                    self.receive(one)
                case _ if len(self.held) > 1:
                    self.drop(one)

    def check(self) -> set[int]:
        """What can be reached is alive, with all that lies in it. Returns it."""
        found: set[int] = set()
        left = list(self.held)
        while left:
            node = left.pop()
            if node not in found:
                found.add(node)
                left += self.queues[node]
        for node in found:
            files = [file for parcel in self.nodes[node].queue for file in parcel.files or []]
            assert not self.nodes[node].is_dead
            assert list(map(id, files)) == [id(self.nodes[each]) for each in self.queues[node]]
        return found


@pytest.mark.parametrize("seed", range(200))
def test_others_send_receive_and_close_while_one_looks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process can still reach is whole; the rest ends once nothing moves any more."""
    crowd = Crowd(8, random.Random(seed))

    def others(_cost: int) -> None:
        crowd.act()
        crowd.check()

    for _ in range(10):
        crowd.act()
    with monkeypatch.context() as patch:
        patch.setattr(rights, "pace", others)
        patch.setattr(unreachable, "pace", others)
        for _ in range(3):
            collect()
            crowd.check()
    collect()
    alive = crowd.check()
    assert [not node.is_dead for node in crowd.nodes] == [node in alive for node in range(8)]
    for node in list(crowd.held):
        crowd.drop(node)
    collect()
    assert all(node.is_dead for node in crowd.nodes) and SOCKETS.sockets_under_way == 0


def test_a_socket_that_is_created_while_one_looks_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    holder, sent = sockets(2)
    put(holder, [sent])
    fresh: list[DatagramSocket] = []

    def others(_cost: int) -> None:
        if not fresh and SOCKETS.is_looking:
            fresh.extend(sockets(2))
            put(fresh[0], [fresh[1]])
            fresh[1].release()

    monkeypatch.setattr(unreachable, "pace", others)
    monkeypatch.setattr(SUSPICION, "is_raised", False)
    collect()
    assert len(fresh) == 2 and not fresh[1].is_dead
    assert SUSPICION.is_raised, "what was sent meanwhile is looked at once more"
    for each in (fresh[0], holder, sent):
        each.release()
    collect()
    assert fresh[1].is_dead and sent.is_dead
