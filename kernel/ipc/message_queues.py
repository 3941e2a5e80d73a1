"""Message queues of System V: messages with types, taken by type (msgsnd(2), msgrcv(2), msgctl(2)).

A message goes to the first receiver that waits for one like it, else into the queue. Senders that find no room wait in
order of arrival.

Context: `send` and `receive` sleep. Source: msgop(2), msgctl(2), sysvipc(7).
"""

from typing import Final

from kernel.ipc.sysv import LOOK_COST, READ, WRITE, IpcObject, IpcTable, now_s
from kernel.lang import (
    E2BIG,
    EAGAIN,
    EIDRM,
    ENOMSG,
    ENOSPC,
    EPERM,
    ERESTARTNOHAND,
    ERESTARTSYS,
    Errno,
    final,
    inline,
    sleeps,
)
from kernel.lib.capabilities import CAP_SYS_RESOURCE
from kernel.lib.credentials import Credentials
from kernel.lib.linked import Linked, LinkedList
from kernel.lib.namespace import UserNamespace
from kernel.lib.pace import pace
from kernel.lib.pid import Bearer, bearer_shown_to_caller
from kernel.lib.settings import SystemSetting
from kernel.mm.keeping import check_room_to_keep
from kernel.sched import WaitQueue

_INT_MAX: Final = 0x7FFF_FFFF
_UNLINK_COST: Final = 30  # instructions for a message, for `pace`
_REMOVE_COST: Final = 2000  # and for a queue
LARGEST_MESSAGE: Final = SystemSetting(b"kernel/msgmax", [8192], 0, _INT_MAX)  # bytes
QUEUE_BYTES: Final = SystemSetting(b"kernel/msgmnb", [16384], 0, _INT_MAX)  # of a new queue
MOST_QUEUES: Final = SystemSetting(b"kernel/msgmni", [32000], 0, 1 << 15)

# How a receiver selects a message.
ANY: Final = 0
EQUAL: Final = 1
NOT_EQUAL: Final = 2
LESS_EQUAL: Final = 3  # the lowest type that is not above
NUMBER: Final = 4  # the message at an index of the queue (MSG_COPY)


@final
class Message(Linked["Message"]):
    """One message."""

    def __init__(self, kind: int, data: bytes) -> None:
        super().__init__()
        self.kind: int = kind  # its type, at least 1
        self.data: bytes = data

    @inline
    def this(self) -> "Message":
        return self


@final
class Choice:
    """A receiver's selection."""

    def __init__(self, mode: int, kind: int, most_bytes: int, cuts: bool) -> None:
        self.mode: int = mode
        self.kind: int = kind
        self.most_bytes: int = most_bytes
        self.cuts: bool = cuts  # MSG_NOERROR: a message that is too long is truncated

    def matches(self, message: Message) -> bool:
        """Whether a message matches."""
        if self.mode == EQUAL:
            return message.kind == self.kind
        if self.mode == NOT_EQUAL:
            return message.kind != self.kind
        if self.mode == LESS_EQUAL:
            return message.kind <= self.kind
        return True

    def takes(self, message: Message) -> bool:
        """Whether the receiver has room for it."""
        return self.cuts or len(message.data) <= self.most_bytes


@final
class _Receiver:
    """A thread that waits for a message."""

    def __init__(self, choice: Choice, process: Bearer) -> None:
        self.choice: Choice = choice
        self.process: Bearer = process
        self.message: Message | None = None
        self.error: int = 0
        self.queue: WaitQueue = WaitQueue()


