"""Kernel functions that programs of BPF may call, by number: the arguments that each takes, and its result.

Context: any; nothing raises or allocates.
Source: bpf-helpers(7).
"""

from typing import Final

from kernel.bpf.code import (
    CGROUP_DEVICE,
    CGROUP_SKB,
    CGROUP_SOCK,
    CGROUP_SOCK_ADDR,
    PERF_EVENT,
    RAW_TRACEPOINT,
    SOCKET_FILTER,
    TRACEPOINT,
)
from kernel.bpf.maps import (
    ARRAY_OF_MAPS,
    BLOOM,
    EVENT_ARRAY,
    FOR_EACH_PROCESSOR,
    GROUP_ARRAY,
    GROUP_STORAGE,
    HASH_OF_MAPS,
    PROGRAM_ARRAY,
    QUEUE,
    RING,
    SOCKET_STORAGE,
    STACK,
    TASK_STORAGE,
)

# Arguments.
NOTHING: Final = 0
ANYTHING: Final = 1
OF_MAP: Final = 2  # a map itself
MAP_KEY: Final = 3  # memory with a key of that map
MAP_VALUE: Final = 4  # … with a value
BUFFER: Final = 5  # memory that is written, whose size comes next
SIZE: Final = 6  # 1 or more
OF_CONTEXT: Final = 7  # the program's context
MAP_ROOM: Final = 8  # memory for a value of that map, which is written
READ_BUFFER: Final = 9  # memory that is read, whose size comes next and may be 0
CONSTANT: Final = 10  # a number that the verifier knows
GIVEN_BACK: Final = 11  # a record of a ring, which the program gives back
OF_SOCKET: Final = 12  # a socket
VALUE_OR_NONE: Final = 13  # memory with a value of the map, or 0
ROOM: Final = 14  # the same as BUFFER, whose size may be 0

LOOKUP: Final = 1
UPDATE: Final = 2
DELETE: Final = 3
PROBE_READ: Final = 4
KTIME_NS: Final = 5
TRACE_PRINTK: Final = 6
RANDOM: Final = 7
PROCESSOR: Final = 8
TAIL_CALL: Final = 12
PID_TGID: Final = 14
UID_GID: Final = 15
COMMAND: Final = 16
EVENT_READ: Final = 22
EVENT_OUTPUT: Final = 25
LOAD_BYTES: Final = 26
NUMA_NODE: Final = 42
PROBE_READ_TEXT: Final = 45
SOCKET_COOKIE: Final = 46
SOCKET_UID: Final = 47
EVENT_READ_VALUE: Final = 55
OWN_EVENT_VALUE: Final = 56
LOAD_BYTES_RELATIVE: Final = 68
CURRENT_CGROUP: Final = 80
PUSH: Final = 87
POP: Final = 88
PEEK: Final = 89
STORAGE_GET: Final = 107
STORAGE_DELETE: Final = 108
PROBE_USER: Final = 112
PROBE_KERNEL: Final = 113
PROBE_USER_TEXT: Final = 114
PROBE_KERNEL_TEXT: Final = 115
JIFFIES: Final = 118
BOOT_NS: Final = 125
RING_OUTPUT: Final = 130
RING_RESERVE: Final = 131
RING_SUBMIT: Final = 132
RING_DISCARD: Final = 133
RING_QUERY: Final = 134
ATTACH_COOKIE: Final = 174
LOOKUP_PERCPU: Final = 195

