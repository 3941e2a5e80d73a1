"""NETLINK_ROUTE: requests are dispatched here, and answered (rtnetlink(7)).

A request is answered by an error, an acknowledgement if it asked for one, or what it asked for. A dump is many messages
with NLM_F_MULTI, ended by NLMSG_DONE.
"""

from typing import Final

from kernel.lang import EBUSY, ENOMEM, EOPNOTSUPP, EPERM, Errno, span_of
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.net.netlink.interface_addresses import (
    RTM_DELADDR,
    RTM_GETADDR,
    RTM_NEWADDR,
    dump_addresses,
    new_address,
    remove_address,
)
from kernel.net.netlink.links import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK, dump_links, get_link, set_link
from kernel.net.netlink.messages import (
    FIRST_TYPE,
    HEADER_SIZE,
    NLM_F_ACK,
    NLM_F_CAPPED,
    NLM_F_DUMP,
    NLM_F_MULTI,
    NLM_F_REQUEST,
    NLMSG_DONE,
    NLMSG_ERROR,
    MessageWriter,
    Request,
    aligned,
)
from kernel.net.netlink.neighbours import (
    RTM_DELNEIGH,
    RTM_GETNEIGH,
    RTM_NEWNEIGH,
    dump_neighbours,
    get_neighbour,
    new_neighbour,
    remove_neighbour,
)
from kernel.net.netlink.routes import (
    RTM_DELROUTE,
    RTM_GETROUTE,
    RTM_NEWROUTE,
    dump_routes,
    get_route,
    new_route,
    remove_route,
)
from kernel.net.netlink.rules import RTM_GETRULE, dump_rules
from kernel.net.netlink.socket import NETLINK_ROUTE, Datagram, NetlinkSocket
from kernel.net.socket import AF_INET, AF_INET6
from kernel.task import current

_KIND_GET: Final = 2  # the low two bits of a type


class RouteSocket(NetlinkSocket):
    """A socket of NETLINK_ROUTE."""

    def __init__(self, kind: int, credentials: Credentials) -> None:
        super().__init__(kind, NETLINK_ROUTE, credentials)

    def handle(self, data: bytes) -> None:
        """Carry out the requests of a datagram, one after the other."""
        span = span_of(data)
        position = 0
        while len(data) - position >= HEADER_SIZE:
            length = span.load_u32(position)
            if length < HEADER_SIZE or length > len(data) - position:
                return
            request = Request(data[position : position + length], self.port)
            if request.has(NLM_F_REQUEST) and request.kind >= FIRST_TYPE:
                self._handle_one(request)
            elif request.has(NLM_F_ACK):
                self._acknowledge(request, 0)
            position += aligned(length)

    def _handle_one(self, request: Request) -> None:
        error = 0
        is_dump = request.kind & 3 == _KIND_GET and request.flags & NLM_F_DUMP != 0
        try:
            if len(request.raw) > HEADER_SIZE:
                _check_allowed(request)
                if is_dump:
                    self._dump(request)
                    return
                self._carry_out(request)
        except Errno as failure:
            error = failure.code
        except MemoryError:
            error = ENOMEM
        if error != 0 or request.has(NLM_F_ACK):
            self._acknowledge(request, error)

    def _acknowledge(self, request: Request, error: int) -> None:
        """NLMSG_ERROR: the error, 0 for success, and the request's header; after a failure all of it."""
        whole = error != 0 and not self.caps_acknowledgements
        writer = MessageWriter()
        writer.answer_to(request.sequence, self.port, 0 if whole else NLM_F_CAPPED)
        writer.begin(NLMSG_ERROR)
        writer.u32(-error)
        writer.raw(request.raw if whole else request.raw[:HEADER_SIZE])
        writer.pad()
        writer.end()
        self.enqueue(Datagram(bytes(writer.data), 0, 0))

    def _dump(self, request: Request) -> None:
        if self.is_dumping:
            raise Errno(EBUSY)
        writer = MessageWriter()
        writer.answer_to(request.sequence, self.port, NLM_F_MULTI)
        _dump_into(writer, request)
        writer.begin(NLMSG_DONE)
        writer.u32(0)
        writer.end()
        self.enqueue_dump(writer.data)

    def _carry_out(self, request: Request) -> None:
        writer = MessageWriter()
        writer.answer_to(request.sequence, self.port, 0)
        kind = request.kind
        if kind == RTM_GETLINK:
            get_link(request, writer)
        elif kind == RTM_NEWLINK or kind == RTM_SETLINK:
            set_link(request)
        elif kind == RTM_NEWADDR:
            new_address(request)
        elif kind == RTM_DELADDR:
            remove_address(request)
        elif kind == RTM_GETROUTE:
            get_route(request, writer)
        elif kind == RTM_NEWROUTE:
            new_route(request)
        elif kind == RTM_DELROUTE:
            remove_route(request)
        elif kind == RTM_GETNEIGH:
            get_neighbour(request, writer)
        elif kind == RTM_NEWNEIGH:
            new_neighbour(request)
        elif kind == RTM_DELNEIGH:
            remove_neighbour(request)
        else:
            raise Errno(EOPNOTSUPP)
        if len(writer.data) > 0:
            self.enqueue(Datagram(bytes(writer.data), 0, 0))


def _check_allowed(request: Request) -> None:
    """Everybody may ask, root may change. EPERM; EOPNOTSUPP for what there is not."""
    if request.kind & 3 != _KIND_GET and not current().credentials.capable(CAP_NET_ADMIN):
        raise Errno(EPERM)
    is_about_addresses = request.kind == RTM_NEWADDR or request.kind == RTM_DELADDR
    if is_about_addresses or request.kind == RTM_NEWROUTE or request.kind == RTM_DELROUTE:
        family = request.raw[HEADER_SIZE]
        if family != AF_INET and family != AF_INET6:
            raise Errno(EOPNOTSUPP)
    if request.kind == RTM_DELLINK:
        raise Errno(EOPNOTSUPP)


def _dump_into(writer: MessageWriter, request: Request) -> None:
    family = request.raw[HEADER_SIZE]
    kind = request.kind
    if kind == RTM_GETLINK:
        dump_links(writer)
    elif kind == RTM_GETADDR:
        dump_addresses(writer, family)
    elif kind == RTM_GETROUTE:
        dump_routes(writer, family)
    elif kind == RTM_GETNEIGH:
        dump_neighbours(writer, family)
    elif kind == RTM_GETRULE:
        dump_rules(writer, family)
    else:
        raise Errno(EOPNOTSUPP)
