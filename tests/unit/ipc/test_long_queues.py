"""Message queues with very many messages and receivers: searched and woken with safe points, while others go on."""

import pytest

from kernel.ipc import message_queues
from kernel.ipc.message_queues import ANY, EQUAL, LESS_EQUAL, Choice, Message, MessageQueue, Queues, _Receiver
from kernel.lang import E2BIG, EAGAIN, EIDRM, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pid import Bearer, Pid
from tests.unit.effort import FEW, longest_stretch
from tests.unit.meanwhile import meanwhile

ROOT = Credentials()
SOMEBODY = Bearer(Pid(7))
CREATE = 0o1600


@pytest.fixture
def queue() -> MessageQueue:
    queues = Queues(FIRST_USER)
    queue = queues.table.get(queues.open(0, CREATE, ROOT))
    queue.most_bytes = 1 << 20
    return queue


def send(queue: MessageQueue, kind: int, size: int = 1) -> Message:
    message = Message(kind, bytes(size))
    queue.send(message, ROOT, SOMEBODY, waits=False)
    return message


def receive(queue: MessageQueue, choice: Choice) -> Message:
    return queue.receive(choice, ROOT, SOMEBODY, waits=False)


def of_kind(kind: int, mode: int = EQUAL) -> Choice:
    return Choice(mode, kind, 100, cuts=False)


def wait(queue: MessageQueue, choice: Choice) -> _Receiver:
    receiver = _Receiver(choice, SOMEBODY)
    receiver.wakes = queue.wakes
    queue._list(receiver)
    return receiver


def test_a_long_queue_is_searched_with_safe_points(queue: MessageQueue) -> None:
    for _ in range(20_000):
        send(queue, 1)
    last = send(queue, 2)
    found: list[Message] = []
    assert longest_stretch(lambda: found.append(receive(queue, of_kind(2)))) < 2 * FEW
    assert found == [last]


@pytest.mark.parametrize("mode", [EQUAL, LESS_EQUAL])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_messages_are_taken_while_one_is_searched(queue: MessageQueue, mode: int, number: int) -> None:
    """Where the search goes on from, and what it has found so far."""
    for kind in (9, 8, 9, 3, 9, 3):
        send(queue, kind)

    def take() -> None:
        for _ in range(4):
            receive(queue, of_kind(0, ANY))

    with meanwhile(take, number):
        message = receive(queue, of_kind(3, mode))
    assert message.kind == 3 and not message.is_queued
    assert queue.count == 1 and [each.kind for each in left(queue)] == [9]


def left(queue: MessageQueue) -> list[Message]:
    found = []
    message = queue.messages.first()
    while message is not None:
        found.append(message)
        message = message.after()
    return found


def test_a_queue_is_removed_while_it_is_searched(queue: MessageQueue) -> None:
    for kind in (9, 8, 9, 3):
        send(queue, kind)
    with meanwhile(queue.remove, 2), pytest.raises(Errno) as caught:
        receive(queue, of_kind(3))
    assert caught.value.code == EIDRM


def test_very_many_receivers_are_woken_with_safe_points(queue: MessageQueue) -> None:
    """Those that come back meanwhile wait on."""
    receivers = [wait(queue, of_kind(1)) for _ in range(20)]
    again: list[_Receiver] = []
    with meanwhile(lambda: again.append(wait(queue, of_kind(1))), 3):
        queue._wake_receivers(EAGAIN)
    assert all(each.error == EAGAIN and not each.is_listed for each in receivers)
    assert again[0].is_listed and again[0].error == 0


def test_receivers_without_room_fail_with_safe_points(queue: MessageQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message comes to the first that has room; the queue may be full by then."""
    monkeypatch.setattr(message_queues, "_WAKE_COST", 1 << 20)
    small = [wait(queue, Choice(ANY, 0, 1, cuts=False)) for _ in range(5)]
    large = wait(queue, Choice(ANY, 0, 100, cuts=False))
    with meanwhile(lambda: None, 4):
        message = send(queue, 1, size=10)
    assert [each.error for each in small] == [E2BIG] * 5 and large.message is message
    other = [wait(queue, Choice(ANY, 0, 1, cuts=False)) for _ in range(5)]

    def fill() -> None:
        queue.most_bytes = 0

    with meanwhile(fill, 2), pytest.raises(Errno) as caught:
        send(queue, 1, size=10)
    assert caught.value.code == EAGAIN and [each.error for each in other] == [E2BIG, E2BIG, 0, 0, 0]