_ARGUMENTS: Final[dict[int, list[int]]] = {
    LOOKUP: [OF_MAP, MAP_KEY],
    UPDATE: [OF_MAP, MAP_KEY, MAP_VALUE, ANYTHING],
    DELETE: [OF_MAP, MAP_KEY],
    KTIME_NS: [],
    RANDOM: [],
    PROCESSOR: [],
    TAIL_CALL: [OF_CONTEXT, OF_MAP, ANYTHING],
    PID_TGID: [],
    UID_GID: [],
    COMMAND: [BUFFER, SIZE],
    LOAD_BYTES: [OF_CONTEXT, ANYTHING, BUFFER, SIZE],
    NUMA_NODE: [],
    SOCKET_COOKIE: [OF_CONTEXT],
    SOCKET_UID: [OF_CONTEXT],
    LOAD_BYTES_RELATIVE: [OF_CONTEXT, ANYTHING, BUFFER, SIZE, ANYTHING],
    CURRENT_CGROUP: [],
    PUSH: [OF_MAP, MAP_VALUE, ANYTHING],
    POP: [OF_MAP, MAP_ROOM],
    PEEK: [OF_MAP, MAP_ROOM],
    STORAGE_GET: [OF_MAP, OF_SOCKET, VALUE_OR_NONE, ANYTHING],
    STORAGE_DELETE: [OF_MAP, OF_SOCKET],
    BOOT_NS: [],
    RING_OUTPUT: [OF_MAP, READ_BUFFER, SIZE, ANYTHING],
    RING_RESERVE: [OF_MAP, CONSTANT, ANYTHING],
    RING_SUBMIT: [GIVEN_BACK, ANYTHING],
    RING_DISCARD: [GIVEN_BACK, ANYTHING],
    RING_QUERY: [OF_MAP, ANYTHING],
    LOOKUP_PERCPU: [OF_MAP, MAP_KEY, ANYTHING],
    JIFFIES: [],
    TRACE_PRINTK: [READ_BUFFER, SIZE],
    PROBE_READ: [ROOM, SIZE, ANYTHING],
    PROBE_READ_TEXT: [ROOM, SIZE, ANYTHING],
    PROBE_USER: [ROOM, SIZE, ANYTHING],
    PROBE_KERNEL: [ROOM, SIZE, ANYTHING],
    PROBE_USER_TEXT: [ROOM, SIZE, ANYTHING],
    PROBE_KERNEL_TEXT: [ROOM, SIZE, ANYTHING],
    EVENT_READ: [OF_MAP, ANYTHING],
    EVENT_OUTPUT: [OF_CONTEXT, OF_MAP, ANYTHING, READ_BUFFER, SIZE],
    EVENT_READ_VALUE: [OF_MAP, ANYTHING, BUFFER, SIZE],
    OWN_EVENT_VALUE: [OF_CONTEXT, BUFFER, SIZE],
    ATTACH_COOKIE: [OF_CONTEXT],
}
_OF_OWN_SOCKET: Final[list[int]] = [OF_MAP, OF_CONTEXT, VALUE_OR_NONE, ANYTHING]  # where the context is the socket
_TRACING: Final[list[int]] = [TRACEPOINT, PERF_EVENT, RAW_TRACEPOINT]
# Those that not all types have, and which do.
_TYPES: Final[dict[int, list[int]]] = {
    UID_GID: [CGROUP_DEVICE, CGROUP_SOCK, CGROUP_SOCK_ADDR, *_TRACING],
    COMMAND: [CGROUP_DEVICE, CGROUP_SOCK, CGROUP_SOCK_ADDR, *_TRACING],
    LOAD_BYTES: [SOCKET_FILTER, CGROUP_SKB],
    LOAD_BYTES_RELATIVE: [SOCKET_FILTER, CGROUP_SKB],
    SOCKET_COOKIE: [SOCKET_FILTER, CGROUP_SOCK, CGROUP_SOCK_ADDR],
    SOCKET_UID: [SOCKET_FILTER],
    STORAGE_GET: [CGROUP_SOCK, CGROUP_SOCK_ADDR],
    STORAGE_DELETE: [CGROUP_SOCK_ADDR],
    PROBE_READ: _TRACING,
    PROBE_READ_TEXT: _TRACING,
    EVENT_READ: _TRACING,
    EVENT_OUTPUT: _TRACING,
    EVENT_READ_VALUE: _TRACING,
    OWN_EVENT_VALUE: [PERF_EVENT],
    ATTACH_COOKIE: _TRACING,
}
_PROBES: Final[list[int]] = [PROBE_USER, PROBE_KERNEL, PROBE_USER_TEXT, PROBE_KERNEL_TEXT]
_FOR_PROGRAMMERS: Final[list[int]] = [CURRENT_CGROUP, JIFFIES]  # CAP_BPF
_FOR_OBSERVERS: Final[list[int]] = [TRACE_PRINTK, *_PROBES]  # CAP_PERFMON
_FOR_FREE: Final[list[int]] = [  # programs whose licence is compatible with the GPL
    TRACE_PRINTK, PROBE_READ, PROBE_READ_TEXT, *_PROBES, EVENT_READ, EVENT_OUTPUT, EVENT_READ_VALUE, OWN_EVENT_VALUE,
]  # fmt: skip
# The kinds of maps that a helper is for alone, and the helpers that a kind of map is for alone.
_KINDS: Final[dict[int, list[int]]] = {
    TAIL_CALL: [PROGRAM_ARRAY],
    PUSH: [QUEUE, STACK, BLOOM],
    POP: [QUEUE, STACK],
    PEEK: [QUEUE, STACK, BLOOM],
    LOOKUP_PERCPU: FOR_EACH_PROCESSOR,
    RING_OUTPUT: [RING],
    RING_RESERVE: [RING],
    RING_QUERY: [RING],
    STORAGE_GET: [SOCKET_STORAGE],
    STORAGE_DELETE: [SOCKET_STORAGE],
    EVENT_READ: [EVENT_ARRAY],
    EVENT_OUTPUT: [EVENT_ARRAY],
    EVENT_READ_VALUE: [EVENT_ARRAY],
}
_HELPERS: Final[dict[int, list[int]]] = {
    PROGRAM_ARRAY: [TAIL_CALL],
    GROUP_ARRAY: [],
    ARRAY_OF_MAPS: [LOOKUP],
    HASH_OF_MAPS: [LOOKUP],
    QUEUE: [PUSH, POP, PEEK],
    STACK: [PUSH, POP, PEEK],
    BLOOM: [PUSH, PEEK],
    RING: [RING_OUTPUT, RING_RESERVE, RING_QUERY],
    SOCKET_STORAGE: [STORAGE_GET, STORAGE_DELETE],
    TASK_STORAGE: [],
    GROUP_STORAGE: [],
    EVENT_ARRAY: [EVENT_READ, EVENT_OUTPUT, EVENT_READ_VALUE],
}


def is_for(number: int, kind: int) -> bool:
    """Whether a helper takes maps of a kind."""
    kinds = _KINDS.get(number)
    if kinds is not None and kind not in kinds:
        return False
    helpers = _HELPERS.get(kind)
    return helpers is None or number in helpers


def arguments_of(number: int, program_type: int, may_program: bool, may_leak: bool) -> list[int] | None:
    """The kinds of arguments of a helper; None if programs of the type have none of that number, or only those whose
    loader has CAP_BPF or CAP_PERFMON.
    """
    if number in _FOR_PROGRAMMERS and not may_program:
        return None
    if number in _FOR_OBSERVERS and not may_leak:
        return None
    types = _TYPES.get(number)
    if types is not None and program_type not in types:
        return None
    if number == STORAGE_GET and program_type == CGROUP_SOCK:
        return _OF_OWN_SOCKET
    return _ARGUMENTS.get(number)


def is_for_free(number: int) -> bool:
    """Whether only programs may call a helper whose licence is compatible with the GPL."""
    return number in _FOR_FREE
