"""Netlink sockets whose protocol takes requests: the frame of a request and its answers (netlink(7)).

The answer to a request is an error, an acknowledgement if it asked for one, or what it asked for. A dump is many
messages with NLM_F_MULTI, ended by NLMSG_DONE.

Context: system calls; between requests, and between the messages of a dump, others may run.
"""

from typing import Final

from kernel.lang import EBUSY, ENOMEM, EOPNOTSUPP, Errno
from kernel.lib.credentials import Credentials
from kernel.lib.pace import is_dying, pace
from kernel.net.link import ethernet
from kernel.net.netlink.messages import (
    FIRST_TYPE,
    HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_ACK_TLVS,
    NLM_F_CAPPED,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    MessageWriter,
    Request,
    aligned,
)
from kernel.net.netlink.sent import SentData
from kernel.net.netlink.socket import Datagram, NetlinkSocket

_MISTAKE_OFFSET: Final = 2  # NLMSGERR_ATTR_OFFS
_REQUEST_COST: Final = 20_000  # instructions


class RequestSocket(NetlinkSocket):
    """Base of the protocols that take requests."""

    def wants_dump(self, request: Request) -> bool:
        """Whether a request asks for everything."""
        return False

    def dump(self, request: Request, writer: MessageWriter) -> int:
        """Write everything; returns 0, or the errno that the end of the dump reports. Raises Errno, MemoryError."""
        raise Errno(EOPNOTSUPP)

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        """Carry out another request, and write its answer, if it has one. Raises Errno, MemoryError."""
        raise Errno(EOPNOTSUPP)

    def handle(self, data: SentData, opener: Credentials | None) -> None:
        """Carry out the requests of a datagram, one by one."""
        position = 0
        while data.length - position >= HEADER_SIZE:
            length = data.u32(position)
            if length < HEADER_SIZE or length > data.length - position:
                return
            request = Request(data.part(position, length), self.port, self.network, opener)
            if request.has(NLM_F_REQUEST) and request.kind >= FIRST_TYPE:
                self._handle_one(request)
            elif request.has(NLM_F_ACK):
                self.acknowledge(request, 0, 0)
            ethernet.drain()
            position += aligned(length)
            pace(_REQUEST_COST)
            if is_dying():
                return

    def _handle_one(self, request: Request) -> None:
        error = 0
        try:
            if self.wants_dump(request):
                self._dump(request)
                return
            writer = MessageWriter()
            writer.answer_to(request.sequence, self.port, 0)
            self.carry_out(request, writer)
            if len(writer.data) > 0:
                self.enqueue(Datagram(bytes(writer.data), 0, 0))
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        if error != 0 or request.has(NLM_F_ACK):
            self.acknowledge(request, error, request.mistake if error != 0 else 0)

    def acknowledge(self, request: Request, error: int, mistake: int) -> None:
        """NLMSG_ERROR: the error, 0 for success, and the request's header; after a failure all of it, and the offset of
        its mistake, for sockets that want to know.
        """
        whole = error != 0 and not self.caps_acknowledgements
        tells = mistake != 0 and self.extends_acknowledgements
        writer = MessageWriter()
        flags = (0 if whole else NLM_F_CAPPED) | (NLM_F_ACK_TLVS if tells else 0)
        writer.answer_to(request.sequence, self.port, flags)
        writer.begin(NLMSG_ERROR)
        writer.u32(-error)
        if whole:
            pace(len(request.raw))  # it is copied twice, each time as a whole
        writer.raw(request.raw if whole else request.raw[:HEADER_SIZE])
        if whole:
            pace(len(request.raw))
        writer.pad()
        if tells:
            writer.attribute_u32(_MISTAKE_OFFSET, mistake)
        writer.end()
        self.enqueue(Datagram(bytes(writer.data), 0, 0))

    def _dump(self, request: Request) -> None:
        if self.is_dumping:
            raise Errno(EBUSY)
        self.is_dumping = True
        try:
            writer = MessageWriter()
            writer.answer_to(request.sequence, self.port, NLM_F_MULTI)
            error = self.dump(request, writer)
            writer.begin(NLMSG_DONE)
            writer.u32(-error)
            writer.end()
            self.enqueue_dump(writer.data, writer.parts)
        except (Errno, MemoryError):
            self.is_dumping = False
            raise
