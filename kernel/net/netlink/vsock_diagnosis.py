"""The reports of NETLINK_SOCK_DIAG about AF_VSOCK sockets: struct vsock_diag_req and vsock_diag_msg (sock_diag(7)).

Context: system calls, with safe points between messages.
"""

from typing import Final

from kernel.lib.pace import is_dying, pace, spend
from kernel.net.netlink.diagnosis import BY_FAMILY
from kernel.net.netlink.messages import MessageWriter, Request
from kernel.net.sockets.socket import SOCK_SEQPACKET, SOCK_STREAM
from kernel.net.vsock.addresses import AF_VSOCK
from kernel.net.vsock.endpoint import Endpoint
from kernel.net.vsock.packet import STREAM
from kernel.net.vsock.table import Cursor

_REQUEST: Final = 24  # struct vsock_diag_req
_STATES: Final = 4
_LOOK_COST: Final = 50  # instructions for an endpoint
_WRITE_COST: Final = 3000  # … and for its message


def dump_vsock(request: Request, writer: MessageWriter) -> None:
    """Write all sockets of the caller's network in the requested states. Raises MemoryError."""
    states = request.payload(_REQUEST).load_u32(_STATES)
    cursor = Cursor()
    cursor.start()
    try:
        while not is_dying():
            endpoint = cursor.take()
            if endpoint is None:
                return
            if endpoint.network is request.network and states >> endpoint.state & 1 != 0:
                _write(endpoint, writer)
                writer.cut()
                spend(_WRITE_COST)
            pace(_LOOK_COST)
    finally:
        cursor.end()


def _write(endpoint: Endpoint, writer: MessageWriter) -> None:
    writer.begin(BY_FAMILY)
    writer.u8(AF_VSOCK)
    writer.u8(SOCK_STREAM if endpoint.kind == STREAM else SOCK_SEQPACKET)
    writer.u8(endpoint.state)
    writer.u8(endpoint.closing.ended)
    writer.u32(endpoint.local.cid)
    writer.u32(endpoint.local.port)
    writer.u32(endpoint.remote.cid)
    writer.u32(endpoint.remote.port)
    writer.u32(endpoint.inode_number & 0xFFFF_FFFF)
    writer.u64(endpoint.inode_number)
    writer.end()
