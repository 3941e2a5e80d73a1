"""ctnetlink: programs list, change and end connections, and receive events about them (conntrack(8)).

Requests of subsystem NFNL_SUBSYS_CTNETLINK; events to the groups of NETLINK_NETFILTER for new, changed and ended
connections. What Linux does not let programs change (a connection's NAT, its master), and what is missing (helpers,
labels, zones other than 0), is refused as by a kernel without it. There are no expectations, so their list is empty.

Context: system calls; lists are written with pauses, in which connections may come and go. Events are sent wherever
connections change; nothing sleeps there.
"""

from typing import Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENOENT, EOPNOTSUPP, EPERM, ERANGE, Errno, final, noinline
from kernel.lib.pace import pace_or_end
from kernel.net.filter import tracking
from kernel.net.filter.access import identifier, set_mark
from kernel.net.filter.connection import (
    EVENT_ASSURED,
    EVENT_DESTROY,
    EVENT_MARK,
    EVENT_NEW,
    EVENT_PROTOCOL,
    EVENT_RELATED,
    EVENT_REPLY,
    STATUS_ASSURED,
    STATUS_CONFIRMED,
    STATUS_DYING,
    STATUS_EXPECTED,
    STATUS_FIXED_TIMEOUT,
    STATUS_SEEN_REPLY,
    Connection,
)
from kernel.net.filter.connection_table import (
    WATCH,
    ConnectionTable,
    ConnectionWatcher,
    Statistics,
    Walk,
    find_table,
    table_of,
)
from kernel.net.filter.tcp_state import SYN_SENT2, TcpState
from kernel.net.filter.tracking_settings import SETTINGS, in_ns
from kernel.net.filter.tuples import Tuple, inverse_kind
from kernel.net.internet.transport import PROTOCOL_ICMP, PROTOCOL_ICMP6, PROTOCOL_TCP
from kernel.net.link.network import Network
from kernel.net.netlink.connection_messages import (
    FILTER,
    HELP,
    ID,
    MARK,
    MARK_MASK,
    MESSAGE_DELETE,
    MESSAGE_NEW,
    NAT_DESTINATION,
    NAT_SOURCE,
    PROTOCOL_INFORMATION,
    STATUS,
    STATUS_MASK,
    TCP,
    TCP_STATE,
    TIMEOUT,
    TUPLE_MASTER,
    TUPLE_ORIGINAL,
    TUPLE_REPLY,
    ZONE,
    be32_of,
    family_of,
    put_be32,
    put_connection,
    put_event,
    read_tuple,
)
from kernel.net.netlink.messages import (
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_DUMP_FILTERED,
    NLM_F_EXCL,
    NLM_F_MULTI,
    MessageWriter,
    Request,
    find_attribute,
)
from kernel.net.netlink.socket import NETLINK_NETFILTER, has_listener, multicast, report_overrun
from kernel.net.netlink.subsystems import (
    NETFILTER_HEADER,
    NFNL_SUBSYS_CTNETLINK,
    NFNL_SUBSYS_CTNETLINK_EXP,
    Subsystem,
    begin_message,
    message_of,
    register_subsystem,
)
from kernel.time import monotonic_ns

_GROUP_NEW: Final = 1
_GROUP_UPDATE: Final = 2
_GROUP_DESTROY: Final = 3

_MESSAGE_GET: Final = 1
_MESSAGE_GET_AND_CLEAR: Final = 3
_MESSAGE_STATISTICS_OF_PROCESSORS: Final = 4
_MESSAGE_STATISTICS: Final = 5
_MESSAGE_DYING: Final = 6
_MESSAGE_UNCONFIRMED: Final = 7

_LINE_COST: Final = 10_000  # instructions for adding a connection to a list
_LOOK_COST: Final = 200
_WORD: Final = 0xFFFF_FFFF
_ALL: Final = _WORD
_LONGEST_S: Final = 0x7FFF_FFFF // 1000


@final
class Choice:
    """The connections that a request selects."""

    def __init__(self, request: Request, family: int) -> None:
        self.family: int = family  # 0: all
        mark = request.attribute(MARK)
        mask = request.attribute(MARK_MASK)
        self.mark: int = be32_of(mark, 0)
        self.mark_mask: int = 0 if len(mark) == 0 else be32_of(mask, _ALL)
        status = request.attribute(STATUS)
        self.status: int = be32_of(status, 0)
        self.status_mask: int = 0 if len(status) == 0 else be32_of(request.attribute(STATUS_MASK), self.status)
        self.is_filter: bool = family != 0 or len(mark) > 0 or len(status) > 0
        if len(request.attribute(FILTER)) > 0:
            raise Errno(EOPNOTSUPP)
        if len(status) > 0 and len(request.attribute(STATUS_MASK)) > 0 and self.status_mask == 0:
            raise Errno(EINVAL)

    def takes(self, connection: Connection) -> bool:
        if self.family != 0 and family_of(connection) != self.family:
            return False
        if connection.mark & self.mark_mask != self.mark:
            return False
        return connection.status & self.status_mask == self.status


