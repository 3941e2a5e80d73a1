"""The contents of a core file, in order: ELF header, program headers, notes, memory (core(5), elf(5)).

Everything except memory is collected before the first byte is written, but not the registers of threads, of which
there may be many. If 16 bits cannot count the program headers, a section header at the end has their number.

Context: the running thread dumps; the others of its process do not run. Sleeps.
"""

from typing import Final

from arch import ELF_MACHINE
from kernel.lang import final, span_of
from kernel.lib.pace import pace
from kernel.mm.area import PROT_EXEC, PROT_READ, PROT_WRITE
from kernel.mm.dumping import dumped_frame, next_dumped
from kernel.mm.frames import NO_FRAME, PAGE_MASK, PAGE_SIZE, frame_span, put_frame
from kernel.mm.space import AddressSpace
from kernel.task.core_notes import Pieces, ThreadNotes, layout_note, process_notes
from kernel.task.core_segments import Segments, find_segments
from kernel.task.core_writer import CoreWriter
from kernel.task.siginfo import SignalInfo
from kernel.task.task import Task
from kernel.task.words import store_i64

_HEADER_SIZE: Final = 64
_ENTRY_SIZE: Final = 56  # of a program header
_MANY: Final = 0xFFFF  # program headers: from here on a section header has their number
_ET_CORE: Final = 4
_PT_LOAD: Final = 1
_PT_NOTE: Final = 4
_PF_X: Final = 1
_PF_W: Final = 2
_PF_R: Final = 4
# Instructions, for `pace`
_PAGE_COST: Final = 3000
_HEADER_COST: Final = 600
_NOTES_COST: Final = 25_000  # of one thread
_HEADERS_AT_ONCE: Final = 64
# What comes next
_HEADER: Final = 0
_ENTRIES: Final = 1
_THREADS: Final = 2
_MEMORY: Final = 3
_END: Final = 4


