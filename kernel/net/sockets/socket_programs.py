"""Programs of bpf(2) that hear of the Internet sockets of a control group: when one is created, has got a port by
bind(2), and is closed. They may refuse the first two, and choose the interface, the mark and the priority of a new one.

A socket belongs to the group in which it was created, an accepted one to its listener's. Sockets of the kernel's own
are nobody's.

Where a socket is bound, other threads can reach it, so programs run through at once, as those for packets do, and may
take MOST_COST instructions together. One that is being created is nobody else's. One that is being closed is no longer
any program's, but packets still come in for it while these run.

Context: takes safe points where a socket is created or closed. May raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (struct bpf_sock).
"""

from typing import Final

from kernel.bpf.program import UNBOUNDED
from kernel.bpf.subject import (
    SOCKET_ADDRESS4,
    SOCKET_ADDRESS6,
    SOCKET_BOUND4,
    SOCKET_BOUND6,
    SOCKET_CONTEXT,
    SOCKET_CREATED,
    SOCKET_DEVICE,
    SOCKET_FAMILY,
    SOCKET_KIND,
    SOCKET_MARK,
    SOCKET_PEER4,
    SOCKET_PEER6,
    SOCKET_PEER_PORT,
    SOCKET_PORT,
    SOCKET_PRIORITY,
    SOCKET_PROTOCOL,
    SOCKET_QUEUE,
    SOCKET_STATE,
)
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import effective_programs
from kernel.fs.bpf.devices import WORLD
from kernel.lang import Span, final, span_of, u8
from kernel.lib.pace import is_dying, spend
from kernel.net.internet.addresses import mapped
from kernel.net.internet.sysctl import CORE
from kernel.net.sockets.packet_context import MOST_COST
from kernel.net.sockets.socket import AF_INET6, Socket

_LOOK_COST: Final = 2000  # to find the programs
_NO_QUEUE: Final = 0xFFFF_FFFF
_WORD: Final = 0xFFFF_FFFF


@final
class Names:
    """What programs learn about a socket's addresses, 4 or 16 bytes or none, and of its state as TCP numbers it."""

    def __init__(self, local: bytes, port: int, remote: bytes, remote_port: int, state: int) -> None:
        self.local: bytes = local
        self.port: int = port
        self.remote: bytes = remote
        self.remote_port: int = remote_port
        self.state: int = state


def permit(socket: Socket, purpose: int, names: Names) -> bool:
    """Whether all programs that count for the socket's group permit it. What they change holds in any case."""
    spend(_LOOK_COST)
    group = socket.group
    if group is None:
        return True
    assert isinstance(group, ControlGroup)
    programs = effective_programs(group, purpose)
    if len(programs) == 0:
        return True
    is_at_once = purpose == SOCKET_BOUND4 or purpose == SOCKET_BOUND6
    context = _context_of(socket, names)
    permits = True
    left = MOST_COST
    room = CORE.optmem(socket.network)
    for program in programs:  # each is asked, whatever those before it said: they may count
        answer, cost = program.judge_socket(context, socket.inode.ino, left if is_at_once else UNBOUNDED, WORLD, room)
        if answer == 0:
            permits = False
        if is_at_once:
            left -= cost
            spend(cost)
        elif purpose == SOCKET_CREATED and is_dying():
            break  # nobody will have it; the end of a socket all must hear of
    if not is_at_once:
        _take_changes(socket, span_of(context))
    return permits


def _context_of(socket: Socket, names: Names) -> bytearray:
    """A struct bpf_sock."""
    context = bytearray(SOCKET_CONTEXT)
    words = span_of(context)
    words.store_u32(SOCKET_DEVICE, socket.bound_device)
    words.store_u32(SOCKET_FAMILY, socket.family)
    words.store_u32(SOCKET_KIND, socket.kind)
    words.store_u32(SOCKET_PROTOCOL, socket.protocol)
    words.store_u32(SOCKET_MARK, socket.mark & _WORD)
    words.store_u32(SOCKET_PRIORITY, socket.priority & _WORD)
    is_ip6 = socket.family == AF_INET6
    _put(words, SOCKET_ADDRESS4, SOCKET_ADDRESS6, names.local, is_ip6)
    words.store_u32(SOCKET_PORT, names.port)
    words.store_be16(SOCKET_PEER_PORT, names.remote_port)
    _put(words, SOCKET_PEER4, SOCKET_PEER6, names.remote, is_ip6)
    words.store_u32(SOCKET_STATE, names.state)
    words.store_u32(SOCKET_QUEUE, _NO_QUEUE)
    return context


def _put(words: Span[u8], place4: int, place6: int, address: bytes, is_ip6: bool) -> None:
    """An address in the order of the network; zeros for none."""
    if len(address) == 4:
        words[place4 : place4 + 4].copy_from(span_of(address))
    if is_ip6 and len(address) != 0:
        words[place6 : place6 + 16].copy_from(span_of(mapped(address)))


def _take_changes(socket: Socket, words: Span[u8]) -> None:
    socket.bound_device = words.load_u32(SOCKET_DEVICE)  # whatever it is, as on Linux: no device may have that index
    socket.mark = words.load_u32(SOCKET_MARK)
    socket.priority = _signed(words.load_u32(SOCKET_PRIORITY))


def _signed(word: int) -> int:
    return word - (1 << 32) if word >= 1 << 31 else word
