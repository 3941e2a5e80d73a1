"""What the rest of the kernel keeps, and the checker takes for granted.

Each line is a promise of the place that it names. Fields are named by the class that declares them, in any module.
"""

from __future__ import annotations

from tools.given.values import LEAST, MOST, Value

_USER_END = 1 << 47
_BUFFERS = ("Buffer", "UserBuffer", "UserVector", "KernelBuffer")

# The doors to user memory: what they return was given.
SOURCES: dict[str, Value] = {
    "kernel.lib.user.read_u8": Value(0, (1 << 8) - 1, given=True),
    "kernel.lib.user.read_u16": Value(0, (1 << 16) - 1, given=True),
    "kernel.lib.user.read_u32": Value(0, (1 << 32) - 1, given=True),
    "kernel.lib.user.read_i32": Value(-(1 << 31), (1 << 31) - 1, given=True),
    "kernel.lib.user.read_i64": Value(LEAST, MOST, given=True),
    "kernel.lib.user.read_u64": Value(LEAST, MOST, given=True),
}

RESULTS: dict[str, Value] = {
    f"kernel.lib.user.{cls}.{method}": Value(0, 1 << 40)
    for cls in _BUFFERS
    for method in ("put", "take", "put_bytes", "put_zeros")
}

RESULTS["kernel.time.clock.monotonic_ns"] = Value(0, 1 << 59)  # 18 years
RESULTS["kernel.time.clock.realtime_ns"] = Value(0, 9 * 10**18)

# What operations of files and sockets return: bytes that were moved. By name, of whatever class.
MOVING = frozenset(
    ("read", "write", "pread", "pwrite", "pread_direct", "pwrite_direct", "read_at", "write_at", "read_here",
     "write_here", "write_by", "send", "receive", "peek_into", "read_at_once", "write_at_once", "transfer")
)  # fmt: skip
MOVED = Value(0, 1 << 40)

FIELDS: dict[tuple[str, str], Value] = {
    ("Buffer", "remaining"): Value(0, 1 << 47, given=True),
    **{
        ("Packet", name): Value(0, 1 << 20)
        for name in ("start", "end", "network_start", "transport_start", "link_start")
    },
    ("Record", "link_offset"): Value(0, 1 << 20),
    ("Record", "kept"): Value(0, 1 << 32),
    ("Pipe", "count"): Value(0, 1 << 40),
    ("Area", "start"): Value(0, _USER_END),
    ("Area", "end"): Value(0, _USER_END),
    ("Area", "first_page"): Value(0, 1 << 53),
    ("AddressSpace", "mapped_bytes"): Value(0, _USER_END),
    ("Inode", "size"): Value(0, (1 << 63) - 1, given=True),
    ("File", "position"): Value(0, (1 << 63) - 1, given=True),
    ("MappedFile", "mode"): Value(0, 0xFFFF),
    ("FileSystem", "block_size"): Value(512, 1 << 16),
    ("BlockDevice", "sectors"): Value(0, 1 << 54),
    ("BlockDevice", "logical_block_size"): Value(512, 1 << 12),
    **{
        ("TaskCounts", name): Value(0, 1 << 62)  # of calls and bytes that were
        for name in ("read_calls", "write_calls", "read_bytes", "written_bytes")
    },
    **{
        ("Progress", name): Value(0, 1 << 62)  # of completions and timeouts that were
        for name in ("posted", "timed_out")
    },
    ("HeldMemory", "group_bytes"): Value(0, 1 << 46),
    ("HeldMemory", "kept_bytes"): Value(0, 1 << 46),
    ("RingShape", "entry_count"): Value(0, 1 << 16),
    ("RingShape", "completion_count"): Value(0, 1 << 17),
    ("RingShape", "entry_size"): Value(0, 1 << 8),
    ("RingShape", "completion_size"): Value(0, 1 << 6),
    ("RingShape", "array_at"): Value(0, 1 << 24),
    # A submission's fields, by how wide they are there
    ("SubmissionEntry", "opcode"): Value(0, (1 << 8) - 1, given=True),
    ("SubmissionEntry", "flags"): Value(0, (1 << 8) - 1, given=True),
    ("SubmissionEntry", "priority"): Value(0, (1 << 16) - 1, given=True),
    ("SubmissionEntry", "descriptor"): Value(-(1 << 31), (1 << 31) - 1, given=True),
    ("SubmissionEntry", "offset"): Value(LEAST, MOST, given=True),
    ("SubmissionEntry", "address"): Value(LEAST, MOST, given=True),
    ("SubmissionEntry", "length"): Value(0, (1 << 32) - 1, given=True),
    ("SubmissionEntry", "modifiers"): Value(0, (1 << 32) - 1, given=True),
    ("SubmissionEntry", "buffer_index"): Value(0, (1 << 16) - 1, given=True),
    ("SubmissionEntry", "personality"): Value(0, (1 << 16) - 1, given=True),
    ("SubmissionEntry", "other"): Value(-(1 << 31), (1 << 31) - 1, given=True),
    ("SubmissionEntry", "address3"): Value(LEAST, MOST, given=True),
    ("SubmissionEntry", "last"): Value(LEAST, MOST, given=True),
    ("RequestProgress", "moved"): Value(0, 1 << 62),
    ("Wishes", "policy"): Value(0, 6),
    ("Wishes", "nice"): Value(-20, 19),
    ("Wishes", "realtime_priority"): Value(0, 99),
    **{
        ("Accounts", name): Value(0, 1 << 61)
        for name in ("voluntary_switches", "involuntary_switches", "migrations")
    },
    **{
        ("ReceivedData", name): Value(0, 1 << 40)
        for name in ("bytes", "messages", "memory", "low_water")
    },
    ("HugePool", "shift"): Value(21, 30),
    ("Map", "slots"): Value(0, 1 << 32),
    ("Map", "_stride"): Value(0, 1 << 24),
    ("Map", "value_size"): Value(0, 1 << 24),
    ("Map", "copies"): Value(1, 1 << 6),
    ("Geometry", "block_shift"): Value(10, 16),
    ("Geometry", "block_size"): Value(1 << 10, 1 << 16),
}

# Whatever comes back from these has given an address of user memory: the first argument.
FOLLOWING = tuple(
    f"kernel.lib.user.{name}"
    for name in (
        "read_u8", "read_u16", "read_u32", "read_i32", "read_i64", "read_u64", "write_u8", "write_u16", "write_u32",
        "write_i32", "write_i64", "write_u64", "write_from", "write_bytes", "read_string", "read_struct",
        "compare_and_swap_u32",
    )
)  # fmt: skip
READING = ("kernel.lib.user.read_into",)  # the second argument
FOLLOWED = Value(0, _USER_END)
