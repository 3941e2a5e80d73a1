"""Ancillary messages of level SOL_SOCKET that programs send through Internet sockets (socket(7), cmsg(3), tc-etf(8)).

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, EPERM, Errno, span_of
from kernel.net.sockets import option_names as so
from kernel.net.sockets import socket as base
from kernel.net.sockets.socket import SWITCH_TRANSMIT_TIME, ControlMessage, Socket
from kernel.net.sockets.socket_options import may_mark
from kernel.task import current

_WORD: Final = 4  # bytes
_TIME: Final = 8


def mark_after(socket: Socket, entry: ControlMessage, mark: int) -> int:
    """The mark of a packet that had `mark` before this ancillary message. EPERM; EINVAL for one that makes no sense.

    SCM_TXTIME is for a queueing discipline that keeps to times, of which there is none. The kernel does not record when
    packets leave, which SO_TIMESTAMPING would ask for.
    """
    data = entry.data
    match entry.kind:
        case so.SO_MARK:
            if not may_mark(socket, current().credentials):
                raise Errno(EPERM)
            if len(data) != _WORD:
                raise Errno(EINVAL)
            return span_of(data).load_u32(0)
        case so.SO_TXTIME:
            if not socket.is_on(SWITCH_TRANSMIT_TIME) or len(data) != _TIME:
                raise Errno(EINVAL)
        case so.SO_TIMESTAMPING | so.SO_TIMESTAMPING_NEW:
            if len(data) != _WORD or span_of(data).load_u32(0) != 0:
                raise Errno(EINVAL)
        case base.SCM_RIGHTS | base.SCM_CREDENTIALS:
            return mark  # these are for sockets of AF_UNIX
        case _:
            raise Errno(EINVAL)
    return mark
