"""The common part of all Internet sockets: local and remote address, binding, options of levels IP and IPv6.

Internal addresses have 4 or 16 bytes: an AF_INET6 socket that speaks IPv4 has 4-byte addresses here, and shows mapped
ones to programs.

Context: system calls, thread context.
Source: ip(7), ipv6(7), bind(2), RFC 3493.
"""

from typing import Final

from kernel.bpf.subject import (
    ADDRESS_BINDS,
    ADDRESS_CONNECTS,
    ADDRESS_OF_PEER,
    ADDRESS_OF_SOCKET,
    SOCKET_BOUND4,
    SOCKET_BOUND6,
    SOCKET_CREATED,
    SOCKET_RELEASED,
)
from kernel.cgroup.programs import ADDRESS_PROGRAMS, SOCKET_PROGRAMS
from kernel.lang import (
    EADDRINUSE,
    EADDRNOTAVAIL,
    EAFNOSUPPORT,
    EAGAIN,
    EINVAL,
    ENETUNREACH,
    ENODEV,
    ENOENT,
    ENOMEM,
    ENOPROTOOPT,
    ENOTCONN,
    EOPNOTSUPP,
    EPERM,
    EPROTO,
    Errno,
    UserAddr,
    span_of,
)
from kernel.lib import user
from kernel.lib.capabilities import CAP_NET_ADMIN, CAP_NET_RAW
from kernel.lib.credentials import Credentials
from kernel.net.filter.access import original_of
from kernel.net.internet.addresses import (
    ANY4,
    ANY6,
    LIMITED_BROADCAST,
    is_link_local,
    is_mapped,
    is_multicast,
    is_unspecified,
    mapped,
    owner_of,
    unmapped,
)
from kernel.net.internet.output import NextHop, resolve
from kernel.net.internet.routes import BROADCAST, LOCAL, find_route
from kernel.net.internet.sysctl import CORE, IP4_SETTINGS
from kernel.net.link import ethernet
from kernel.net.link.device import NetworkDevice, device_by_index
from kernel.net.link.network import Network
from kernel.net.sockets import group_options, inet_names
from kernel.net.sockets.address_programs import ANY_PORT, REFUSED, judge
from kernel.net.sockets.bpf import Filter
from kernel.net.sockets.error_queue import QueuedError, ZeroCopies, control_of_error
from kernel.net.sockets.inet import (
    SOCKADDR_IN,
    SOCKADDR_IN6_LEAST,
    Binding,
    PortTable,
    check_port_right,
    decode_inet,
    decode_inet6,
    encode_inet,
    encode_inet6,
    family_of,
)
from kernel.net.sockets.inet_names import ON_FREEBIND, ON_HDRINCL, ON_TRANSPARENT, ON_V6ONLY, SOL_IP, SOL_IPV6
from kernel.net.sockets.inet_options import (
    InternetOptions,
    get_ip_option,
    get_ipv6_option,
    int_bytes,
    int_of,
    set_ip_option,
    set_ipv6_option,
    short_int_bytes,
)
from kernel.net.sockets.joined_groups import EXCLUDE, JoinedGroups
from kernel.net.sockets.option_names import SO_BINDTODEVICE, SO_DONTROUTE, SO_REUSEADDR, SO_REUSEPORT
from kernel.net.sockets.option_sizes import STICKY_HEADERS, least_of_ip_value, least_of_ipv6_value
from kernel.net.sockets.port_group import PortGroup
from kernel.net.sockets.socket import (
    AF_INET,
    AF_INET6,
    FILTER_BYTES,
    MSG_ERRQUEUE,
    MSG_TRUNC,
    MSG_ZEROCOPY,
    SOCK_RAW,
    SOCK_STREAM,
    SWITCH_DONT_ROUTE,
    SWITCH_KEEP_STAMP,
    SWITCH_REHASH,
    SWITCH_REUSE_ADDRESS,
    SWITCH_REUSE_PORT,
    SWITCH_ZERO_COPY,
    Message,
    Socket,
)
from kernel.net.sockets.socket_options import may_mark
from kernel.net.sockets.socket_programs import Names, permit
from kernel.net.sockets.source_options import (
    get_source_filter,
    is_protocol_independent,
    is_source_option,
    set_source_option,
)
from kernel.task import current
from kernel.time import realtime_ns

MOST_DATAGRAM: Final = 65535
_SOCKADDR_IN: Final = 16  # bytes
_SOCKADDR_IN6: Final = 28
_GROUP_REQUEST6: Final = 20  # struct ipv6_mreq
_LEAST_EXTENSION: Final = 8  # bytes of an extension header
_LARGEST_EXTENSION: Final = 8 * 255  # … that a program may set
_MTU_INFORMATION: Final = 32  # struct ip6_mtuinfo: a sockaddr_in6 and the MTU
_ECN: Final = 3
_NO_DEVICE: Final = -1
_NS: Final = 1_000_000_000
_ESTABLISHED: Final = 1
_CLOSED: Final = 7
_SIOCGSTAMP: Final = 0x8906
_SIOCGSTAMPNS: Final = 0x8907


