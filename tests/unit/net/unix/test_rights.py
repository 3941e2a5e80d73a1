"""Descriptors under way in unix sockets: which sockets stay, and which nobody can reach any more."""

from hypothesis import given, settings
from hypothesis import strategies as st

from kernel.fs.file import File
from kernel.lib.credentials import Credentials
from kernel.lib.ids import KernelUid
from kernel.lib.user import KernelBuffer
from kernel.lib.user_account import account_count
from kernel.net.link.network import FIRST_NETWORK
from kernel.net.sockets.socket import Message
from kernel.net.unix.datagram import DatagramSocket
from kernel.net.unix.parcel import Parcel
from kernel.net.unix.rights import SOCKETS, collect, collect_if_due, send_files


def put(receiver: DatagramSocket, files: list[File]) -> None:
    """Let descriptors of `files` lie in a socket's queue."""
    parcel = Parcel(1, receiver)
    parcel.end = 1
    for file in files:
        file.acquire()
    send_files(parcel, files, KernelUid(4711))
    receiver.post(parcel, Message(KernelBuffer(bytearray()), 0), b"", receiver)


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