@final
class MessageQueue(IpcObject):
    """One queue.

    Its messages are linked: a list of 16,384 of them would need contiguous memory, of which there is none when a
    program has filled memory with messages.
    """

    def __init__(self, owner: "Queues", key: int, mode: int, creator: Credentials) -> None:
        super().__init__(key, mode, creator, owner.user_namespace)
        self.owner: Queues = owner
        self.messages: LinkedList[Message] = LinkedList()  # oldest first
        self.count: int = 0
        self.byte_count: int = 0
        self.most_bytes: int = QUEUE_BYTES.value
        self.sent_s: int = 0
        self.received_s: int = 0
        self.last_sender: Bearer | None = None
        self.last_receiver: Bearer | None = None
        self.receivers: list[_Receiver] = []
        self.room: WaitQueue = WaitQueue()  # senders

    def _fits(self, size: int) -> bool:
        return size + self.byte_count <= self.most_bytes and 1 + self.count <= self.most_bytes

    def send(self, message: Message, credentials: Credentials, process: Bearer, waits: bool) -> None:
        """msgsnd(2). Raises EACCES, EAGAIN, EIDRM, ERESTARTNOHAND, MemoryError."""
        while True:
            self.check_permission(credentials, WRITE)
            if self._fits(len(message.data)):
                break
            if not waits:
                raise Errno(EAGAIN)
            sleep_for_message(self.room)
            if self.is_removed:
                raise Errno(EIDRM)
        if not self._hand_over(message):
            check_room_to_keep()
            self._append(message)
        self.last_sender = process
        self.sent_s = now_s()

    def _append(self, message: Message) -> None:
        self.messages.link_last(message)
        self._count(1, len(message.data))

    def _count(self, messages: int, size: int) -> None:
        """Count that many messages, and bytes in them, as come or gone."""
        self.count += messages
        self.byte_count += size
        self.owner.message_count += messages
        self.owner.byte_count += size

    def _hand_over(self, message: Message) -> bool:
        """Give a message to a waiting receiver. Receivers that have no room for it fail."""
        index = 0
        while index < len(self.receivers):
            receiver = self.receivers[index]
            if not receiver.choice.matches(message):
                index += 1
                continue
            self.receivers.pop(index)
            receiver.queue.wake_all()
            if receiver.choice.takes(message):
                receiver.message = message
                self.last_receiver = receiver.process
                self.received_s = now_s()
                return True
            receiver.error = E2BIG
        return False

    def receive(self, choice: Choice, credentials: Credentials, process: Bearer, waits: bool) -> Message:
        """msgrcv(2). Raises EACCES, E2BIG, EIDRM, ENOMSG, ERESTARTNOHAND, MemoryError."""
        while True:
            if self.is_removed:
                raise Errno(EIDRM)
            self.check_permission(credentials, READ)
            message = self._find(choice)
            if message is not None:
                if not choice.takes(message):
                    raise Errno(E2BIG)
                if choice.mode != NUMBER:
                    self._take(message, process)
                return message
            if not waits:
                raise Errno(ENOMSG)
            receiver = _Receiver(choice, process)
            self.receivers.append(receiver)
            try:
                sleep_for_message(receiver.queue)
            except (Errno, MemoryError):
                handed = receiver.message
                if handed is not None:
                    return handed
                if receiver in self.receivers:
                    self.receivers.remove(receiver)
                raise
            given = receiver.message
            if given is not None:
                return given
            if receiver.error != 0 and receiver.error != EAGAIN:
                raise Errno(receiver.error)
            if receiver in self.receivers:
                self.receivers.remove(receiver)

    def _find(self, choice: Choice) -> Message | None:
        """The message to receive."""
        best: Message | None = None
        number = 0
        message = self.messages.first()
        while message is not None:
            if choice.mode == NUMBER:
                if number == choice.kind:
                    return message
            elif choice.matches(message):
                if choice.mode != LESS_EQUAL:
                    return message
                if best is None or message.kind < best.kind:
                    best = message
            number += 1
            message = message.after()
        return best

    def _take(self, message: Message, process: Bearer) -> None:
        self.messages.unlink(message)
        self._count(-1, -len(message.data))
        self.last_receiver = process
        self.received_s = now_s()
        self.room.wake_all()

    def change(self, uid: int, gid: int, mode: int, most_bytes: int, credentials: Credentials) -> None:
        """IPC_SET. Waiting threads check again: permissions and room may have changed."""
        if most_bytes > QUEUE_BYTES.value and not credentials.capable(CAP_SYS_RESOURCE):
            raise Errno(EPERM)
        self.set_owner(uid, gid, mode)
        self.most_bytes = most_bytes
        self._wake_receivers(EAGAIN)
        self.room.wake_all()

    def _wake_receivers(self, error: int) -> None:
        while len(self.receivers) > 0:
            receiver = self.receivers.pop()
            receiver.error = error
            receiver.queue.wake_all()

    def remove(self) -> None:
        """IPC_RMID."""
        self.owner.table.remove(self)
        self._wake_receivers(EIDRM)
        self.room.wake_all()
        self._count(-self.count, -self.byte_count)
        message = self.messages.first()
        while message is not None:
            self.messages.unlink(message)
            pace(_UNLINK_COST)
            message = self.messages.first()


@sleeps
def sleep_for_message(queue: WaitQueue) -> None:
    """Sleep; a signal with a handler ends the call for good (signal(7))."""
    code = 0
    try:
        queue.sleep(interruptible=True)
    except Errno as error:
        code = error.code
    if code != 0:
        raise Errno(ERESTARTNOHAND if code == ERESTARTSYS else code)


@final
class Queues:
    """All queues of a namespace."""

    def __init__(self, user_namespace: UserNamespace) -> None:
        self.user_namespace: UserNamespace = user_namespace
        self.table: IpcTable[MessageQueue] = IpcTable()
        self.byte_count: int = 0
        self.message_count: int = 0

    def open(self, key: int, flags: int, credentials: Credentials) -> int:
        """msgget(2): the number of the queue with this key, created if need be. Raises ENOENT, EEXIST, EACCES, ENOSPC,
        MemoryError.
        """
        found = self.table.find(key, flags)
        if found is not None:
            found.check_permission(credentials, flags)
            return found.identifier
        if len(self.table.objects) >= MOST_QUEUES.value:
            raise Errno(ENOSPC)
        check_room_to_keep()
        return self.table.add(MessageQueue(self, key, flags, credentials))

    def remove_all(self) -> None:
        """Their namespace ends: remove all. Has safe points."""
        for index in range(self.table.highest_index() + 1):
            queue = self.table.objects.get(index)
            if queue is not None:
                queue.remove()
                pace(_REMOVE_COST)
            pace(LOOK_COST)


HEADING: Final = (
    b"       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      stime      rtime"
    b"      ctime\n"
)


def queue_line(found: MessageQueue) -> bytes:
    """A line of /proc/sysvipc/msg."""
    return (
        f"{found.key:10d} {found.identifier:10d}  {found.mode:4o}  {found.byte_count:10d} {found.count:10d}"
        f" {bearer_shown_to_caller(found.last_sender):5d} {bearer_shown_to_caller(found.last_receiver):5d}"
        f"{found.owner_columns()}"
        f" {found.sent_s:10d} {found.received_s:10d} {found.changed_s:10d}\n"
    ).encode()
