"""NETLINK_SOCK_DIAG: reports for `ss` about the sockets of the system (sock_diag(7)).

Families Internet, UNIX and VSOCK are reported; for others, programs read /proc/net. Requests to destroy sockets are
not supported.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.netlink.diagnosis import BY_FAMILY
from kernel.net.netlink.inet_diagnosis import dump_internet, find_internet
from kernel.net.netlink.messages import HEADER_SIZE, NLM_F_DUMP, MessageWriter, Request
from kernel.net.netlink.request_socket import RequestSocket
from kernel.net.netlink.socket import NETLINK_SOCK_DIAG
from kernel.net.netlink.unix_diagnosis import dump_unix, find_unix
from kernel.net.netlink.vsock_diagnosis import dump_vsock
from kernel.net.sockets.socket import AF_INET, AF_INET6, AF_UNIX
from kernel.net.vsock.addresses import AF_VSOCK

_DESTROY: Final = 21
_LEAST: Final = 2  # family and protocol
_FAMILIES: Final = 46


class DiagnosisSocket(RequestSocket):
    """A socket of NETLINK_SOCK_DIAG."""

    def __init__(self, kind: int, credentials: Credentials, network: Network) -> None:
        super().__init__(kind, NETLINK_SOCK_DIAG, credentials, network)

    def wants_dump(self, request: Request) -> bool:
        return request.kind == BY_FAMILY and request.has(NLM_F_DUMP)

    def dump(self, request: Request, writer: MessageWriter) -> int:
        if _family(request) == AF_UNIX:
            dump_unix(request, writer)
            return 0
        if _family(request) == AF_VSOCK:
            dump_vsock(request, writer)
            return 0
        return dump_internet(request, writer)

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        family = _family(request)
        if request.kind == _DESTROY:
            raise Errno(EOPNOTSUPP)
        if family == AF_UNIX:
            find_unix(request, writer)
        elif family == AF_VSOCK:
            raise Errno(EOPNOTSUPP)  # all of them, or none
        else:
            find_internet(request, writer)


def _family(request: Request) -> int:
    """The family that a request is about. EINVAL, ENOENT."""
    if request.kind != BY_FAMILY and request.kind != _DESTROY:
        raise Errno(EINVAL)
    if len(request.raw) < HEADER_SIZE + _LEAST:
        raise Errno(EINVAL)
    family = request.raw[HEADER_SIZE]
    if family >= _FAMILIES:
        raise Errno(EINVAL)
    if family != AF_INET and family != AF_INET6 and family != AF_UNIX and family != AF_VSOCK:
        raise Errno(ENOENT)
    return family
