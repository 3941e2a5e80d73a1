"""AF_NETLINK: creating its sockets (netlink(7)). Importing this registers the family and the watchers of changes."""

from kernel.lang import EPROTONOSUPPORT, ESOCKTNOSUPPORT, Errno
from kernel.lib.credentials import Credentials
from kernel.net.link.network import Network
from kernel.net.netlink import notify
from kernel.net.netlink.diagnosis_socket import DiagnosisSocket
from kernel.net.netlink.filter_socket import FilterSocket
from kernel.net.netlink.generic_socket import GenericSocket
from kernel.net.netlink.route_socket import RouteSocket
from kernel.net.netlink.socket import (
    NETLINK_GENERIC,
    NETLINK_KOBJECT_UEVENT,
    NETLINK_NETFILTER,
    NETLINK_ROUTE,
    NETLINK_SOCK_DIAG,
    NetlinkSocket,
)
from kernel.net.sockets.families import register_family
from kernel.net.sockets.socket import AF_NETLINK, SOCK_DGRAM, SOCK_RAW, Socket

# Called through registries that importing them fills.
_ = notify


def make_netlink_socket(kind: int, protocol: int, credentials: Credentials, network: Network) -> Socket:
    """A new socket. Raises ESOCKTNOSUPPORT, EPROTONOSUPPORT, MemoryError."""
    if kind != SOCK_RAW and kind != SOCK_DGRAM:
        raise Errno(ESOCKTNOSUPPORT)
    if protocol == NETLINK_ROUTE:
        return RouteSocket(kind, credentials, network)
    if protocol == NETLINK_SOCK_DIAG:
        return DiagnosisSocket(kind, credentials, network)
    if protocol == NETLINK_GENERIC:
        return GenericSocket(kind, credentials, network)
    if protocol == NETLINK_NETFILTER:
        return FilterSocket(kind, credentials, network)
    if protocol == NETLINK_KOBJECT_UEVENT:
        return NetlinkSocket(kind, protocol, credentials, network)
    raise Errno(EPROTONOSUPPORT)


register_family(AF_NETLINK, make_netlink_socket)
