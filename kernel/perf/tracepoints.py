"""Tracepoints: places in the kernel that report what they do, and how their records are laid out (tracefs, `format`).

Those of system calls come from the call table: one at the entry of each call that is served, one at its exit, numbered
by the call. The others are listed here. Every record begins with the tracepoint's number and the thread.

Context: `RawData` is filled wherever a tracepoint is, between two threads too: nothing sleeps or allocates.
Source: tracefs of Linux 6.12, events/*/*/format.
"""

from typing import Final

from arch import CALL_LIMIT, CALL_NUMBERS
from kernel.lang import Span, final, span_of, u8
from kernel.perf.call_arguments import CALL_ARGUMENTS, EVENT_NAMES
from kernel.perf.event import BEHIND_CALLS, FIRST_CALL, RAW_ENTER, RAW_EXIT
from kernel.perf.words import store_word

SCHED_SWITCH: Final = 3
PROCESS_EXEC: Final = 4
PROCESS_FORK: Final = 5
PROCESS_EXIT: Final = 6

NAME_BYTES: Final = 16
MOST_BYTES: Final = 4096 + 64
_WORD: Final = 8
_ELSEWHERE: Final = b"__data_loc"  # a field that says where the text lies

_STATES: Final = (
    "((((0x00000000 | 0x00000001 | 0x00000002 | 0x00000004 | 0x00000008 | 0x00000010 | 0x00000020 | 0x00000040) + 1)"
    " << 1) - 1)"
)
_STATE_LETTERS: Final = (
    '{ 0x00000001, "S" }, { 0x00000002, "D" }, { 0x00000004, "T" }, { 0x00000008, "t" }, { 0x00000010, "X" }, '
    '{ 0x00000020, "Z" }, { 0x00000040, "P" }, { 0x00000080, "I" }'
)
_SWITCH_PRINTED: Final = (
    '"prev_comm=%s prev_pid=%d prev_prio=%d prev_state=%s%s ==> next_comm=%s next_pid=%d next_prio=%d", '
    f"REC->prev_comm, REC->prev_pid, REC->prev_prio, (REC->prev_state & {_STATES}) ? "
    f'__print_flags(REC->prev_state & {_STATES}, "|", {_STATE_LETTERS}) : "R", '
    f'REC->prev_state & {_STATES[1:-5]} ? "+" : "", REC->next_comm, REC->next_pid, REC->next_prio'
)


@final
class Field:
    """One field of a record."""

    def __init__(self, declaration: bytes, offset: int, size: int, is_signed: bool) -> None:
        self.declaration: bytes = declaration  # as in C: "char comm[16]"
        self.offset: int = offset
        self.size: int = size
        self.is_signed: bool = is_signed

    def name(self) -> bytes:
        """Its name."""
        end = self.declaration.find(b"[")
        text = self.declaration if end < 0 or self.declaration.startswith(_ELSEWHERE) else self.declaration[:end]
        return text[text.rfind(b" ") + 1 :]

    def is_text(self) -> bool:
        """Whether it is an array of characters."""
        return self.declaration.startswith(b"char ")

    def line(self) -> bytes:
        """Its line in the file `format`."""
        signed = 1 if self.is_signed else 0
        place = f";\toffset:{self.offset};\tsize:{self.size};\tsigned:{signed};\n".encode()
        return b"\tfield:" + self.declaration + place


@final
class Tracepoint:
    """One place."""

    def __init__(self, number: int, system: bytes, name: bytes, fields: list[Field], printed: bytes) -> None:
        self.number: int = number
        self.system: bytes = system
        self.name: bytes = name
        self.fields: list[Field] = fields
        self.printed: bytes = printed

    def format_text(self) -> bytes:
        """The file `format`. Raises MemoryError."""
        text = b"name: " + self.name + f"\nID: {self.number}\nformat:\n".encode()
        for field in _COMMON:
            text += field.line()
        text += b"\n"
        for field in self.fields:
            text += field.line()
        return text + b"\nprint fmt: " + self.printed + b"\n"

    def field(self, name: bytes) -> Field | None:
        """A field of the record."""
        for field in self.fields:
            if field.name() == name:
                return field
        for field in _COMMON:
            if field.name() == name:
                return field
        return None


