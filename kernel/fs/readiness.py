"""poll(2) and select(2): waiting until one of many files is ready.

Requests and results are records of struct pollfd: i32 descriptor, u16 events, u16 found. The first pass only queries
the files: nothing is allocated or queued until it is known that the caller has to sleep. Very many records come in
parts, so that no block of memory is large.

Context: sleeps, even while it goes through the files: a wake-up during that ends the next sleep at once. A file does
not sleep in `poll`.
"""

from typing import Final

from kernel.fs.constants import POLLERR, POLLHUP, POLLNVAL
from kernel.fs.descriptors import FileTable
from kernel.fs.file import File
from kernel.lang import ERESTARTNOHAND, Errno, Span, inline, span_of, u8
from kernel.lib.pace import pace, pace_bytes
from kernel.sched import Poller, current_thread

POLL_ALWAYS: Final = POLLERR | POLLHUP  # what poll(2) reports whether it is asked or not; select(2) does not
RECORD_SIZE: Final = 8
RECORD_EVENTS: Final = 4  # offset of the events that are asked
RECORD_FOUND: Final = 6
PART_SIZE: Final = 4096 * RECORD_SIZE  # bytes of records in a part but the last
NO_PARTS: Final[list[bytearray]] = []
_NO_DESCRIPTOR: Final = 1 << 31  # records with descriptors below 0 are skipped
_ASK_COST: Final = 300  # instructions for one file
_HOLD_COST: Final = 60


def parts_of(size: int) -> list[bytearray]:
    """Room for that many bytes of records after the first part. Raises MemoryError. Takes safe points."""
    parts: list[bytearray] = []
    for start in range(PART_SIZE, size, PART_SIZE):
        parts.append(bytearray(min(PART_SIZE, size - start)))
        pace_bytes(PART_SIZE)
    return parts


@inline
def part(first: Span[u8], others: list[bytearray], number: int) -> Span[u8]:
    """A part by its number, from 0."""
    return first if number == 0 else span_of(others[number - 1])


def wait_ready(files: FileTable, first: Span[u8], others: list[bytearray], always: int, deadline_ns: int) -> int:
    """Wait until a record is ready or the time is up (deadline 0: do not wait); returns how many are ready.

    `always`: events that are reported without being asked for. A descriptor that is not open is ready with POLLNVAL.
    Raises ERESTARTNOHAND when a signal comes, MemoryError.
    """
    ready = 0
    for number in range(len(others) + 1):
        records = part(first, others, number)
        for offset in range(0, len(records), RECORD_SIZE):
            if _ask(files.find(records.load_u32(offset)), records, offset, always, None):
                ready += 1
            pace(_ASK_COST)
    if ready > 0:
        return ready
    if deadline_ns == 0:
        if current_thread().is_interrupted():
            raise Errno(ERESTARTNOHAND)
        return 0
    held: list[list[File | None]] = []
    try:
        for number in range(len(others) + 1):
            records = part(first, others, number)
            holding: list[File | None] = [None] * (len(records) // RECORD_SIZE)
            held.append(holding)
            for index in range(len(holding)):
                file = files.find(records.load_u32(index * RECORD_SIZE))
                if file is not None:
                    holding[index] = file.acquire()
                pace(_HOLD_COST)
        return _sleep(held, first, others, always, deadline_ns)
    finally:
        for holding in held:
            for index in range(len(holding)):
                file = holding[index]
                if file is not None:
                    holding[index] = None
                    file.release()
                pace(_HOLD_COST)


def _sleep(
    held: list[list[File | None]], first: Span[u8], others: list[bytearray], always: int, deadline_ns: int
) -> int:
    """`wait_ready` with the queues of all files."""
    poller = Poller()
    try:
        while True:
            poller.start()
            ready = 0
            for number in range(len(held)):
                records = part(first, others, number)
                for index in range(len(held[number])):
                    # Once something is ready there will be no sleep, so there is no need to queue on the others.
                    waiter = poller if ready == 0 else None
                    if _ask(held[number][index], records, index * RECORD_SIZE, always, waiter):
                        ready += 1
                    pace(_ASK_COST)
            if ready > 0 or not poller.sleep_until(deadline_ns):
                return ready
    finally:
        poller.close_paced()


@inline
def _ask(file: File | None, records: Span[u8], offset: int, always: int, poller: Poller | None) -> bool:
    """Fill in the events of a record's file; returns whether there are any."""
    found = 0
    if file is not None and not file.is_path_only():
        wanted = records.load_u16(offset + RECORD_EVENTS) | always
        if poller is not None:
            poller.wanted = wanted
        found = file.poll(poller) & wanted
    elif records.load_u32(offset) < _NO_DESCRIPTOR:
        found = POLLNVAL
    records.store_u16(offset + RECORD_FOUND, found)
    return found != 0