@final
class _Connections(Subsystem):
    """NFNL_SUBSYS_CTNETLINK."""

    def wants_dump(self, request: Request) -> bool:
        message = message_of(request)
        if message == _MESSAGE_STATISTICS:
            return False
        return message != MESSAGE_NEW and message != MESSAGE_DELETE and request.flags & NLM_F_DUMP == NLM_F_DUMP

    def dump(self, request: Request, writer: MessageWriter) -> int:
        message = message_of(request)
        family = request.payload(NETFILTER_HEADER)[0]
        if message == _MESSAGE_STATISTICS_OF_PROCESSORS:
            _put_statistics(request.network, writer)
        elif message == _MESSAGE_GET or message == _MESSAGE_GET_AND_CLEAR:
            _list(request, writer, family, clears=message == _MESSAGE_GET_AND_CLEAR)
        elif message != _MESSAGE_DYING and message != _MESSAGE_UNCONFIRMED:
            raise Errno(EINVAL)
        return 0

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        message = message_of(request)
        header = request.payload(NETFILTER_HEADER)
        family = header[0]
        version = header[1]
        writer.answer_to(request.sequence, request.port, NLM_F_MULTI)  # as Linux marks them
        if message == MESSAGE_NEW:
            _change_or_create(request, family)
        elif message == _MESSAGE_GET or message == _MESSAGE_GET_AND_CLEAR:
            found = _find(request, family)
            put_connection(writer, found, uses=2)
            if message == _MESSAGE_GET_AND_CLEAR:
                _clear(found)
        elif message == MESSAGE_DELETE:
            _delete(request, family, version)
        elif message == _MESSAGE_STATISTICS:
            _put_totals(request.network, writer)
        elif message == _MESSAGE_STATISTICS_OF_PROCESSORS:
            raise Errno(EOPNOTSUPP)
        elif message == _MESSAGE_DYING or message == _MESSAGE_UNCONFIRMED:
            raise Errno(EOPNOTSUPP)
        else:
            raise Errno(EINVAL)


@final
class _Expectations(Subsystem):
    """NFNL_SUBSYS_CTNETLINK_EXP: there are no expectations, because there are no helpers."""

    def wants_dump(self, request: Request) -> bool:
        return message_of(request) == _MESSAGE_GET and request.flags & NLM_F_DUMP == NLM_F_DUMP

    def dump(self, request: Request, writer: MessageWriter) -> int:
        request.payload(NETFILTER_HEADER)
        return 0

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        message = message_of(request)
        request.payload(NETFILTER_HEADER)
        if message == MESSAGE_DELETE and len(request.raw) <= request.attributes_start:
            return  # all of them
        raise Errno(ENOENT if message == _MESSAGE_GET or message == MESSAGE_DELETE else EOPNOTSUPP)


# ---- Requests ---------------------------------------------------------------------------------------------------


def _list(request: Request, writer: MessageWriter, family: int, clears: bool) -> None:
    """List all selected connections. Sleeps."""
    choice = Choice(request, family)
    if choice.is_filter:
        writer.answer_to(request.sequence, request.port, NLM_F_MULTI | NLM_F_DUMP_FILTERED)
    with Walk(find_table(request.network)) as walk:
        while True:
            connection = walk.next()
            if connection is None:
                return
            if not choice.takes(connection):
                pace_or_end(_LOOK_COST)
                continue
            put_connection(writer, connection, uses=1)
            if clears:
                _clear(connection)
            writer.cut()
            pace_or_end(_LINE_COST)


def _clear(connection: Connection) -> None:
    """Reset its packet and byte counts."""
    connection.packets = 0
    connection.bytes = 0
    connection.reply_packets = 0
    connection.reply_bytes = 0


def _tuple_in(request: Request, family: int) -> Tuple | None:
    """The tuple that names a connection; None if the request has none."""
    if be16_zone(request) != 0:
        raise Errno(ENOENT)
    wanted = read_tuple(request, TUPLE_ORIGINAL, family)
    return wanted if wanted is not None else read_tuple(request, TUPLE_REPLY, family)