def _fields(text: str) -> list[Field]:
    """Fields from lines "declaration;offset;size;signed". Runs at build time."""
    found = []
    for line in text.strip().splitlines():
        declaration, offset, size, signed = line.strip().split(";")
        found.append(Field(declaration.encode(), int(offset), int(size), is_signed=signed == "1"))
    return found


def _point(number: int, system: str, name: str, fields: str, printed: str) -> Tracepoint:
    """Runs at build time."""
    return Tracepoint(number, system.encode(), name.encode(), _fields(fields), printed.encode())


_COMMON: Final = _fields(
    """unsigned short common_type;0;2;0
    unsigned char common_flags;2;1;0
    unsigned char common_preempt_count;3;1;0
    int common_pid;4;4;1"""
)
_CALL_FIELD: Final = _fields("int __syscall_nr;8;4;1")[0]
_RESULT_FIELD: Final = _fields("long ret;16;8;1")[0]

POINTS: Final[list[Tracepoint]] = [
    _point(
        RAW_EXIT, "raw_syscalls", "sys_exit",
        "long id;8;8;1\nlong ret;16;8;1", '"NR %ld = %ld", REC->id, REC->ret',
    ),
    _point(
        RAW_ENTER, "raw_syscalls", "sys_enter",
        "long id;8;8;1\nunsigned long args[6];16;48;0",
        '"NR %ld (%lx, %lx, %lx, %lx, %lx, %lx)", REC->id, '
        + ", ".join(f"REC->args[{number}]" for number in range(6)),
    ),
    _point(
        SCHED_SWITCH, "sched", "sched_switch",
        """char prev_comm[16];8;16;0
        pid_t prev_pid;24;4;1
        int prev_prio;28;4;1
        long prev_state;32;8;1
        char next_comm[16];40;16;0
        pid_t next_pid;56;4;1
        int next_prio;60;4;1""",
        _SWITCH_PRINTED,
    ),
    _point(
        PROCESS_EXEC, "sched", "sched_process_exec",
        "__data_loc char[] filename;8;4;0\npid_t pid;12;4;1\npid_t old_pid;16;4;1",
        '"filename=%s pid=%d old_pid=%d", __get_str(filename), REC->pid, REC->old_pid',
    ),
    _point(
        PROCESS_FORK, "sched", "sched_process_fork",
        """char parent_comm[16];8;16;0
        pid_t parent_pid;24;4;1
        char child_comm[16];28;16;0
        pid_t child_pid;44;4;1""",
        '"comm=%s pid=%d child_comm=%s child_pid=%d", REC->parent_comm, REC->parent_pid, REC->child_comm, '
        "REC->child_pid",
    ),
    _point(
        PROCESS_EXIT, "sched", "sched_process_exit",
        "char comm[16];8;16;0\npid_t pid;24;4;1\nint prio;28;4;1",
        '"comm=%s pid=%d prio=%d", REC->comm, REC->pid, REC->prio',
    ),
]  # fmt: skip
"""All but those of single calls."""


def _by_number(texts: dict[str, str]) -> list[bytes]:
    """What is said of each call, by its number. Runs at build time."""
    found = [b""] * CALL_LIMIT
    for call, text in texts.items():
        found[CALL_NUMBERS[call]] = text.encode()
    return found


_ARGUMENTS: Final = _by_number(CALL_ARGUMENTS)
_NAMES: Final = _by_number(EVENT_NAMES)
ARGUMENT_COUNTS: Final[list[int]] = [text.count(b", ") + 1 if text else 0 for text in _ARGUMENTS]


