"""NETLINK_NETFILTER: requests to the parts of netfilter, and batches of them (libmnl's and libnftnl's protocol).

A message's type names a part, its subsystem, and the operation. Changes to rules come in batches: messages
between NFNL_MSG_BATCH_BEGIN and NFNL_MSG_BATCH_END, which take effect all together, or not at all. After a message
that fails, the others are still examined, so that a program learns of all its mistakes; the answers follow at the
end.

Only the network's administrator may send any request.

Context: system calls; between messages others may run.
Source: linux/netfilter/nfnetlink.h (numbers), netlink(7).
"""

from typing import Final

from kernel.lang import EINVAL, ENOMEM, EOPNOTSUPP, EPERM, ERESTART, Errno, final, span_of
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.lib.pace import is_dying, pace
from kernel.net.link import ethernet
from kernel.net.link.network import Network
from kernel.net.netlink.messages import (
    FIRST_TYPE,
    HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_REQUEST,
    MessageWriter,
    Request,
    aligned,
    find_attribute,
)
from kernel.net.netlink.request_socket import RequestSocket
from kernel.net.netlink.sent import SentData
from kernel.net.netlink.socket import NETLINK_NETFILTER
from kernel.net.netlink.subsystems import NETFILTER_HEADER, SUBSYSTEMS, Subsystem, subsystem_of
from kernel.task import current

HEADER: Final = NETFILTER_HEADER  # family, version, a number for the subsystem
_BATCH_BEGIN: Final = 0x10
_BATCH_END: Final = 0x11
_GENERATION: Final = 1  # NFNL_BATCH_GENID
_NFTABLES: Final = 10  # NFNL_SUBSYS_NFTABLES
_ANSWER_COST: Final = 2000
_MESSAGE_COST: Final = 20_000  # instructions
_MOST_ERRORS: Final = 1024  # of a batch: the others are not reported


class Batch:
    """Changes that take effect together. Base class."""

    def add(self, request: Request) -> None:
        """Process a message. Raises Errno, MemoryError: the batch will fail."""
        raise Errno(EINVAL)

    def commit(self) -> None:
        """Put all changes into effect. Raises Errno, MemoryError, with nothing done; then `abort` follows."""

    def culprit(self) -> Request | None:
        """The message at which `commit` failed; None: the batch as a whole."""
        return None

    def abort(self) -> None:
        """Discard all changes."""


class BatchingSubsystem(Subsystem):
    """A subsystem that takes batches. Base class."""

    def begin(self, first: Request, generation: int) -> Batch:
        """Begin a batch, for a program that knows this generation (0: any). Sleeps while there is another batch in the
        network. Raises ERESTART, MemoryError.
        """
        raise Errno(EOPNOTSUPP)

    def end(self, network: Network) -> None:
        """The batch is over: others may begin."""


@final
class Answer:
    """An acknowledgment that waits for the batch's end."""

    def __init__(self, request: Request, error: int, place: int) -> None:
        self.request: Request = request
        self.error: int = error
        self.place: int = place


def _subsystem(request: Request) -> Subsystem:
    """Raises EINVAL."""
    found = subsystem_of(request)
    if found is None:
        raise Errno(EINVAL)
    return found


