"""NETLINK_ROUTE: dispatches requests, and sends the answers (rtnetlink(7))."""

from typing import Final

from kernel.lang import EOPNOTSUPP, EPERM, Errno
from kernel.lib.capabilities import CAP_NET_ADMIN
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.netlink.bridge_links import AF_BRIDGE, dump_bridge_links, set_bridge_link
from kernel.net.netlink.forwarding_entries import dump_entries, get_entry, new_entry, remove_entry
from kernel.net.netlink.interface_addresses import (
    RTM_DELADDR,
    RTM_GETADDR,
    RTM_NEWADDR,
    dump_addresses,
    new_address,
    remove_address,
)
from kernel.net.netlink.link_names import RTM_DELLINK, RTM_GETLINK, RTM_NEWLINK, RTM_SETLINK
from kernel.net.netlink.links import LinkFilter, dump_links, get_link, remove_link, set_link
from kernel.net.netlink.messages import (
    HEADER_SIZE,
    NLM_F_DUMP,
    NLM_F_DUMP_FILTERED,
    NLM_F_MULTI,
    MessageWriter,
    Request,
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
from kernel.net.netlink.network_ids import RTM_GETNSID, RTM_NEWNSID, dump_ids, get_id, new_id
from kernel.net.netlink.request_socket import RequestSocket
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
from kernel.net.netlink.socket import NETLINK_ROUTE
from kernel.net.sockets.socket import AF_INET, AF_INET6
from kernel.task import current

_KIND_GET: Final = 2  # the low two bits of a type
# Groups of multicast routing's own messages, as bits: RTNLGRP_IPV4_MROUTE_R and RTNLGRP_IPV6_MROUTE_R.
_FOR_ADMINISTRATORS: Final = 1 << 29 | 1 << 30


class RouteSocket(RequestSocket):
    """A socket of NETLINK_ROUTE."""

    def __init__(self, kind: int, credentials: Credentials, network: Network) -> None:
        super().__init__(kind, NETLINK_ROUTE, credentials, network)

    def _set_groups(self, groups: int) -> None:
        """Raises EPERM, MemoryError."""
        if groups & ~self.groups & _FOR_ADMINISTRATORS != 0:
            if not current().credentials.capable_in(self.network.owner, CAP_NET_ADMIN):
                raise Errno(EPERM)
        super()._set_groups(groups)

    def wants_dump(self, request: Request) -> bool:
        return len(request.raw) > HEADER_SIZE and request.kind & 3 == _KIND_GET and request.flags & NLM_F_DUMP != 0

    def dump(self, request: Request, writer: MessageWriter) -> int:
        family = request.raw[HEADER_SIZE]
        kind = request.kind
        if kind == RTM_GETLINK and family == AF_BRIDGE:
            dump_bridge_links(self.network, writer)
        elif kind == RTM_GETLINK:
            wanted = LinkFilter(request.raw)
            if not wanted.is_empty():
                writer.answer_to(request.sequence, self.port, NLM_F_MULTI | NLM_F_DUMP_FILTERED)
            dump_links(self.network, writer, wanted)
            writer.answer_to(request.sequence, self.port, NLM_F_MULTI)  # every dump ends so
        elif kind == RTM_GETADDR:
            dump_addresses(self.network, writer, family)
        elif kind == RTM_GETROUTE:
            dump_routes(self.network, writer, family)
        elif kind == RTM_GETNEIGH and family == AF_BRIDGE:
            dump_entries(self.network, writer, request.raw)
        elif kind == RTM_GETNEIGH:
            dump_neighbours(self.network, writer, family)
        elif kind == RTM_GETNSID:
            dump_ids(self.network, writer)
        elif kind == RTM_GETRULE:
            dump_rules(writer, family)
        else:
            raise Errno(EOPNOTSUPP)
        return 0

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        if len(request.raw) == HEADER_SIZE:
            return
        _check_allowed(request)
        kind = request.kind
        if request.raw[HEADER_SIZE] == AF_BRIDGE and _carry_out_bridge(request, writer):
            return
        if kind == RTM_GETLINK:
            get_link(request, writer)
        elif kind == RTM_NEWLINK or kind == RTM_SETLINK:
            set_link(request)
        elif kind == RTM_DELLINK:
            remove_link(request)
        elif kind == RTM_NEWNSID:
            new_id(request)
        elif kind == RTM_GETNSID:
            get_id(request, writer)
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


def _carry_out_bridge(request: Request, writer: MessageWriter) -> bool:
    """Handle requests about bridges' ports and tables. False: the request means the same as without that family."""
    kind = request.kind
    if kind == RTM_SETLINK:
        set_bridge_link(request)
    elif kind == RTM_DELLINK:
        raise Errno(EOPNOTSUPP)
    elif kind == RTM_NEWNEIGH:
        new_entry(request)
    elif kind == RTM_DELNEIGH:
        remove_entry(request)
    elif kind == RTM_GETNEIGH:
        get_entry(request, writer)
    else:
        return False
    return True


def _check_allowed(request: Request) -> None:
    """Anyone may ask; the network's administrator may change. EPERM; EOPNOTSUPP for unknown requests."""
    if request.kind & 3 != _KIND_GET:
        owner = request.network.owner
        opener = request.opener
        if not current().credentials.capable_in(owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
        if opener is not None and not opener.capable_in(owner, CAP_NET_ADMIN):
            raise Errno(EPERM)
    is_about_addresses = request.kind == RTM_NEWADDR or request.kind == RTM_DELADDR
    if is_about_addresses or request.kind == RTM_NEWROUTE or request.kind == RTM_DELROUTE:
        family = request.raw[HEADER_SIZE]
        if family != AF_INET and family != AF_INET6:
            raise Errno(EOPNOTSUPP)