def call_event_name(call: int) -> bytes:
    """What the tracepoints of a call are called after sys_enter_ and sys_exit_; empty if it has none."""
    return _NAMES[call] if 0 <= call < CALL_LIMIT else b""


def call_point(call: int, is_entry: bool) -> Tracepoint | None:
    """One of a system call; None for a call that Linux does not have either. Raises MemoryError."""
    name = call_event_name(call)
    if len(name) == 0:
        return None
    fields = [_CALL_FIELD]
    if not is_entry:
        fields.append(_RESULT_FIELD)
        return Tracepoint(FIRST_CALL + 2 * call, b"syscalls", b"sys_exit_" + name, fields, b'"0x%lx", REC->ret')
    pattern = b""
    values = b""
    offset = 16
    for declaration in _ARGUMENTS[call].split(b", "):
        if len(declaration) == 0:
            continue
        field = Field(declaration, offset, _WORD, is_signed=False)
        fields.append(field)
        offset += _WORD
        pattern += (b", " if len(pattern) > 0 else b"") + field.name() + b": 0x%08lx"
        values += b", ((unsigned long)(REC->" + field.name() + b"))"
    printed = b'"' + pattern + b'"' + values
    return Tracepoint(FIRST_CALL + 2 * call + 1, b"syscalls", b"sys_enter_" + name, fields, printed)


DYNAMIC: Final[dict[int, Tracepoint]] = {}
"""Those of probes that somebody has given a name (probe_events.py)."""


def find_point(number: int) -> Tracepoint | None:
    """The tracepoint of a number, whether or not the call is served. Raises MemoryError."""
    if FIRST_CALL <= number < BEHIND_CALLS:
        return call_point(number - FIRST_CALL >> 1, is_entry=number & 1 != 0)
    for point in POINTS:
        if point.number == number:
            return point
    return DYNAMIC.get(number)


@final
class RawData:
    """The record of a tracepoint, while it is reported."""

    def __init__(self) -> None:
        self.data: bytearray = bytearray(MOST_BYTES)
        self.size: int = 0

    def begin(self, point: int, tid: int, size: int) -> None:
        """A record of that many bytes, all zeros but the fields that name its thread."""
        self.size = min(size, MOST_BYTES)
        span = span_of(self.data)
        span[0 : self.size].fill(0)
        span.store_u16(0, point)
        span.store_u32(4, tid & 0xFFFF_FFFF)

    def put(self, at: int, value: int) -> None:
        """A word of 64 bits."""
        store_word(span_of(self.data), at, value)

    def put_half(self, at: int, value: int) -> None:
        """A word of 32 bits."""
        span_of(self.data).store_u32(at, value & 0xFFFF_FFFF)

    def put_name(self, at: int, name: bytes) -> None:
        """The name of a task."""
        count = min(len(name), NAME_BYTES - 1)
        span_of(self.data)[at : at + count].copy_from(span_of(name)[0:count])

    def put_bytes(self, at: int, data: bytes) -> None:
        """What a record that has room for it holds at a place."""
        count = min(len(data), self.size - at)
        span_of(self.data)[at : at + count].copy_from(span_of(data)[0:count])

    def put_end(self, at: int, text: bytes) -> None:
        """A text of any length after the fields, which one of them leads to: `__data_loc`."""
        room = MOST_BYTES - self.size - 1
        count = min(len(text), room)
        span = span_of(self.data)
        span[self.size : self.size + count].copy_from(span_of(text)[0:count])
        span.store_u8(self.size + count, 0)
        span.store_u32(at, self.size | count + 1 << 16)
        self.size += count + 1

    def span(self) -> Span[u8]:
        """What there is of it."""
        return span_of(self.data)[0 : self.size]

    def nothing(self) -> Span[u8]:
        """Of what is no tracepoint."""
        return span_of(self.data)[0:0]


RAW: Final = RawData()
