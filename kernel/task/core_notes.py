"""The notes of a core file: the state of a process besides its memory, for a debugger (core(5), elf(5)).

Each note has a name, a kind and a structure of Linux's for it. One of each kind describes the process: its arguments,
the signal, the auxiliary vector, the mapped files. Then come the registers of each thread, the signal's thread
first.

Context: the running thread dumps; the others do not run. Reading the arguments may sleep.
Source: Linux's uapi headers elf.h and elfcore.h.
"""

from typing import Final, Literal

from arch.programs import (
    FLOATING_SIZE,
    REGISTERS_SIZE,
    read_floating,
    read_register,
    read_vectors,
    vector_components,
    vector_size,
)
from kernel.lang import Array, Errno, Span, UserAddr, final, span_of, u8
from kernel.lib import user
from kernel.lib.credentials import gid_for_caller, uid_for_caller
from kernel.lib.pace import PACE_BYTES, pace, pace_bytes
from kernel.lib.saturation import sum_of
from kernel.mm.frames import PAGE_SIZE
from kernel.mm.objects import FixedPages
from kernel.mm.space import AddressSpace, each_area
from kernel.task.accounting import thread_usage, usage_by_and_by
from kernel.task.core_settings import NOTE_LIMIT
from kernel.task.process import Process
from kernel.task.siginfo import SIGINFO_SIZE, SignalInfo
from kernel.task.signals import SIGKILL, bit
from kernel.task.task import Task
from kernel.task.usage import Usage
from kernel.task.words import store_i32, store_i64
from kernel.time.clock import NS_PER_SECOND, NS_PER_US

_CORE: Final = b"CORE"
_LINUX: Final = b"LINUX"

_STATUS: Final = 1  # NT_PRSTATUS
_FLOATING: Final = 2  # NT_FPREGSET
_PROCESS: Final = 3  # NT_PRPSINFO
_AUXILIARY: Final = 6  # NT_AUXV
_VECTORS: Final = 0x202  # NT_X86_XSTATE
_VECTOR_LAYOUT: Final = 0x205  # NT_X86_XSAVE_LAYOUT
_FILES: Final = 0x4649_4C45  # NT_FILE
_SIGNAL: Final = 0x5349_4749  # NT_SIGINFO

_NAME_COST: Final = 4  # for each byte of its name
_FILE_COST: Final = 5000  # instructions for the name of a mapped file, for `pace`

_HEAD_SIZE: Final = 12
_NAME_SIZE: Final = 8  # of either name with its NUL, rounded up
_WORD: Final = 8
# struct elf_prstatus
_STATUS_REGISTERS: Final = 112
_STATUS_SIZE: Final = _STATUS_REGISTERS + REGISTERS_SIZE + _WORD
# struct elf_prpsinfo
_PROCESS_SIZE: Final = 136
_TITLE: Final = 40
_TITLE_SIZE: Final = 16
_ARGUMENTS: Final = 56
_ARGUMENTS_SIZE: Final = 80
_FORKED: Final = 0x40  # PF_FORKNOEXEC
_DUMPS: Final = 0x200  # PF_DUMPCORE


def note_size(size: int) -> int:
    """The size of a note whose structure has `size` bytes."""
    return _HEAD_SIZE + _NAME_SIZE + ((size + 3) & ~3)


def add_note(out: bytearray, name: bytes, kind: int, data: Span[u8]) -> None:
    """Append a note. Raises MemoryError."""
    _add_head(out, name, kind, len(data))
    out.extend(data.to_bytes())
    while len(out) & 3 != 0:
        out.append(0)


def _add_head(out: bytearray, name: bytes, kind: int, size: int) -> None:
    """Append what precedes the `size` bytes of a note's structure. Raises MemoryError."""
    head: Array[u8, Literal[20]] = Array()
    span = head.span()
    store_i32(span, 0, len(name) + 1)
    store_i32(span, 4, size)
    store_i32(span, 8, kind)
    span[_HEAD_SIZE : _HEAD_SIZE + len(name)].copy_from(span_of(name))
    out.extend(span.to_bytes())


@final
class Pieces:
    """Many bytes in pieces, none of which is longer than PACE_BYTES unless it was added so: code that copies them has
    safe points in between.
    """

    def __init__(self) -> None:
        self.all: list[bytes] = []  # once it has ended
        self.size: int = 0
        self._last: bytearray = bytearray()

    def add(self, data: bytes) -> None:
        """Append bytes. Raises MemoryError."""
        if len(self._last) + len(data) > PACE_BYTES:
            self.end()
        self._last.extend(data)
        self.size += len(data)

    def end(self) -> None:
        """Make the last bytes a piece. Sleeps. Raises MemoryError."""
        if len(self._last) > 0:
            self.all.append(bytes(self._last))
            pace_bytes(4 * len(self._last))  # it grew, was cleared, and copied
            self._last = bytearray()


@final
class ThreadNotes:
    """Creates the notes of a thread."""

    def __init__(self, signo: int) -> None:
        self.signo: int = signo

    def size(self) -> int:
        """The size of one thread's notes, the same for each."""
        size = note_size(_STATUS_SIZE) + note_size(FLOATING_SIZE)
        return size + note_size(vector_size()) if vector_size() > 0 else size

    def status(self, task: Task, is_dumper: bool) -> bytearray:
        """The general registers, and the thread's own data. Raises MemoryError."""
        out = bytearray()
        storage = bytearray(_STATUS_SIZE)
        _describe_thread(task, self.signo, is_dumper, span_of(storage))
        add_note(out, _CORE, _STATUS, span_of(storage))
        return out

    def registers(self, task: Task) -> bytearray:
        """The other registers. Raises MemoryError."""
        out = bytearray()
        floating = bytearray(FLOATING_SIZE)
        read_floating(task.registers, span_of(floating))
        add_note(out, _CORE, _FLOATING, span_of(floating))
        if vector_size() > 0:
            vectors = bytearray(vector_size())
            read_vectors(task.registers, span_of(vectors))
            add_note(out, _LINUX, _VECTORS, span_of(vectors))
        return out


