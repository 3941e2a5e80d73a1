"""RTM_NEWNSID, RTM_GETNSID: how networks name each other (ip-netns(8), "set" and "list-id").

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, Errno, span_of
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import check_room_to_keep
from kernel.net.link.network import Network
from kernel.net.link.network_ids import NETWORK_IDS, NOT_ASSIGNED
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.netlink.target_network import network_of_descriptor, network_of_process
from kernel.net.sockets.socket_options import int_of

RTM_NEWNSID: Final = 88
RTM_GETNSID: Final = 90

_NSID: Final = 1
_PID: Final = 2
_FD: Final = 3
_HEADER: Final = 1  # struct rtgenmsg
_ID_COST: Final = 1_000  # instructions
_WORD: Final = 0xFFFF_FFFF


def _named(request: Request) -> Network:
    """The network that a request names by a process or a descriptor. Raises EINVAL, ESRCH, EBADF."""
    process = request.attribute(_PID)
    descriptor = request.attribute(_FD)
    if len(process) >= 4:
        return network_of_process(span_of(process).load_u32(0))
    if len(descriptor) >= 4:
        return network_of_descriptor(int_of(descriptor))
    raise Errno(EINVAL)


def new_id(request: Request) -> None:
    """RTM_NEWNSID: give a network this id, or with -1 any free one. Raises EINVAL, ESRCH, EBADF, EEXIST."""
    request.payload(_HEADER)
    wanted = request.attribute(_NSID)
    if len(wanted) < 4:
        raise Errno(EINVAL)
    identifier = int_of(wanted)
    other = _named(request)
    check_room_to_keep()
    NETWORK_IDS.assign(request.network, other, identifier if identifier >= 0 else NOT_ASSIGNED)


def get_id(request: Request, writer: MessageWriter) -> None:
    """RTM_GETNSID: the id of another network, -1 for none."""
    request.payload(_HEADER)
    identifier = int_of(request.attribute(_NSID) + bytes(4))
    if len(request.attribute(_NSID)) >= 4:
        if NETWORK_IDS.network_named(request.network, identifier) == 0:
            identifier = NOT_ASSIGNED
    else:
        identifier = NETWORK_IDS.find(request.network, _named(request))
    _put(writer, identifier)


def dump_ids(network: Network, writer: MessageWriter) -> None:
    """Write all ids that a network has given. May sleep."""
    for identifier in NETWORK_IDS.list_ids(network):
        _put(writer, identifier)
        pace_or_end(_ID_COST)


def _put(writer: MessageWriter, identifier: int) -> None:
    writer.begin(RTM_NEWNSID)
    writer.u32(0)
    writer.attribute_u32(_NSID, identifier & _WORD)
    writer.end()