class Destination:
    """Where a datagram goes: the content of a struct sockaddr."""

    def __init__(self, address: bytes, port: int, scope: int) -> None:
        self.address: bytes = address  # 4 or 16 bytes; a mapped address is stored as 4
        self.port: int = port
        self.scope: int = scope  # IPv6: the interface of a link-local address, or 0
        self.flow: int = 0


class InetSocket(Socket):
    """Base of TCP, UDP, raw and ping sockets."""

    def __init__(
        self,
        family: int,
        kind: int,
        protocol: int,
        credentials: Credentials,
        network: Network,
        binding: Binding | None = None,
        options: InternetOptions | None = None,
    ) -> None:
        """A new socket; one that was accepted has a binding and options already."""
        # What needs memory comes before the base counts the socket, in all of its kinds (kernel/fs/file.py).
        self.binding: Binding = Binding(network) if binding is None else binding
        self.options: InternetOptions = InternetOptions(network) if options is None else options
        super().__init__(family, kind, protocol, credentials.fsuid, credentials.fsgid, network)
        self.turn(SWITCH_REHASH, on=CORE.txrehash.of(network) != 0)
        self.is_privileged: bool = credentials.capable_in(network.owner, CAP_NET_ADMIN)
        self.local: bytes = b""  # the address that it is bound to; empty: any
        self.is_address_fixed: bool = False  # by bind(2): stays when the socket is disconnected
        self.remote: bytes = b""  # the peer to which it is connected; empty: none
        self.remote_port: int = 0
        self.scope: int = 0  # IPv6: the interface of link-local addresses
        self.remote_flow: int = 0
        self.hop: NextHop | None = None
        self.errors: list[QueuedError] | None = None  # for MSG_ERRQUEUE, until the first one
        self.stamp_ns: int = -1  # SIOCGSTAMP; 0: not noted
        self.groups: JoinedGroups | None = None  # until the first one; see `own_groups`
        self.copies: ZeroCopies | None = None  # until the first send with MSG_ZEROCOPY
        self.port_group: PortGroup | None = None  # SO_REUSEPORT: the sockets that share its port
        self.is_announced: bool = False  # programs of its group run when it is closed
        if binding is None:
            self.claim(credentials)

    def claim(self, credentials: Credentials) -> None:
        """The socket is new, and binding and options are its own."""
        self.binding.uid = credentials.fsuid
        if self.family == AF_INET6:
            self.options.turn(inet_names.ON_MULTICAST_ALL4, on=False)  # as on Linux
            self._update_versions(ANY6)

    def port_table(self) -> PortTable | None:
        """The ports in which this kind of socket is bound; None for kinds without ports."""
        return None

    def is_ip6_only(self) -> bool:
        return self.options.is_on(ON_V6ONLY)

    # ---- Programs of bpf(2) ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        if SOCKET_PROGRAMS.count != 0 and not self._ask(SOCKET_CREATED):
            raise Errno(EPERM)
        self.is_announced = True

    def _ask(self, purpose: int) -> bool:
        """Whether the programs of the socket's group permit it. May raise MemoryError."""
        names = Names(self.local, self.binding.port, self.remote, self.remote_port, self.state())
        return permit(self, purpose, names)

    def state(self) -> int:
        """As TCP numbers it (tcp_states.h)."""
        return _ESTABLISHED if len(self.remote) != 0 else _CLOSED

    def announce_end(self) -> None:
        """Tell the programs of its group, once, that the socket is about to be closed."""
        is_announced = self.is_announced
        self.is_announced = False
        if is_announced and SOCKET_PROGRAMS.count != 0:
            try:
                self._ask(SOCKET_RELEASED)
            except MemoryError:
                return  # closing goes on, and nobody is notified

    def is_judged_when_bound(self) -> bool:
        """Whether programs hear of bind(2): only those of TCP and UDP."""
        return self.port_table() is not None

    def judged_peer(self, address: bytes) -> bytes:
        """What connect(2) to a struct sockaddr goes to, after the programs of the socket's group: for sockets that ask
        them. May sleep. EINVAL, EPERM; MemoryError.
        """
        if ADDRESS_PROGRAMS.count == 0:
            return address
        name = bytearray(address)
        if judge(self, ADDRESS_CONNECTS, self._address_size(address), name, bytearray()) == REFUSED:
            raise Errno(EPERM)
        return bytes(name)

    def _address_size(self, address: bytes) -> int:
        """How long the address in a struct sockaddr must be that programs see. EINVAL if it has no room for one."""
        if len(address) < (SOCKADDR_IN if self.family == AF_INET else SOCKADDR_IN6_LEAST):
            raise Errno(EINVAL)
        return 4 if self.family == AF_INET else 16

    def shown_local_address(self) -> bytes:
        return self.judged_name(ADDRESS_OF_SOCKET, self.local_address())

    def shown_peer_address(self) -> bytes:
        return self.judged_name(ADDRESS_OF_PEER, self.peer_address())

    def judged_name(self, place4: int, address: bytes) -> bytes:
        """What the program sees in place of a struct sockaddr of the socket's family. Raises MemoryError."""
        if ADDRESS_PROGRAMS.count == 0:
            return address
        name = bytearray(address)
        judge(self, place4, 4 if self.family == AF_INET else 16, name, bytearray())
        return bytes(name)

    # ---- Ports that are shared --------------------------------------------------------------------------------------

    def is_in_table(self) -> bool:
        """Whether packets may reach it already."""
        return True

    def shares_port_with(self, other: "InetSocket") -> bool:
        """Whether a socket of the same port belongs to the same group as this one."""
        return (
            other is not self
            and other.binding.reuse_port
            and other.family == self.family
            and other.is_ip6_only() == self.is_ip6_only()
            and other.bound_device == self.bound_device
            and other.binding.uid == self.binding.uid
            and other.local == self.local
        )

    def join_port_group(self, group: PortGroup | None) -> None:
        """Enter a group; None: one of its own, where it may be already. Raises MemoryError."""
        own = self.port_group
        if group is own and own is not None:
            return
        if group is None:
            if own is not None:
                return
            group = PortGroup()
        group.enter(self)
        if own is not None:
            own.leave(self)
        self.port_group = group

    def leave_port_group(self) -> None:
        """It leaves the table."""
        group = self.port_group
        if group is not None:
            self.port_group = None
            group.leave(self)

    def set_chooser(self, chooser: Filter | None) -> None:
        group = self.port_group
        if chooser is None:
            if group is None:
                raise Errno(ENOENT if self.is_on(SWITCH_REUSE_PORT) else EINVAL)
            group.drop_chooser()
            return
        if chooser.size_bytes() + FILTER_BYTES > CORE.optmem(self.network):
            raise Errno(ENOMEM)
        if group is None:
            if self.is_in_table() or not self.is_on(SWITCH_REUSE_PORT):
                raise Errno(EINVAL)
            self.join_port_group(None)
            group = self.port_group
            assert group is not None
        group.set_chooser(chooser)

    def held_bytes(self) -> int:
        group = self.port_group
        return super().held_bytes() if group is None else super().held_bytes() + group.held_bytes()

    # ---- Addresses ------------------------------------------------------------------------------------------------

    def bind(self, address: bytes) -> None:
        """bind(2). EINVAL, EAFNOSUPPORT, EADDRNOTAVAIL, EACCES, EADDRINUSE; EPERM if a program forbids it."""
        chosen = address
        may_take_any = False
        if ADDRESS_PROGRAMS.count != 0 and self.is_judged_when_bound():
            name = bytearray(address)
            answer = judge(self, ADDRESS_BINDS, self._address_size(address), name, bytearray())
            if answer == REFUSED:
                raise Errno(EPERM)
            chosen = bytes(name)
            may_take_any = answer == ANY_PORT
        if self.family == AF_INET:
            self._bind4(chosen, may_take_any)
        else:
            self._bind6(chosen, may_take_any)
        if SOCKET_PROGRAMS.count != 0 and self.binding.port != 0 and self.is_judged_when_bound():
            self.check_binding()

    def check_binding(self) -> None:
        """Ask the programs of the socket's group, now that it has a port. EPERM, MemoryError."""
        permits = False
        try:
            permits = self._ask(SOCKET_BOUND4 if self.family == AF_INET else SOCKET_BOUND6)
        finally:
            if not permits:
                self.unbind()
                self.binding.is_explicit = False
                self._update_versions(ANY4 if self.family == AF_INET else ANY6)
                self.local = b""
                self.is_address_fixed = False
        if not permits:
            raise Errno(EPERM)

    def _bind4(self, address: bytes, may_take_any: bool) -> None:
        if len(address) < 16:
            raise Errno(EINVAL)
        if family_of(address) == 0 and address[4:8] == ANY4:
            local = ANY4
            port = address[2] << 8 | address[3]
        else:
            local, port = decode_inet(address)
        self._check_local4(local)
        if self.port_table() is not None and not may_take_any:
            check_port_right(self.network, port, current().credentials)
        if self._is_bound():
            raise Errno(EINVAL)
        self._take(local, port)

    def _check_local4(self, local: bytes) -> None:
        """EADDRNOTAVAIL unless the address is ours, any, a group or a broadcast."""
        if local == ANY4 or is_multicast(local) or local == LIMITED_BROADCAST or self._may_bind_foreign():
            return
        route = find_route(self.network, local)
        if route is None or (route.kind != LOCAL and route.kind != BROADCAST):
            raise Errno(EADDRNOTAVAIL)

    def _may_bind_foreign(self) -> bool:
        return IP4_SETTINGS.ip_nonlocal_bind.of(self.network) != 0 or self.options.is_on(ON_FREEBIND | ON_TRANSPARENT)

    def _bind6(self, address: bytes, may_take_any: bool) -> None:
        local, port, _flow, scope = decode_inet6(address)
        if is_multicast(local) and self.kind == SOCK_STREAM:
            raise Errno(EINVAL)
        if self.port_table() is not None and not may_take_any:
            check_port_right(self.network, port, current().credentials)
        if self._is_bound():
            raise Errno(EINVAL)
        if is_mapped(local):
            if self.is_ip6_only():
                raise Errno(EINVAL)
            self._check_local4(unmapped(local))
        elif local != ANY6:
            self._check_local6(local, scope)
        self._take(local, port)

    def _check_local6(self, local: bytes, scope: int) -> None:
        index = self.bound_device
        if is_link_local(local):
            if scope != 0:
                index = scope
            if index == 0:
                raise Errno(EINVAL)
            if device_by_index(self.network, index) is None:
                raise Errno(ENODEV)
            self.scope = index
        if is_multicast(local) or self._may_bind_foreign():
            return
        entry = owner_of(self.network, local)
        if entry is None or (index != 0 and entry.device.index != index and is_link_local(local)):
            raise Errno(EADDRNOTAVAIL)

    def _is_bound(self) -> bool:
        return self.binding.port != 0 or len(self.remote) != 0

    def _update_versions(self, local: bytes) -> None:
        self.binding.set_address(self.family, local, self.is_ip6_only())

    def _take(self, local: bytes, port: int) -> None:
        """Take a checked address and a port. EADDRINUSE, MemoryError, with nothing changed."""
        self._copy_switches()
        has_port = port != 0 or not self.options.is_on(inet_names.ON_NO_PORT)
        plain = unmapped(local)
        try:
            self._update_versions(local)
            self.local = b"" if is_unspecified(plain) else plain  # `bound` looks for sockets with which it shares
            if has_port:
                self._take_port(port)
        except (Errno, MemoryError):
            if self.binding.port == 0:  # another thread has not bound it meanwhile
                self._update_versions(ANY4 if self.family == AF_INET else ANY6)
                self.local = b""
            raise
        self.is_address_fixed = len(self.local) != 0
        if has_port and self.port_table() is not None:
            self.binding.is_explicit = port != 0

    def _take_port(self, port: int) -> None:
        """Take a port, with 0 a free one, and let the protocol know. EADDRINUSE, MemoryError, with nothing changed."""
        table = self.port_table()
        if table is not None:
            table.bind(self.binding, port)
        try:
            self.bound()
        except MemoryError:
            if table is not None:
                table.remove(self.binding)
            raise

    def bound(self) -> None:
        """The socket has got its local port. A protocol enters it in its tables. Raises MemoryError, with nothing
        changed.
        """

    def _copy_switches(self) -> None:
        binding = self.binding
        binding.reuse_address = self.is_on(SWITCH_REUSE_ADDRESS)
        binding.reuse_port = self.is_on(SWITCH_REUSE_PORT)
        binding.has_port_group = self.port_group is not None
        binding.device_index = self.bound_device
        binding.first_port = self.options.first_port
        binding.last_port = self.options.last_port

    def bind_automatically(self) -> None:
        """Take a free port, if the socket has none yet. EAGAIN, EADDRINUSE when there is none."""
        if self.binding.port != 0:
            return
        table = self.port_table()
        if table is not None:
            self._copy_switches()
            try:
                self._take_port(0)
            except Errno:
                if self.binding.port != 0:
                    return  # another thread has bound it meanwhile
                raise Errno(EADDRINUSE if table.is_stream else EAGAIN) from None

    def unbind(self) -> None:
        """Give the port back."""
        table = self.port_table()
        if table is not None:
            table.remove(self.binding)

    def option_changed(self, name: int) -> None:
        if name == SO_REUSEADDR or name == SO_REUSEPORT or name == SO_BINDTODEVICE or name == SO_DONTROUTE:
            self._copy_switches()
            self.hop = None

    def destination_of(self, address: bytes) -> Destination:
        """The destination that a struct sockaddr means here. EINVAL, EAFNOSUPPORT; ENETUNREACH for senders only."""
        if self.family == AF_INET:
            plain, port = decode_inet(address)
            return Destination(plain, port, 0)
        if family_of(address) == AF_INET:
            plain, port = decode_inet(address)
            return Destination(plain, port, 0)
        if len(address) >= 2 and family_of(address) != AF_INET6:
            raise Errno(EINVAL)
        full, port, flow, scope = decode_inet6(address)
        destination = Destination(unmapped(full), port, scope if is_link_local(full) else 0)
        destination.flow = flow
        return destination

    def local_address(self) -> bytes:
        """getsockname(2)."""
        local = self.local
        if self.family == AF_INET:
            return encode_inet(local if len(local) == 4 else ANY4, self.binding.port)
        return self.encode6(local, self.binding.port)

    def encode6(self, address: bytes, port: int) -> bytes:
        """A struct sockaddr_in6 for this socket's programs, of an address that may be an IPv4 one or empty."""
        if len(address) == 0:
            return encode_inet6(ANY6, port)
        scope = self.scope if len(address) == 16 and is_link_local(address) else 0
        return encode_inet6(mapped(address), port, 0, scope)

    def encode(self, address: bytes, port: int) -> bytes:
        """A struct sockaddr of the socket's family."""
        if self.family == AF_INET:
            return encode_inet(address if len(address) == 4 else ANY4, port)
        return self.encode6(address, port)

    def peer_address(self) -> bytes:
        """getpeername(2). ENOTCONN."""
        if len(self.remote) == 0:
            raise Errno(ENOTCONN)
        return self.encode(self.remote, self.remote_port)

    def route_to(self, address: bytes, source: bytes, device_index: int) -> NextHop:
        """The route to an address, for this socket: its device, and its source where it has one. Raises what `resolve`
        does; ENETUNREACH and EINVAL for a source that cannot be.
        """
        index = device_index
        if index == 0:
            index = self.bound_device
        if len(source) == 4 and source != ANY4 and not self.options.is_on(ON_TRANSPARENT | ON_HDRINCL):
            self._check_source4(source)
        hop = resolve(self.network, address, source, index)
        if self.is_on(SWITCH_DONT_ROUTE) and len(hop.gateway) == 4:
            raise Errno(ENETUNREACH)  # as on Linux, IPv6 does not look at the option
        return hop

    def _check_source4(self, source: bytes) -> None:
        """ENETUNREACH for an address that is not ours, EINVAL for one that is nobody's. Binding may allow it, sending
        does not.
        """
        if is_multicast(source) or source == LIMITED_BROADCAST or source[0] == 0:
            raise Errno(EINVAL)
        route = find_route(self.network, source)
        if route is None or (route.kind != LOCAL and route.kind != BROADCAST):
            raise Errno(ENETUNREACH)

    def route_is_bad(self, advice: int) -> None:
        if advice == 1:
            self.hop = None

    def ioctl(self, command: int, argument: int) -> int:
        if command == _SIOCGSTAMP or command == _SIOCGSTAMPNS:
            return self._tell_stamp(argument, command == _SIOCGSTAMPNS)
        return super().ioctl(command, argument)

    def _tell_stamp(self, argument: int, is_ns: bool) -> int:
        """Report when the last received datagram came. ENOENT before the first."""
        self.switches |= SWITCH_KEEP_STAMP
        if self.stamp_ns < 0:
            raise Errno(ENOENT)
        if self.stamp_ns == 0:
            self.stamp_ns = realtime_ns()  # the time was not recorded when it came
        part = self.stamp_ns % _NS
        user.check(argument, 16)
        user.write_i64(UserAddr(argument), self.stamp_ns // _NS)
        user.write_i64(user.at(UserAddr(argument), 8), part if is_ns else part // 1000)
        return 0

    # ---- Errors, and notices of sends -------------------------------------------------------------------------------

    def has_errors(self) -> bool:
        """Whether there is something for MSG_ERRQUEUE."""
        errors = self.errors
        return errors is not None and len(errors) > 0

    def own_errors(self) -> list[QueuedError]:
        """The error queue, to append to. Raises MemoryError."""
        errors = self.errors
        if errors is None:
            errors = []
            self.errors = errors
        return errors

    def receive_error(self, message: Message) -> int:
        """recvmsg(2) with MSG_ERRQUEUE: the first entry of the error queue, and how much there is of the datagram that
        it is about. EAGAIN if there is none; MemoryError.
        """
        if self.copies is not None:
            self.copies.tell_late()
        errors = self.errors
        if errors is None or len(errors) == 0:
            raise Errno(EAGAIN)
        entry = errors[0]
        address = b"" if entry.is_notice() else self.encode(entry.destination, entry.port)
        control = control_of_error(entry.error, is_ip4=self.family == AF_INET)
        errors.pop(0)  # nothing after this needs memory
        room = min(len(entry.payload), message.buffer.remaining)
        given = message.buffer.put(span_of(entry.payload)[0:room])
        if given < len(entry.payload):
            message.result_flags |= MSG_TRUNC
        message.result_flags |= MSG_ERRQUEUE
        message.address = address
        message.control = control
        self._choose_pending_error(entry, errors)
        return given

    def _choose_pending_error(self, last: QueuedError, errors: list[QueuedError]) -> None:
        """An entry was read: the next error is pending, or none is any more. Notices change nothing."""
        if len(errors) > 0 and not errors[0].is_notice():
            self.pending_error = errors[0].error.errno
        elif not last.is_notice() and (len(errors) > 0 or self.pending_error == last.error.errno):
            self.pending_error = 0

    def copies_for(self, message: Message, length: int) -> ZeroCopies | None:
        """What counts the sends with MSG_ZEROCOPY, if this is one, of `length` bytes, and SO_ZEROCOPY allows it.
        ENOBUFS if too many notices wait; MemoryError.
        """
        if message.flags & MSG_ZEROCOPY == 0 or not self.is_on(SWITCH_ZERO_COPY) or length == 0:
            return None
        copies = self.copies
        if copies is None:
            copies = ZeroCopies(self.own_errors())
            self.copies = copies
        copies.check_room(self.network)
        return copies

    # ---- Options --------------------------------------------------------------------------------------------------

    def check_level(self, level: int) -> None:
        if level != SOL_IP and (level != SOL_IPV6 or self.family == AF_INET):
            raise Errno(EOPNOTSUPP if self.family == AF_INET else ENOPROTOOPT)

    def takes_any_length(self, level: int, name: int) -> bool:
        return level == SOL_IPV6 and name != inet_names.MCAST_MSFILTER

    def least_of_value(self, level: int, name: int, length: int) -> int:
        is_stream = self.kind == SOCK_STREAM
        if level == SOL_IP:
            return least_of_ip_value(name, length, is_stream=is_stream)
        if level == SOL_IPV6 and self.family == AF_INET6:
            return least_of_ipv6_value(name, length, is_stream=is_stream)
        raise Errno(ENOPROTOOPT)

    def get_option(self, level: int, name: int, limit: int) -> bytes:
        if level == SOL_IP:
            if name == inet_names.IP_MTU:
                return int_bytes(min(self._path_mtu(), MOST_DATAGRAM))
            if name == inet_names.IP_PROTOCOL:
                return short_int_bytes(self.binding.port, limit)  # which is the protocol of raw sockets
            if name == inet_names.IP_PKTOPTIONS and self.kind == SOCK_STREAM:
                return b""  # of the connection's first packet, for a program that asks only now: none were kept
            if name == inet_names.IP_MSFILTER or name == inet_names.MCAST_MSFILTER:
                raise Errno(EINVAL)
            if name == inet_names.SO_ORIGINAL_DST:
                return self._original_destination(limit, 4)
            return get_ip_option(self.options, name, limit)
        if level == SOL_IPV6 and self.family == AF_INET6:
            if name == inet_names.IPV6_MTU:
                return int_bytes(self._path_mtu())
            if name == inet_names.IPV6_PATHMTU:
                return self._path_mtu_information(limit)
            if name == inet_names.IPV6_ADDRFORM:
                return self._address_form()
            if name == inet_names.MCAST_MSFILTER or (name == inet_names.IPV6_HDRINCL and self.kind != SOCK_RAW):
                raise Errno(EINVAL if name == inet_names.MCAST_MSFILTER else ENOPROTOOPT)
            if name == inet_names.SO_ORIGINAL_DST:
                return self._original_destination(limit, 16)
            if name in STICKY_HEADERS:
                return b""
            return get_ipv6_option(self.options, name)
        raise Errno(ENOPROTOOPT if self.family == AF_INET6 else EOPNOTSUPP)

    def _original_destination(self, limit: int, size: int) -> bytes:
        """SO_ORIGINAL_DST of a level whose addresses have `size` bytes: the peer's intended address, before a
        rule redirected it here. ENOPROTOOPT, EINVAL; ENOENT without a tracked connection.
        """
        if self.kind != SOCK_STREAM:
            raise Errno(ENOPROTOOPT)
        if limit < (_SOCKADDR_IN if size == 4 else _SOCKADDR_IN6):
            raise Errno(EINVAL)
        if len(self.remote) != size:
            raise Errno(ENOENT)
        found = original_of(self.network, self.local, self.binding.port, self.remote, self.remote_port)
        if found is None:
            raise Errno(ENOENT)
        if size == 4:
            return encode_inet(found.destination, found.destination_port)
        scope = self.bound_device if is_link_local(found.destination) else 0
        return encode_inet6(found.destination, found.destination_port, 0, scope)

    def _path_mtu(self) -> int:
        if len(self.remote) == 0:
            raise Errno(ENOTCONN)
        hop = self.hop
        if hop is None or not hop.is_current():
            hop = self.route_to(self.remote, self.local, self.scope)
            self.hop = hop
        return hop.mtu

    def _path_mtu_information(self, limit: int) -> bytes:
        """IPV6_PATHMTU: a struct ip6_mtuinfo."""
        if limit < _MTU_INFORMATION:
            raise Errno(EINVAL)
        return bytes(_MTU_INFORMATION - 4) + int_bytes(self._path_mtu())

    def _address_form(self) -> bytes:
        """IPV6_ADDRFORM: the family of a connected socket."""
        if self.kind == SOCK_RAW:
            raise Errno(ENOPROTOOPT)
        self.peer_address()
        return int_bytes(self.family)

    def reads_option_place(self, level: int, name: int) -> bool:
        if level == SOL_IP:
            return name == inet_names.IP_MSFILTER or name == inet_names.MCAST_MSFILTER
        return level == SOL_IPV6 and name == inet_names.MCAST_MSFILTER

    def answer_option(self, level: int, name: int, request: bytes) -> bytes:
        """IP_MSFILTER and MCAST_MSFILTER: the report of getsockopt(2) about the group in the request. EINVAL,
        EADDRNOTAVAIL, ENODEV.
        """
        size = 4 if level == SOL_IP else 16
        return get_source_filter(self.own_groups(), name, request, size)

    def own_groups(self) -> JoinedGroups:
        """The groups of the socket. Raises MemoryError."""
        groups = self.groups
        if groups is None:
            groups = JoinedGroups(self.network)
            self.groups = groups
        return groups

    def set_option(self, level: int, name: int, value: bytes) -> None:
        credentials = current().credentials
        privileged = may_mark(self, credentials)
        if level == SOL_IP:
            self._set_ip(name, value, privileged)
        elif level == SOL_IPV6 and self.family == AF_INET6:
            self._set_ipv6(name, value, privileged)
        else:
            raise Errno(ENOPROTOOPT)
        self.hop = None
        ethernet.drain()  # group reports may be pending

    def _set_ip(self, name: int, value: bytes, is_privileged: bool) -> None:
        device: NetworkDevice | None
        if is_source_option(name):
            set_source_option(self.own_groups(), name, value, 4)
            return
        match name:
            case inet_names.IP_HDRINCL | inet_names.IP_NODEFRAG:
                if self.kind != SOCK_RAW:
                    raise Errno(ENOPROTOOPT)
                set_ip_option(self.options, name, value, is_privileged)
            case inet_names.IP_TOS:
                before = self.options.tos
                set_ip_option(self.options, name, value, is_privileged)
                if self.kind == SOCK_STREAM:
                    # The bits of explicit congestion notification are TCP's.
                    self.options.tos = self.options.tos & ~_ECN | before & _ECN
            case inet_names.IP_RECVFRAGSIZE:
                self._refuse_stream_as(EINVAL)
                set_ip_option(self.options, name, value, is_privileged)
            case inet_names.IP_ADD_MEMBERSHIP | inet_names.IP_DROP_MEMBERSHIP:
                self._refuse_stream_as(EPROTO)
                group, device = group_options.request4(self.network, value)
                is_joining = name == inet_names.IP_ADD_MEMBERSHIP
                names_device = value[4:8] != ANY4 or (len(value) >= 12 and value[8:12] != ANY4)
                if is_joining or names_device:
                    self._change_group(group, device, is_joining)
                elif device is None:
                    raise Errno(ENODEV)
                else:
                    self.own_groups().leave(group, 0)
            case inet_names.MCAST_JOIN_GROUP | inet_names.MCAST_LEAVE_GROUP:
                group, device = group_options.group_request(self.network, value, 4)
                self._change_group(group, device, name == inet_names.MCAST_JOIN_GROUP)
            case inet_names.IP_MULTICAST_IF:
                self._refuse_stream_as(EINVAL)
                group_options.set_multicast_interface4(self.options, value, self.bound_device)
            case inet_names.IP_MULTICAST_TTL:
                self._refuse_stream_as(EINVAL)
                set_ip_option(self.options, name, value, is_privileged)
            case _:
                set_ip_option(self.options, name, value, is_privileged)

    def _set_ipv6(self, name: int, value: bytes, is_privileged: bool) -> None:
        device: NetworkDevice | None
        if is_protocol_independent(name):
            set_source_option(self.own_groups(), name, value, 16)
            return
        match name:
            case inet_names.IPV6_HDRINCL:
                if self.kind != SOCK_RAW:
                    raise Errno(ENOPROTOOPT)
                set_ipv6_option(self.options, name, value, is_privileged)
            case inet_names.IPV6_TCLASS:
                before = self.options.traffic_class
                set_ipv6_option(self.options, name, value, is_privileged)
                if self.kind == SOCK_STREAM:
                    self.options.traffic_class = self.options.traffic_class & ~_ECN | before & _ECN
            case inet_names.IPV6_PKTINFO:
                self._set_packet_information(value)
            case inet_names.IPV6_ADDRFORM:
                self._set_address_form(int_of(value))
            case inet_names.IPV6_ADD_MEMBERSHIP | inet_names.IPV6_DROP_MEMBERSHIP:
                group, device = group_options.request6(self.network, value)
                self._refuse_stream_as(EPROTO)
                if not is_multicast(group):
                    raise Errno(EINVAL)
                if name == inet_names.IPV6_DROP_MEMBERSHIP and value[16:20] == bytes(4):
                    self.own_groups().leave(group, 0)
                else:
                    self._change_group(group, device, name == inet_names.IPV6_ADD_MEMBERSHIP)
            case inet_names.MCAST_JOIN_GROUP | inet_names.MCAST_LEAVE_GROUP:
                group, device = group_options.group_request(self.network, value, 16)
                self._change_group(group, device, name == inet_names.MCAST_JOIN_GROUP)
            case inet_names.IPV6_MULTICAST_IF:
                self._refuse_stream()
                group_options.set_multicast_interface6(self.options, value, self.bound_device)
            case inet_names.IPV6_MULTICAST_HOPS:
                self._refuse_stream()
                set_ipv6_option(self.options, name, value, is_privileged)
            case inet_names.IPV6_LEAVE_ANYCAST:
                raise Errno(EINVAL if len(value) < _GROUP_REQUEST6 else ENOENT)  # nobody can join
            case inet_names.IPV6_HOPOPTS | inet_names.IPV6_RTHDRDSTOPTS | inet_names.IPV6_DSTOPTS:
                if not current().credentials.capable_in(self.network.owner, CAP_NET_RAW):
                    raise Errno(EPERM)
                _refuse_sticky_header(value)
            case inet_names.IPV6_RTHDR:
                _refuse_sticky_header(value)
            case inet_names.IPV6_V6ONLY:
                if len(value) < 4 or self.binding.port != 0:
                    raise Errno(EINVAL)
                set_ipv6_option(self.options, name, value, is_privileged)
                self._update_versions(ANY6)
            case _:
                set_ipv6_option(self.options, name, value, is_privileged)

    def _set_packet_information(self, value: bytes) -> None:
        """IPV6_PKTINFO: source and device of all datagrams."""
        if len(value) < 20:
            raise Errno(EINVAL)
        index = span_of(value).load_u32(16)
        if self.bound_device != 0 and index != 0 and index != self.bound_device:
            raise Errno(EINVAL)
        self.options.packet_source6 = b"" if value[0:16] == ANY6 else value[0:16]
        self.options.packet_device6 = index & 0x7FFF_FFFF

    def _set_address_form(self, family: int) -> None:
        """IPV6_ADDRFORM: turn a socket that is connected to a mapped address into one of AF_INET."""
        if family != AF_INET:
            raise Errno(EINVAL)
        if self.kind == SOCK_RAW:
            raise Errno(ENOPROTOOPT)
        self.peer_address()
        if len(self.remote) != 4 or self.is_ip6_only():
            raise Errno(EADDRNOTAVAIL)
        self.family = AF_INET

    def _refuse_stream(self) -> None:
        self._refuse_stream_as(ENOPROTOOPT)

    def _refuse_stream_as(self, code: int) -> None:
        if self.kind == SOCK_STREAM:
            raise Errno(code)

    def _change_group(self, group: bytes, device: NetworkDevice | None, is_joining: bool) -> None:
        if is_joining:
            if not is_multicast(group):
                raise Errno(EINVAL)
            if device is None:
                raise Errno(ENODEV)
            self.own_groups().join(group, device, EXCLUDE)
        else:
            self.own_groups().leave(group, _NO_DEVICE if device is None else device.index)

    def close(self) -> None:
        self.announce_end()
        groups = self.groups
        if groups is not None:
            groups.leave_all()
            ethernet.drain()
        self.unbind()
        self.leave_port_group()
        self.hop = None
        super().close()
        self.errors = None
        self.copies = None


def _refuse_sticky_header(value: bytes) -> None:
    """An extension header for all datagrams of a socket. EINVAL; ENOPROTOOPT, because sockets keep none. An empty value
    takes the header away.
    """
    if len(value) == 0:
        return
    if len(value) < _LEAST_EXTENSION or len(value) & 7 != 0 or len(value) > _LARGEST_EXTENSION:
        raise Errno(EINVAL)
    raise Errno(ENOPROTOOPT)


def check_own_family(address: bytes, family: int) -> None:
    """For connect(2) of sockets that take addresses of their own family only: EINVAL, EAFNOSUPPORT."""
    if len(address) < (SOCKADDR_IN if family == AF_INET else SOCKADDR_IN6_LEAST):
        raise Errno(EINVAL)
    if family_of(address) != family:
        raise Errno(EAFNOSUPPORT)


def check_family_length(address: bytes, family: int) -> None:
    """For connect(2): EINVAL without a family or with a short address, EAFNOSUPPORT for another family."""
    found = family_of(address)
    if family == AF_INET:
        if len(address) < 16:
            raise Errno(EINVAL)
        if found != AF_INET:
            raise Errno(EAFNOSUPPORT)
    elif found == AF_INET:
        if len(address) < 16:
            raise Errno(EINVAL)
    else:
        if len(address) < 24:
            raise Errno(EINVAL)
        if found != AF_INET6:
            raise Errno(EAFNOSUPPORT)
