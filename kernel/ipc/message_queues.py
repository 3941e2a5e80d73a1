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
from kernel.lib.pace import PACE, pace, spend, take_rest
from kernel.lib.pid import Bearer, bearer_shown_to_caller
from kernel.lib.settings import SystemSetting
from kernel.mm.keeping import check_room_to_keep
from kernel.sched import WaitQueue

_INT_MAX: Final = 0x7FFF_FFFF
_UNLINK_COST: Final = 30  # instructions for a message, for `pace`
_LOOK_COST: Final = 50
_WAKE_COST: Final = 600  # for a receiver
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
        self.is_queued: bool = False

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
class _Receiver(Linked["_Receiver"]):
    """A thread that waits for a message."""

    def __init__(self, choice: Choice, process: Bearer) -> None:
        super().__init__()
        self.is_listed: bool = False  # as one that waits
        self.wakes: int = 0  # the queue's when it was listed
        self.choice: Choice = choice
        self.process: Bearer = process
        self.message: Message | None = None
        self.error: int = 0
        self.queue: WaitQueue = WaitQueue()

    @inline
    def this(self) -> "_Receiver":
        return self


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
        self.receivers: LinkedList[_Receiver] = LinkedList()
        self.wakes: int = 0  # how often all receivers were woken
        self.room: WaitQueue = WaitQueue()  # senders

    def _fits(self, size: int) -> bool:
        return size + self.byte_count <= self.most_bytes and 1 + self.count <= self.most_bytes

    def send(self, message: Message, credentials: Credentials, process: Bearer, waits: bool) -> None:
        """msgsnd(2). Raises EACCES, EAGAIN, EIDRM, ERESTARTNOHAND, MemoryError."""
        while True:
            self.check_permission(credentials, WRITE)
            if not self._fits(len(message.data)):
                if not waits:
                    raise Errno(EAGAIN)
                sleep_for_message(self.room)
            elif self._is_wanted(message):
                if not self._hand_over(message):
                    check_room_to_keep()
                    self._append(message)
                break
            if self.is_removed:
                raise Errno(EIDRM)
        self.last_sender = process
        self.sent_s = now_s()

    def _append(self, message: Message) -> None:
        message.is_queued = True
        self.messages.link_last(message)
        self._count(1, len(message.data))

    def _count(self, messages: int, size: int) -> None:
        """Count that many messages, and bytes in them, as come or gone."""
        self.count += messages
        self.byte_count += size
        self.owner.message_count += messages
        self.owner.byte_count += size

    def _is_wanted(self, message: Message) -> bool:
        """Receivers that have no room for a message fail. False after some did, with a safe point: then whatever was
        found before must be looked at again. Those that another message concerns are passed over without one: there
        are no more than threads.
        """
        receiver = self.receivers.first()
        while receiver is not None:
            following = receiver.after()
            if receiver.choice.matches(message):
                if receiver.choice.takes(message):
                    return True
                self._wake(receiver, E2BIG)
                spend(_WAKE_COST)
                if PACE.left < 0:
                    take_rest()
                    return False
            receiver = following
        return True

    def _hand_over(self, message: Message) -> bool:
        """Give a message to a waiting receiver that has room for it."""
        receiver = self.receivers.first()
        while receiver is not None:
            if receiver.choice.matches(message) and receiver.choice.takes(message):
                receiver.message = message
                self.last_receiver = receiver.process
                self.received_s = now_s()
                self._wake(receiver, 0)
                return True
            receiver = receiver.after()
        return False

    def _wake(self, receiver: _Receiver, error: int) -> None:
        """A listed receiver waits no more."""
        self._unlist(receiver)
        receiver.error = error
        receiver.queue.wake_all()

    def _list(self, receiver: _Receiver) -> None:
        receiver.is_listed = True
        self.receivers.link_last(receiver)

    def _unlist(self, receiver: _Receiver) -> None:
        if receiver.is_listed:
            receiver.is_listed = False
            self.receivers.unlink(receiver)

    def receive(self, choice: Choice, credentials: Credentials, process: Bearer, waits: bool) -> Message:
        """msgrcv(2). Raises EACCES, E2BIG, EIDRM, ENOMSG, ERESTARTNOHAND, MemoryError."""
        while True:
            if self.is_removed:
                raise Errno(EIDRM)
            self.check_permission(credentials, READ)
            message = self._find(choice)
            if self.is_removed:
                raise Errno(EIDRM)  # while the search rested
            if message is not None:
                if not choice.takes(message):
                    raise Errno(E2BIG)
                if choice.mode != NUMBER:
                    self._take(message, process)
                return message
            if not waits:
                raise Errno(ENOMSG)
            receiver = _Receiver(choice, process)
            receiver.wakes = self.wakes
            self._list(receiver)
            try:
                sleep_for_message(receiver.queue)
            except (Errno, MemoryError):
                handed = receiver.message
                if handed is not None:
                    return handed
                self._unlist(receiver)
                raise
            given = receiver.message
            if given is not None:
                return given
            if receiver.error != 0 and receiver.error != EAGAIN:
                raise Errno(receiver.error)
            self._unlist(receiver)

    def _find(self, choice: Choice) -> Message | None:
        """The message to receive. Sleeps if there are very many. Others may take messages meanwhile: if they took that
        from which to go on, or the best one, the search begins anew. New ones come at the end, and are met.
        """
        while True:
            found = self._search(choice)
            if found is None or found.is_queued:
                return found

    def _search(self, choice: Choice) -> Message | None:
        """A message that is not queued any more stands for a search that broke off."""
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
            pace(_LOOK_COST)
            if not message.is_queued:
                return message
            message = message.after()
        return best

    def _take(self, message: Message, process: Bearer) -> None:
        message.is_queued = False
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
        """Wake all that wait now. Sleeps if they are many: those that come meanwhile stand behind them."""
        self.wakes += 1
        receiver = self.receivers.first()
        while receiver is not None and receiver.wakes < self.wakes:
            self._wake(receiver, error)
            pace(_WAKE_COST)
            receiver = self.receivers.first()

    def remove(self) -> None:
        """IPC_RMID."""
        self.owner.table.remove(self)
        self._wake_receivers(EIDRM)
        self.room.wake_all()
        self._count(-self.count, -self.byte_count)
        message = self.messages.first()
        while message is not None:
            message.is_queued = False
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
