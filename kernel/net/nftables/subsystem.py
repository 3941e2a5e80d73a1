"""nf_tables as a subsystem of NETLINK_NETFILTER: batches, requests, dumps; and notifying listeners of changes.

Context: system calls, which sleep.
Source: linux/netfilter/nf_tables.h.
"""

from typing import Final

from kernel.lang import EINVAL, ENOENT, EOPNOTSUPP, Errno, final
from kernel.lib.pace import pace
from kernel.net.link.network import Network
from kernel.net.netlink import filter_socket
from kernel.net.netlink.filter_socket import BatchingSubsystem, check_generation
from kernel.net.netlink.messages import (
    NLM_F_APPEND,
    NLM_F_CREATE,
    NLM_F_DUMP,
    NLM_F_EXCL,
    MessageWriter,
    Request,
)
from kernel.net.netlink.socket import (
    NETLINK_NETFILTER,
    Datagram,
    has_listener,
    multicast,
    netlink_sockets_of,
    port_key,
    report_overrun,
)
from kernel.net.netlink.subsystems import register_subsystem
from kernel.net.nftables import (
    chains,
    compat_connections,
    compat_content,
    compat_facts,
    compat_headers,
    compat_nat,
    compat_senders,
    compat_targets,
    connections,
    counting,
    elements,
    facts,
    headers,
    objects,
    registers,
    rules,
    set_requests,
    table_requests,
    ways,
)
from kernel.net.nftables.attributes import put32, put_text
from kernel.net.nftables.batch import Batch
from kernel.net.nftables.message import (
    DELETE_CHAIN,
    DELETE_ELEMENT,
    DELETE_OBJECT,
    DELETE_RULE,
    DELETE_SET,
    DELETE_TABLE,
    DESTROY_CHAIN,
    DESTROY_ELEMENT,
    DESTROY_OBJECT,
    DESTROY_RULE,
    DESTROY_SET,
    DESTROY_TABLE,
    GET_CHAIN,
    GET_ELEMENT,
    GET_FLOWTABLE,
    GET_GENERATION,
    GET_OBJECT,
    GET_RULE,
    GET_SET,
    GET_TABLE,
    GROUP,
    NEW_CHAIN,
    NEW_ELEMENT,
    NEW_GENERATION,
    NEW_OBJECT,
    NEW_RULE,
    NEW_SET,
    NEW_TABLE,
    NLM_F_ECHO,
    RESET_ELEMENT,
    RESET_OBJECT,
    RESET_RULE,
    SUBSYSTEM,
    Message,
    begin,
)
from kernel.net.nftables.model import Firewall, firewall_of
from kernel.task import current

# Their expressions register themselves.
_ = (
    compat_connections, compat_content, compat_facts, compat_headers, compat_nat, compat_senders, compat_targets,
    connections, counting, facts, headers, registers, ways,
)  # fmt: skip

_GENERATION_ID: Final = 1
_GENERATION_PROCESS: Final = 2
_GENERATION_NAME: Final = 3
_LARGEST_NOTICE: Final = 4096  # bytes: messages that are sent together
_NAME_LIMIT: Final = 15
_REPORT_COST: Final = 2000  # instructions


@final
class Changes(filter_socket.Batch):
    """A batch."""

    def __init__(self, batch: Batch) -> None:
        self.batch: Batch = batch

    def add(self, request: Request) -> None:
        message = Message(request)
        batch = self.batch
        kind = message.kind
        if kind == NEW_RULE:
            rules.new_rule(message, batch)
        elif kind == NEW_ELEMENT:
            elements.new_elements(message, batch)
        elif kind == NEW_CHAIN:
            chains.new_chain(message, batch)
        elif kind == NEW_SET:
            set_requests.new_set(message, batch)
        elif kind == NEW_TABLE:
            table_requests.new_table(message, batch)
        elif kind == NEW_OBJECT:
            objects.new_object(message, batch)
        elif kind == DELETE_RULE or kind == DESTROY_RULE:
            rules.delete_rules(message, batch)
        elif kind == DELETE_ELEMENT or kind == DESTROY_ELEMENT:
            elements.delete_elements(message, batch)
        elif kind == DELETE_CHAIN or kind == DESTROY_CHAIN:
            chains.delete_chains(message, batch)
        elif kind == DELETE_SET or kind == DESTROY_SET:
            set_requests.delete_sets(message, batch)
        elif kind == DELETE_TABLE or kind == DESTROY_TABLE:
            table_requests.delete_table(message, batch)
        elif kind == DELETE_OBJECT or kind == DESTROY_OBJECT:
            objects.delete_objects(message, batch)
        elif kind <= RESET_ELEMENT and kind not in _ASKING:
            raise Errno(EOPNOTSUPP)  # flow tables
        else:
            raise Errno(EINVAL)

    def commit(self) -> None:
        self.batch.commit()
        try:
            if self.batch.steps.count > 0:
                _tell(self.batch)
        finally:
            self.batch.forget_steps()

    def culprit(self) -> Request | None:
        return self.batch.culprit

    def abort(self) -> None:
        self.batch.abort()


_ASKING: Final = (
    GET_TABLE, GET_CHAIN, GET_RULE, GET_SET, GET_ELEMENT, GET_OBJECT, GET_FLOWTABLE, GET_GENERATION, RESET_OBJECT,
    RESET_RULE, RESET_ELEMENT, NEW_GENERATION, 17,
)  # fmt: skip