def be16_zone(request: Request) -> int:
    """The zone that a request names. Raises EINVAL."""
    zone = request.attribute(ZONE)
    if len(zone) == 0:
        return 0
    if len(zone) < 2:
        raise Errno(EINVAL)
    return zone[0] << 8 | zone[1]


def _find(request: Request, family: int) -> Connection:
    """The connection that a request names. Raises EINVAL, ENOENT."""
    wanted = _tuple_in(request, family)
    if wanted is None:
        raise Errno(EINVAL)
    found = _look_up(request.network, wanted)
    if found is None:
        raise Errno(ENOENT)
    return found


def _look_up(network: Network, wanted: Tuple) -> Connection | None:
    table = find_table(network)
    if table is None:
        return None
    wanted.compute_hash()
    found = table.find(wanted)
    return None if found is None else found.connection


def _delete(request: Request, family: int, version: int) -> None:
    """Delete one connection, or all that were selected. Sleeps. Raises ENOENT, EINVAL."""
    wanted = _tuple_in(request, family)
    table = find_table(request.network)
    if wanted is None:
        _flush(request, table, family if version != 0 else 0)
        return
    connection = _look_up(request.network, wanted)
    if connection is None or table is None:
        raise Errno(ENOENT)
    number = request.attribute(ID)
    if len(number) > 0 and be32_of(number, 0) != identifier(connection):
        raise Errno(ENOENT)
    table.drop(connection)


def _flush(request: Request, table: ConnectionTable | None, family: int) -> None:
    choice = Choice(request, family)
    with Walk(table) as walk:
        while True:
            connection = walk.next()
            if connection is None or table is None:
                return
            if choice.takes(connection):
                table.drop(connection)
            pace_or_end(_LOOK_COST)


def _change_or_create(request: Request, family: int) -> None:
    """Raises EINVAL, ENOENT, EEXIST, EOPNOTSUPP, EBUSY, EPERM, MemoryError."""
    wanted = _tuple_in(request, family)
    found = None if wanted is None else _look_up(request.network, wanted)
    if found is None:
        if not request.has(NLM_F_CREATE):
            raise Errno(ENOENT)
        _create(request, family)
    elif request.has(NLM_F_EXCL):
        raise Errno(EEXIST)
    else:
        _change(request, found)


def _change(request: Request, connection: Connection) -> None:
    """Change what programs may: status, timeout, TCP's state, mark."""
    for kind in (NAT_SOURCE, NAT_DESTINATION, TUPLE_MASTER, HELP):
        if len(request.attribute(kind)) > 0:
            raise Errno(EOPNOTSUPP)
    timeout = request.attribute(TIMEOUT)
    if len(timeout) > 0:
        if connection.has(STATUS_FIXED_TIMEOUT):
            raise Errno(EPERM)
        connection.refresh(in_ns(min(be32_of(timeout, 0), _LONGEST_S)), monotonic_ns())
    _set_status(request, connection)
    _set_protocol(request, connection)
    mark = request.attribute(MARK)
    if len(mark) > 0:
        mask = be32_of(request.attribute(MARK_MASK), 0) ^ _WORD
        if len(request.attribute(MARK_MASK)) > 0:
            set_mark(connection, connection.mark & mask ^ be32_of(mark, 0))
        else:
            set_mark(connection, be32_of(mark, 0))
    connection.note(EVENT_REPLY | EVENT_ASSURED | EVENT_PROTOCOL | EVENT_MARK)
    table = find_table(request.network)
    if table is not None and connection.has(STATUS_CONFIRMED):
        table.report(connection)


def _set_status(request: Request, connection: Connection) -> None:
    """Set status bits; only those may be set that the kernel sets too, and none may be cleared. Raises EBUSY."""
    raw = request.attribute(STATUS)
    if len(raw) == 0:
        return
    status = be32_of(raw, 0)
    changed = connection.status ^ status
    if changed & (STATUS_EXPECTED | STATUS_CONFIRMED | STATUS_DYING) != 0:
        raise Errno(EBUSY)
    if changed & ~status & (STATUS_SEEN_REPLY | STATUS_ASSURED) != 0:
        raise Errno(EBUSY)
    connection.status |= status & (STATUS_SEEN_REPLY | STATUS_ASSURED | STATUS_FIXED_TIMEOUT)


def _set_protocol(request: Request, connection: Connection) -> None:
    """Set TCP's state. Raises ERANGE."""
    raw = request.attribute(PROTOCOL_INFORMATION)
    tcp = connection.tcp
    if len(raw) == 0 or tcp is None:
        return
    state = find_attribute(find_attribute(raw, 0, TCP), 0, TCP_STATE)
    if len(state) > 0:
        if state[0] > SYN_SENT2:
            raise Errno(ERANGE)
        tcp.state = state[0]