class FilterSocket(RequestSocket):
    """A socket of NETLINK_NETFILTER."""

    def __init__(self, kind: int, credentials: Credentials, network: Network) -> None:
        super().__init__(kind, NETLINK_NETFILTER, credentials, network)

    def handle(self, data: SentData, opener: Credentials | None) -> None:
        if data.length < HEADER_SIZE:
            return
        length = data.u32(0)
        if length < HEADER_SIZE or length > data.length:
            return
        request = Request(data.part(0, length), self.port, self.network, opener)
        owner = self.network.owner
        is_allowed = current().credentials.capable_in(owner, CAP_NET_ADMIN)
        if not is_allowed or (opener is not None and not opener.capable_in(owner, CAP_NET_ADMIN)):
            self.acknowledge(request, EPERM, 0)
        elif request.kind == _BATCH_BEGIN:
            self._handle_batch(request, data, opener)
        else:
            super().handle(data, opener)

    def _set_groups(self, groups: int) -> None:
        """Only administrators of the network may listen to others' connections and rules. Raises EPERM, MemoryError."""
        joins = groups & ~self.groups != 0
        if joins and not current().credentials.capable_in(self.network.owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        super()._set_groups(groups)

    # ---- Single requests --------------------------------------------------------------------------------------

    def wants_dump(self, request: Request) -> bool:
        if len(request.raw) < HEADER_SIZE + HEADER:
            return False
        return _subsystem(request).wants_dump(request)

    def dump(self, request: Request, writer: MessageWriter) -> int:
        return _subsystem(request).dump(request, writer)

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        if len(request.raw) >= HEADER_SIZE + HEADER:
            _subsystem(request).carry_out(request, writer)

    # ---- Batches ----------------------------------------------------------------------------------------------

    def _handle_batch(self, first: Request, data: SentData, opener: Credentials | None) -> None:
        """Handle all batches of a datagram: after the end of one, another may begin."""
        if len(first.raw) < HEADER_SIZE + HEADER:
            return
        number = span_of(first.raw).load_be16(HEADER_SIZE + 2)
        if span_of(first.raw).load_u16(HEADER_SIZE + 2) == _NFTABLES:
            number = _NFTABLES  # old programs wrote it in the machine's byte order
        subsystem = SUBSYSTEMS[number] if number < len(SUBSYSTEMS) else None
        if not isinstance(subsystem, BatchingSubsystem):
            self.acknowledge(first, EOPNOTSUPP, 0)
            return
        try:
            attribute = find_attribute(first.raw, HEADER_SIZE + HEADER, _GENERATION)
            generation = span_of(attribute).load_be32(0) if len(attribute) >= 4 else 0
            batch = subsystem.begin(first, generation)
        except Errno as failure:
            self.acknowledge(first, failure.code, 0)
            return
        try:
            self._fill(batch, first, data, number, opener)
        except (Errno, MemoryError):
            batch.abort()
            raise
        finally:
            subsystem.end(self.network)

    def _fill(self, batch: Batch, first: Request, data: SentData, number: int, opener: Credentials | None) -> None:
        """Process the messages of a batch, and put it into effect if it is complete and nothing failed."""
        answers: list[Answer] = []
        if first.has(NLM_F_ACK):
            answers.append(Answer(first, 0, 0))
        has_failed = False
        is_complete = False
        position = aligned(len(first.raw))
        last = first
        while data.length - position >= HEADER_SIZE:
            length = data.u32(position)
            if length < HEADER_SIZE + HEADER or length > data.length - position:
                answers.clear()
                has_failed = True
                break
            request = Request(data.part(position, length), self.port, self.network, opener)
            position += aligned(length)
            if request.has(NLM_F_REQUEST) and request.kind == _BATCH_BEGIN:
                answers.clear()
                has_failed = True
                break
            if request.has(NLM_F_REQUEST) and request.kind == _BATCH_END:
                is_complete = True
                last = request
                break
            error = self._add(batch, request, number)
            if error != 0:
                has_failed = True
            if (error != 0 or request.has(NLM_F_ACK)) and len(answers) < _MOST_ERRORS:
                answers.append(Answer(request, error, request.mistake if error != 0 else 0))
            pace(_MESSAGE_COST)
            if is_dying():
                has_failed = True
                break
        error = 0
        if is_complete and not has_failed:
            error = self._commit(batch)
            if error != 0:
                culprit = batch.culprit()
                if culprit is None:
                    self.acknowledge(first, error, 0)
                else:
                    _blame(answers, culprit, error)
            elif last.has(NLM_F_ACK):
                answers.append(Answer(last, 0, 0))
        if has_failed or not is_complete or error != 0:
            batch.abort()
        for answer in answers:
            self.acknowledge(answer.request, answer.error, answer.place)
            pace(_ANSWER_COST)
        ethernet.drain()

    def _add(self, batch: Batch, request: Request, number: int) -> int:
        """Add a message to the batch. Returns an errno, 0 for success."""
        if not request.has(NLM_F_REQUEST) or request.kind < FIRST_TYPE or request.kind >> 8 != number:
            return EINVAL
        try:
            batch.add(request)
        except Errno as failure:
            return failure.code
        except MemoryError:
            return ENOMEM
        return 0

    def _commit(self, batch: Batch) -> int:
        try:
            batch.commit()
        except Errno as failure:
            return failure.code
        except MemoryError:
            return ENOMEM
        return 0


def _blame(answers: list[Answer], culprit: Request, error: int) -> None:
    """Answer a message that seemed right with an error."""
    for answer in answers:
        if answer.request is culprit:
            answer.error = error
            return
    answers.append(Answer(culprit, error, 0))


def check_generation(known: int, present: int) -> None:
    """Check that a program's view is current. Raises ERESTART."""
    if known != 0 and known != present:
        raise Errno(ERESTART)