def layout_note() -> bytearray:
    """The positions of the components of NT_X86_XSTATE; empty if there are no vectors. Raises MemoryError."""
    out = bytearray()
    if vector_size() > 0:
        add_note(out, _LINUX, _VECTOR_LAYOUT, span_of(vector_components()))
    return out


def process_notes(task: Task, space: AddressSpace, info: SignalInfo) -> Pieces:
    """The notes about the running task's process. Sleeps. Raises MemoryError."""
    out = bytearray()
    about = bytearray(_PROCESS_SIZE)
    _describe_process(task, space, span_of(about))
    add_note(out, _CORE, _PROCESS, span_of(about))
    signal = bytearray(SIGINFO_SIZE)
    info.store(span_of(signal))
    add_note(out, _CORE, _SIGNAL, span_of(signal))
    add_note(out, _CORE, _AUXILIARY, span_of(space.auxiliary_vector))
    notes = Pieces()
    notes.add(bytes(out))
    _add_mapped_files(notes, space)
    notes.end()
    return notes


def _describe_thread(task: Task, signo: int, is_dumper: bool, out: Span[u8]) -> None:
    """struct elf_prstatus. Raises MemoryError."""
    process = task.process
    store_i32(out, 0, signo)
    out.store_u16(12, signo)
    store_i64(out, 16, task.pending.mask if is_dumper else task.pending.mask | bit(SIGKILL))
    store_i64(out, 24, task.signals.blocked)
    store_i32(out, 32, task.own_tid)
    _store_relatives(process, out, 36)
    _store_times(usage_by_and_by(process) if process.leader is task else thread_usage(task), out, 48)
    _store_times(process.family.waited, out, 80)
    for index in range(REGISTERS_SIZE // _WORD):
        store_i64(out, _STATUS_REGISTERS + index * _WORD, read_register(task.stack_top, task.registers, index))
    store_i32(out, _STATUS_REGISTERS + REGISTERS_SIZE, 1)  # there are floating-point registers


def _store_relatives(process: Process, out: Span[u8], offset: int) -> None:
    """Parent, group and session."""
    store_i32(out, offset, process.parent_number)
    store_i32(out, offset + 4, process.pids.shown(process.group))
    store_i32(out, offset + 8, process.pids.shown(process.session_id))


def _store_times(usage: Usage, out: Span[u8], offset: int) -> None:
    """Two struct timeval."""
    store_i64(out, offset, usage.user_ns // NS_PER_SECOND)
    store_i64(out, offset + 8, usage.user_ns % NS_PER_SECOND // NS_PER_US)
    store_i64(out, offset + 16, usage.system_ns // NS_PER_SECOND)
    store_i64(out, offset + 24, usage.system_ns % NS_PER_SECOND // NS_PER_US)


def _describe_process(task: Task, space: AddressSpace, out: Span[u8]) -> None:
    """struct elf_prpsinfo. Its state is that of the first thread, which waits uninterruptibly if it is another one."""
    process = task.process
    is_leader = process.leader is task
    out[0] = 0 if is_leader else 2
    out[1] = ord("R") if is_leader else ord("D")
    out[3] = task.wishes.nice & 0xFF
    store_i64(out, 8, _DUMPS | (0 if process.program.has_execed else _FORKED))
    store_i32(out, 16, uid_for_caller(task.credentials.uid))
    store_i32(out, 20, gid_for_caller(task.credentials.gid))
    store_i32(out, 24, process.number)
    _store_relatives(process, out, 28)
    leader = process.leader
    name = task.name if leader is None else leader.name
    out[_TITLE : _TITLE + len(name)].copy_from(span_of(name))
    size = min(max(0, sum_of(space.layout.argument_end, -max(0, space.layout.argument_start))), _ARGUMENTS_SIZE - 1)
    words = out[_ARGUMENTS : _ARGUMENTS + size]
    try:
        user.read_into(words, UserAddr(space.layout.argument_start))
    except Errno:
        return  # the program has unmapped them
    for index in range(size):
        if words[index] == 0:
            words[index] = 32


def _add_mapped_files(notes: Pieces, space: AddressSpace) -> None:
    """Which parts of which files are mapped where: counts, three words for each area, the names. No note if there are
    none, or more than the limit allows. Raises MemoryError.
    """
    table = Pieces()
    names = Pieces()
    count = 0
    entry = bytearray(3 * _WORD)
    for area in each_area(space):
        source = area.source
        if source is None or isinstance(source, FixedPages):
            continue
        store_i64(span_of(entry), 0, area.start)
        store_i64(span_of(entry), 8, area.end)
        store_i64(span_of(entry), 16, area.first_page)
        table.add(bytes(entry))
        name = area.source_name() + b"\0"
        names.add(name)
        count += 1
        pace(_FILE_COST + len(name) * _NAME_COST)
        if 2 * _WORD + table.size + names.size > NOTE_LIMIT.value:
            return
    if count == 0:
        return
    size = 2 * _WORD + table.size + names.size
    names.add(bytes(-size & 3))
    table.end()
    names.end()
    head = bytearray()
    _add_head(head, _CORE, _FILES, size)
    counts = bytearray(2 * _WORD)
    store_i64(span_of(counts), 0, count)
    store_i64(span_of(counts), 8, PAGE_SIZE)
    head.extend(bytes(counts))
    notes.add(bytes(head))
    for piece in table.all:
        notes.add(piece)
    for piece in names.all:
        notes.add(piece)