def _tell(batch: Batch) -> None:
    """Notify listeners of a batch's changes, and its sender if it asked for an echo. Memory may be short."""
    network = batch.network
    is_heard = has_listener(network, NETLINK_NETFILTER, GROUP)
    try:
        heard = MessageWriter()
        echo = MessageWriter()
        for part in batch.steps.parts:
            for step in part:
                request = step.request
                if is_heard:
                    heard.answer_to(request.sequence, batch.port, _flags_of(request))
                    step.report(heard, batch.firewall)
                    if len(heard.data) > _LARGEST_NOTICE:
                        multicast(network, NETLINK_NETFILTER, GROUP, bytes(heard.data), 0, None)
                        heard = MessageWriter()
                if request.has(NLM_F_ECHO):
                    echo.answer_to(request.sequence, batch.port, _flags_of(request))
                    step.report(echo, batch.firewall)
                    if len(echo.data) > _LARGEST_NOTICE:
                        _send_back(batch, echo)
                        echo = MessageWriter()
                pace(_REPORT_COST)
        first = batch.steps.first().request
        if first.has(NLM_F_ECHO):
            echo.answer_to(first.sequence, batch.port, 0)
            _put_generation(echo, batch.firewall)
        if is_heard:
            heard.answer_to(first.sequence, batch.port, 0)
            _put_generation(heard, batch.firewall)
            multicast(network, NETLINK_NETFILTER, GROUP, bytes(heard.data), 0, None)
        if len(echo.data) > 0:
            _send_back(batch, echo)
    except MemoryError:
        report_overrun(network, NETLINK_NETFILTER, GROUP)


def _flags_of(request: Request) -> int:
    """The flags of a message's request, as listeners see them."""
    kept = NLM_F_CREATE | NLM_F_EXCL
    return request.flags & (kept | NLM_F_APPEND if request.kind & 0xFF == NEW_RULE else kept)


def _send_back(batch: Batch, writer: MessageWriter) -> None:
    socket = netlink_sockets_of(batch.network).by_port.get(port_key(NETLINK_NETFILTER, batch.port))
    if socket is not None:
        socket.enqueue(Datagram(bytes(writer.data), 0, 0))


def _put_generation(writer: MessageWriter, firewall: Firewall) -> None:
    begin(writer, NEW_GENERATION, 0, firewall.generation)
    put32(writer, _GENERATION_ID, firewall.generation)
    caller = current()
    put32(writer, _GENERATION_PROCESS, caller.own_pid)
    put_text(writer, _GENERATION_NAME, caller.name[:_NAME_LIMIT])
    writer.end()


@final
class Tables(BatchingSubsystem):
    """The subsystem."""

    def wants_dump(self, request: Request) -> bool:
        return request.flags & NLM_F_DUMP == NLM_F_DUMP

    def begin(self, first: Request, generation: int) -> filter_socket.Batch:
        firewall = firewall_of(first.network)
        firewall.lock.acquire_unless_dying()
        try:
            check_generation(generation, firewall.generation)
            return Changes(Batch(first, firewall))
        except (Errno, MemoryError):
            firewall.lock.release()
            raise

    def end(self, network: Network) -> None:
        firewall_of(network).lock.release()

    def dump(self, request: Request, writer: MessageWriter) -> int:
        message = Message(request)
        firewall = firewall_of(request.network)
        firewall.lock.acquire_unless_dying()
        try:
            _dump(message, firewall, writer)
        finally:
            firewall.lock.release()
        return 0

    def carry_out(self, request: Request, writer: MessageWriter) -> None:
        message = Message(request)
        firewall = firewall_of(request.network)
        firewall.lock.acquire_unless_dying()
        try:
            _get(message, firewall, writer)
        finally:
            firewall.lock.release()


def _dump(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    kind = message.kind
    if kind == GET_TABLE:
        table_requests.dump_tables(message, firewall, writer)
    elif kind == GET_CHAIN:
        chains.dump_chains(message, firewall, writer)
    elif kind == GET_RULE or kind == RESET_RULE:
        rules.dump_rules(message, firewall, writer)
    elif kind == GET_SET:
        set_requests.dump_sets(message, firewall, writer)
    elif kind == GET_ELEMENT or kind == RESET_ELEMENT:
        elements.dump_elements(message, firewall, writer)
    elif kind == GET_OBJECT or kind == RESET_OBJECT:
        objects.dump_objects(message, firewall, writer)
    elif kind == GET_GENERATION:
        _put_generation(writer, firewall)
    elif kind != GET_FLOWTABLE:
        raise Errno(EINVAL)


def _get(message: Message, firewall: Firewall, writer: MessageWriter) -> None:
    kind = message.kind
    if kind == GET_TABLE:
        table_requests.get_table(message, firewall, writer)
    elif kind == GET_CHAIN:
        chains.get_chain(message, firewall, writer)
    elif kind == GET_RULE or kind == RESET_RULE:
        rules.get_rule(message, firewall, writer)
    elif kind == GET_SET:
        set_requests.get_set(message, firewall, writer)
    elif kind == GET_ELEMENT or kind == RESET_ELEMENT:
        elements.get_elements(message, firewall, writer)
    elif kind == GET_OBJECT or kind == RESET_OBJECT:
        objects.get_object(message, firewall, writer)
    elif kind == GET_GENERATION:
        _put_generation(writer, firewall)
    elif kind == GET_FLOWTABLE:
        raise Errno(ENOENT)
    else:
        raise Errno(EINVAL)


register_subsystem(SUBSYSTEM, Tables())
