"""Programs of bpf(2) that see the addresses of a control group's sockets: those that bind(2), connect(2) and sendto(2)
are given, and may forbid, and those that recvfrom(2), getpeername(2) and getsockname(2) tell. They may change them.

`socket_programs.py` says which group a socket belongs to. A call checks an address after the programs have run, so
nothing must stay as it was meanwhile.

Context: takes safe points. May raise MemoryError.
Source: bpf(2); Linux's include/uapi/linux/bpf.h (struct bpf_sock_addr).
"""

from typing import Final

from kernel.bpf.subject import (
    ADDRESS_CONTEXT,
    ADDRESS_FAMILY,
    ADDRESS_IP4,
    ADDRESS_IP6,
    ADDRESS_PORT,
    ADDRESS_SOCKET_FAMILY,
    ADDRESS_SOCKET_KIND,
    ADDRESS_SOCKET_PROTOCOL,
    ADDRESS_SOURCE4,
    ADDRESS_SOURCE6,
)
from kernel.cgroup.group import ControlGroup
from kernel.cgroup.programs import effective_programs
from kernel.fs.bpf.devices import WORLD
from kernel.lang import span_of
from kernel.lib.pace import is_dying, spend
from kernel.net.internet.sysctl import CORE
from kernel.net.sockets.socket import Socket

REFUSED: Final = 0
PERMITTED: Final = 1
ANY_PORT: Final = 3  # and bind(2) asks for no capability to take a port of the system's
_LOOK_COST: Final = 2000  # to find the programs


def judge(socket: Socket, place4: int, size: int, name: bytearray, source: bytearray) -> int:
    """Ask all programs that count for the socket's group: REFUSED, PERMITTED or ANY_PORT.

    `place4` is the place for IPv4. Addresses have `size` bytes, 4 or 16. `name` is a struct sockaddr that has room for
    one, or empty for none; `source` an address, or empty. The programs change both.
    """
    spend(_LOOK_COST)
    group = socket.group
    if group is None:
        return PERMITTED
    assert isinstance(group, ControlGroup)
    programs = effective_programs(group, place4 if size == 4 else place4 + 1)
    if len(programs) == 0:
        return PERMITTED
    context = bytearray(ADDRESS_CONTEXT)
    words = span_of(context)
    place = ADDRESS_IP4 if size == 4 else ADDRESS_IP6
    start = 4 if size == 4 else 8  # of the address in its struct sockaddr
    if len(name) != 0:
        words.store_u32(ADDRESS_FAMILY, span_of(name).load_u16(0))
        words[place : place + size].copy_from(span_of(name)[start : start + size])
        words[ADDRESS_PORT : ADDRESS_PORT + 2].copy_from(span_of(name)[2:4])
    words.store_u32(ADDRESS_SOCKET_FAMILY, socket.family)
    words.store_u32(ADDRESS_SOCKET_KIND, socket.kind)
    words.store_u32(ADDRESS_SOCKET_PROTOCOL, socket.protocol)
    source_place = ADDRESS_SOURCE4 if size == 4 else ADDRESS_SOURCE6
    words[source_place : source_place + len(source)].copy_from(span_of(source))
    answer = PERMITTED
    is_refused = False
    for program in programs:  # each is asked, whatever those before it said: they may count
        given = program.judge_address(context, socket.inode.ino, WORLD, CORE.optmem(socket.network))
        answer |= given
        is_refused = is_refused or given & PERMITTED == 0
        if is_dying():
            break
    left = span_of(context)
    if len(name) != 0:
        span_of(name)[start : start + size].copy_from(left[place : place + size])
        span_of(name)[2:4].copy_from(left[ADDRESS_PORT : ADDRESS_PORT + 2])
    span_of(source).copy_from(left[source_place : source_place + len(source)])
    return REFUSED if is_refused else answer