@final
class CoreImage:
    """The contents of one core file. Creating it raises MemoryError."""

    def __init__(self, task: Task, info: SignalInfo, space: AddressSpace) -> None:
        self._task: Task = task
        self._space: AddressSpace = space
        task.registers.save()
        self._threads: list[Task] = [task]
        for other in task.process.threads.values():
            if other is not task and not other.signals.is_past_dump:
                self._threads.append(other)
        self._notes: ThreadNotes = ThreadNotes(info.signo)
        self._segments: Segments = find_segments(space)
        self._about: Pieces = process_notes(task, space, info)
        self._layout: bytes = bytes(layout_note())
        self._note_bytes: int = self._notes.size() * len(self._threads) + self._about.size + len(self._layout)
        self._entries: int = len(self._segments.starts) + 1
        self._notes_at: int = _HEADER_SIZE + self._entries * _ENTRY_SIZE
        self._memory_at: int = (self._notes_at + self._note_bytes + PAGE_MASK) & ~PAGE_MASK
        # The progress of putting it into a writer
        self._stage: int = _HEADER
        self._index: int = 0  # of the next thread or segment
        self._part: int = 0  # of the notes of the first thread and the process
        self._offset: int = self._memory_at  # in the file, of the next segment
        self._address: int = 0  # of the next page in the segment

    def put_next(self, writer: CoreWriter) -> bool:
        """Put the next piece into a writer, for which no flush is due; False if none is left. Raises
        MemoryError.
        """
        stage = self._stage
        if stage == _HEADER:
            writer.put(self._header())
            self._stage = _ENTRIES
        elif stage == _ENTRIES:
            self._put_entries(writer)
        elif stage == _THREADS:
            self._put_notes(writer)
        elif stage == _MEMORY:
            self._put_memory(writer)
        else:
            return False
        return True

    # Headers ----------------------------------------------------------------------------------------------------------

    def _header(self) -> bytes:
        """Elf64_Ehdr, and the program header of the notes."""
        header = bytearray(_HEADER_SIZE + _ENTRY_SIZE)
        fields = span_of(header)
        fields[0:7].copy_from(span_of(b"\x7fELF\x02\x01\x01"))
        fields.store_u16(16, _ET_CORE)
        fields.store_u16(18, ELF_MACHINE)
        fields.store_u32(20, 1)
        store_i64(fields, 32, _HEADER_SIZE)
        fields.store_u16(52, _HEADER_SIZE)
        fields.store_u16(54, _ENTRY_SIZE)
        fields.store_u16(56, min(self._entries, _MANY))
        if self._entries > _MANY:
            store_i64(fields, 40, self._memory_at + self._segments.total)
            fields.store_u16(58, _HEADER_SIZE)
            fields.store_u16(60, 1)
        notes = fields[_HEADER_SIZE:]
        notes.store_u32(0, _PT_NOTE)
        store_i64(notes, 8, self._notes_at)
        store_i64(notes, 32, self._note_bytes)
        store_i64(notes, 48, 4)
        return bytes(header)

    def _put_entries(self, writer: CoreWriter) -> None:
        """Some program headers."""
        segments = self._segments
        count = min(_HEADERS_AT_ONCE, len(segments.starts) - self._index)
        entries = bytearray(count * _ENTRY_SIZE)
        for place in range(count):
            index = self._index + place
            size = segments.sizes[index]
            fields = span_of(entries)[place * _ENTRY_SIZE : (place + 1) * _ENTRY_SIZE]
            fields.store_u32(0, _PT_LOAD)
            fields.store_u32(4, _flags(segments.protections[index]))
            store_i64(fields, 8, self._offset)
            store_i64(fields, 16, segments.starts[index])
            store_i64(fields, 32, size)
            store_i64(fields, 40, segments.ends[index] - segments.starts[index])
            store_i64(fields, 48, PAGE_SIZE)
            self._offset += size
        writer.put(bytes(entries))
        self._index += count
        if self._index == len(segments.starts):
            self._index = 0
            self._stage = _THREADS
        pace(count * _HEADER_COST)

    def _put_notes(self, writer: CoreWriter) -> None:
        """Put a thread's notes. The process's notes follow the first thread's NT_PRSTATUS; the layout comes last."""
        if self._index == len(self._threads):
            writer.put(self._layout)
            writer.skip(self._memory_at - writer.position)
            self._begin_segments()
            return
        task = self._threads[self._index]
        pace(_NOTES_COST)
        if task is self._task and self._part <= len(self._about.all):
            part = self._part
            writer.put(bytes(self._notes.status(task, is_dumper=True)) if part == 0 else self._about.all[part - 1])
            self._part += 1
            return
        notes = bytearray() if task is self._task else self._notes.status(task, is_dumper=False)
        notes.extend(bytes(self._notes.registers(task)))
        writer.put(bytes(notes))
        self._index += 1

    # Memory -----------------------------------------------------------------------------------------------------------

    def _begin_segments(self) -> None:
        self._index = 0
        self._stage = _MEMORY
        self._address = self._segments.starts[0] if len(self._segments.starts) > 0 else 0

    def _put_memory(self, writer: CoreWriter) -> None:
        """Put the next page, or a hole where there is none."""
        segments = self._segments
        if self._index == len(segments.starts):
            if self._entries > _MANY:
                writer.put(self._section_header())
            self._stage = _END
            return
        end = segments.starts[self._index] + segments.sizes[self._index]
        if self._address < end:
            self._put_page(writer, end)
            return
        self._index += 1
        if self._index < len(segments.starts):
            self._address = segments.starts[self._index]
        pace(_HEADER_COST)

    def _put_page(self, writer: CoreWriter, end: int) -> None:
        address = self._address
        area = self._space.area_at(address)
        place = address + PAGE_SIZE if area is None else next_dumped(self._space, area, address, end)
        if area is None or place > address:
            writer.skip(place - address)
            self._address = place
            pace(_HEADER_COST)
            return
        self._address += PAGE_SIZE
        frame = dumped_frame(self._space, area, address)
        if frame == NO_FRAME:
            writer.skip(PAGE_SIZE)
        else:
            writer.put_page(frame_span(frame))
            put_frame(frame)
        pace(_PAGE_COST)

    def _section_header(self) -> bytes:
        """Elf64_Shdr."""
        header = bytearray(_HEADER_SIZE)
        fields = span_of(header)
        store_i64(fields, 32, 1)
        fields.store_u32(44, self._entries)
        return bytes(header)


def _flags(protection: int) -> int:
    """PF_* of PROT_*."""
    flags = _PF_R if protection & PROT_READ != 0 else 0
    flags |= _PF_W if protection & PROT_WRITE != 0 else 0
    return flags | (_PF_X if protection & PROT_EXEC != 0 else 0)