def _create(request: Request, family: int) -> None:
    """Create a connection for a program: both tuples and the timeout are required. Raises EINVAL, EOPNOTSUPP."""
    original = read_tuple(request, TUPLE_ORIGINAL, family)
    reply = read_tuple(request, TUPLE_REPLY, family)
    timeout = request.attribute(TIMEOUT)
    if original is None or reply is None or len(timeout) == 0:
        raise Errno(EINVAL)
    for kind in (NAT_SOURCE, NAT_DESTINATION, TUPLE_MASTER, HELP):
        if len(request.attribute(kind)) > 0:
            raise Errno(EOPNOTSUPP)
    is_icmp = original.protocol == PROTOCOL_ICMP or original.protocol == PROTOCOL_ICMP6
    if is_icmp and inverse_kind(original.protocol, original.destination_port) < 0:
        raise Errno(EINVAL)
    if original.protocol != reply.protocol:
        raise Errno(EINVAL)
    table = table_of(request.network)
    if not table.make_room():
        raise MemoryError
    connection = Connection()
    connection.original.take(original)
    connection.reply.take(reply)
    connection.reply.is_reply = True
    connection.timeout_ns = in_ns(min(be32_of(timeout, 0), _LONGEST_S))
    connection.mark = be32_of(request.attribute(MARK), 0)
    connection.is_by_program = True
    tracking.set_extras(request.network, connection, monotonic_ns())
    if original.protocol == PROTOCOL_TCP:
        connection.tcp = TcpState()
    status = be32_of(request.attribute(STATUS), 0)
    connection.status = status & (STATUS_SEEN_REPLY | STATUS_ASSURED | STATUS_FIXED_TIMEOUT)
    _set_protocol(request, connection)
    if not table.confirm(connection):
        raise Errno(EEXIST)
    connection.note(EVENT_REPLY | EVENT_ASSURED | EVENT_PROTOCOL | EVENT_MARK)
    table.report(connection)


# ---- Statistics -------------------------------------------------------------------------------------------------


def _put_statistics(network: Network, writer: MessageWriter) -> None:
    """Write the counters: all belong to the first processor."""
    table = find_table(network)
    counted = Statistics() if table is None else table.statistics
    begin_message(writer, NFNL_SUBSYS_CTNETLINK, _MESSAGE_STATISTICS_OF_PROCESSORS, 0)
    put_be32(writer, 2, counted.found)
    put_be32(writer, 4, counted.invalid)
    put_be32(writer, 8, counted.inserted)
    put_be32(writer, 9, counted.insert_failed)
    put_be32(writer, 10, counted.dropped)
    put_be32(writer, 11, counted.dropped_early)
    put_be32(writer, 12, counted.errors)
    for kind in (13, 14, 15):
        put_be32(writer, kind, 0)  # restarted searches, clashes, chains that were too long
    writer.end()


def _put_totals(network: Network, writer: MessageWriter) -> None:
    table = find_table(network)
    begin_message(writer, NFNL_SUBSYS_CTNETLINK, _MESSAGE_STATISTICS, 0)
    put_be32(writer, 1, 0 if table is None else table.count)
    put_be32(writer, 2, SETTINGS.most.value)
    writer.end()


# ---- Events -----------------------------------------------------------------------------------------------------


@final
class _Watcher(ConnectionWatcher):
    def has_listener(self, network: Network) -> bool:
        for group in (_GROUP_NEW, _GROUP_UPDATE, _GROUP_DESTROY):
            if has_listener(network, NETLINK_NETFILTER, group):
                return True
        return False

    def changed(self, network: Network, connection: Connection, changes: int) -> None:
        group = _GROUP_UPDATE
        if changes & EVENT_DESTROY != 0:
            group = _GROUP_DESTROY
        elif changes & (EVENT_NEW | EVENT_RELATED) != 0:
            group = _GROUP_NEW
        if not has_listener(network, NETLINK_NETFILTER, group):
            return
        try:
            multicast(network, NETLINK_NETFILTER, group, _event(connection, changes), 0, None)
        except MemoryError:
            report_overrun(network, NETLINK_NETFILTER, group)


@noinline  # what it needs of the stack is free again when the listeners get it: they are on the deepest path
def _event(connection: Connection, changes: int) -> bytes:
    writer = MessageWriter()
    put_event(writer, connection, changes)
    return bytes(writer.data)


WATCH.watcher = _Watcher()
register_subsystem(NFNL_SUBSYS_CTNETLINK, _Connections())
register_subsystem(NFNL_SUBSYS_CTNETLINK_EXP, _Expectations())
