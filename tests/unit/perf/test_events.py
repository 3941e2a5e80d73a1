"""Events by perf_event_open(2), on a booted machine."""

import contextlib
import errno
import os
import struct

import pytest

from kernel.lang import span_of
from kernel.mm.objects import MemoryObject
from kernel.perf import overflow
from kernel.perf.context import EventContext
from kernel.perf.event import Event
from kernel.perf.file import EventFile
from kernel.perf.lifecycle import prepare
from kernel.perf.sample import PLACE, RECORD
from kernel.sched.processor import RUNNING
from kernel.task.memory_shortage import held_pages
from tests.unit.booted import booted
from tests.unit.meanwhile import meanwhile
from tools.simulated.machine import Machine
from tools.simulated.program import Program

PAGE = 4096
SOFTWARE, TRACEPOINT = 1, 2
DUMMY, FAULTS, SWITCHES, TASK_CLOCK = 9, 2, 3, 1
ENABLE, DISABLE, REFRESH, RESET, SET_OUTPUT, SET_FILTER = 0x2400, 0x2401, 0x2402, 0x2403, 0x2405, 0x40082406
DISABLED, INHERIT, MMAP, COMM, TASK, SAMPLE_ID_ALL = 1, 2, 1 << 8, 1 << 9, 1 << 13, 1 << 18
COMM_RECORD, EXIT, FORK, SAMPLE = 3, 4, 7, 9


def attributes(
    config: int, flags: int = DISABLED, kind: int = SOFTWARE, period: int = 0, samples: int = 0, form: int = 0
) -> bytes:
    head = struct.pack("<IIQQQQQ", kind, 136, config, period, samples, form, flags)
    return head + bytes(136 - len(head))


def opened(program: Program, data: bytes, pid: int = 0, processor: int = -1, group: int = -1) -> int:
    return program.call("perf_event_open", data, pid, processor, group, 0)


def words(program: Program, descriptor: int, size: int = 8) -> tuple[int, ...]:
    buffer = bytearray(size)
    count = program.read(descriptor, buffer, size)
    return struct.unpack(f"<{count // 8}q", buffer[:count])


def fresh_pages(program: Program, count: int) -> int:
    return program.call("mmap", 0, count * PAGE, 3, 0x22, -1, 0)


def touch(program: Program, address: int, count: int) -> None:
    for page in range(count):
        program.store(address + page * PAGE, b"x")


def records(program: Program, ring: int, size: int) -> list[tuple[int, bytes]]:
    """What is in a ring that has not wrapped: kinds and contents."""
    (head,) = struct.unpack("<Q", program.load(ring + 1024, 8))
    assert head <= size
    data = program.load(ring + PAGE, head)
    found = []
    while data:
        kind, _, length = struct.unpack("<IHH", data[:8])
        found.append((kind, data[8:length]))
        data = data[length:]
    return found


@booted
def test_faults_are_counted_while_it_is_enabled(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS))
    pages = fresh_pages(host, 30)
    touch(host, pages, 5)
    assert words(host, event) == (0,)
    host.ioctl(event, ENABLE, 0)
    touch(host, pages + 5 * PAGE, 20)
    host.ioctl(event, DISABLE, 0)
    (count,) = words(host, event)
    assert 20 <= count <= 24
    touch(host, pages + 25 * PAGE, 5)
    assert words(host, event) == (count,)
    host.close(event)
    assert not RUNNING.is_observed


@booted
def test_a_ring_has_samples(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, period=1, samples=1 | 8))
    ring = host.call("mmap", 0, 5 * PAGE, 3, 1, event, 0)
    pages = fresh_pages(host, 4)
    host.ioctl(event, ENABLE, 0)
    touch(host, pages, 4)
    host.ioctl(event, DISABLE, 0)
    addresses = [struct.unpack("<QQ", data)[1] for kind, data in records(host, ring, 4 * PAGE) if kind == SAMPLE]
    assert [address for address in addresses if pages <= address < pages + 4 * PAGE] == [
        pages + page * PAGE for page in range(4)
    ]


@booted
def test_what_a_sample_holds(machine: Machine) -> None:
    host = machine.host
    everything = 0x1_FFFF & ~(1 << 11) | 1 << 17  # but the stack of branches
    data = bytearray(attributes(FAULTS, DISABLED | 1 << 5, period=1, samples=everything, form=4))
    data[80:92] = struct.pack("<QI", 1 << 7 | 1 << 8, 64)  # sp and ip; bytes of the stack
    event = opened(host, bytes(data))
    ring = host.call("mmap", 0, 9 * PAGE, 3, 1, event, 0)
    pages = fresh_pages(host, 1)
    host.ioctl(event, ENABLE, 0)
    touch(host, pages, 1)
    host.ioctl(event, DISABLE, 0)
    number = bytearray(8)
    host.ioctl(event, 0x80082407, number)
    (identity,) = struct.unpack("<Q", number)
    found = [struct.unpack(f"<{len(data) // 8}q", data) for _, data in records(host, ring, 8 * PAGE)]
    (sample,) = [words for words in found if words[4] == pages]
    first, ip, task, time_ns, _, own, stream, processor, period, value, read_number = sample[:11]
    assert first == own == stream == read_number == identity
    assert ip == host.frame.rip and task == 1 | 1 << 32 and time_ns > 0 and processor == 0
    assert period == 1 and value >= 1
    callers = sample[11]
    assert sample[12:14] == (-512, ip) and callers >= 2
    rest = sample[12 + callers :]
    assert rest[0] == 4 and rest[1] == 2  # no raw record; registers of 64 bits
    assert rest[2] == host.frame.rsp and rest[3] == ip
    assert rest[4] == 64 and rest[13] in range(0, 72, 8)
    assert rest[14:] == (0, 1 | 1 << 5 | 1 << 19 | 1 << 24 | 1 << 26 | 0xF << 33, 0)


@booted
def test_a_limit_of_samples(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, period=1, samples=8))
    ring = host.call("mmap", 0, 3 * PAGE, 3, 1, event, 0)
    pages = fresh_pages(host, 8)
    host.ioctl(event, REFRESH, 2)
    touch(host, pages, 8)
    assert len(records(host, ring, 2 * PAGE)) == 2


@booted
def test_children_inherit(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, INHERIT))

    def child(program: Program) -> None:
        touch(program, fresh_pages(program, 50), 50)

    (before,) = words(host, event)
    assert os.waitstatus_to_exitcode(machine.run(child)) == 0
    assert words(host, event)[0] >= before + 50
    host.close(event)
    assert not RUNNING.is_observed


@booted
def test_tasks_are_recorded(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(DUMMY, INHERIT | COMM | TASK | SAMPLE_ID_ALL, samples=2), processor=0)
    ring = host.call("mmap", 0, 5 * PAGE, 3, 1, event, 0)

    def child(program: Program) -> None:
        program.prctl(15, b"another")

    pid = host.fork(child)
    assert machine.wait(pid) == 0
    kinds = [kind for kind, _ in records(host, ring, 4 * PAGE)]
    assert kinds == [FORK, COMM_RECORD, EXIT]
    name = records(host, ring, 4 * PAGE)[1][1]
    assert struct.unpack("<II", name[:8]) == (pid, pid) and name[8:16] == b"another\0"


@booted
def test_groups_count_together(machine: Machine) -> None:
    host = machine.host
    head = opened(host, attributes(FAULTS, form=8))
    opened(host, attributes(TASK_CLOCK, flags=0), group=head)
    assert words(host, head, 24) == (2, 0, 0)
    host.ioctl(head, ENABLE, 0)
    touch(host, fresh_pages(host, 10), 10)
    count, faults, time = words(host, head, 24)
    assert count == 2 and faults >= 10 and time > 0
    with pytest.raises(OSError) as caught:
        words(host, head, 16)
    assert caught.value.errno == errno.ENOSPC


@booted
def test_a_group_outlives_its_task(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        with contextlib.suppress(InterruptedError):
            program.pause()

    pid = host.fork(child)
    head = opened(host, attributes(FAULTS, 0, form=8), pid=pid)
    member = opened(host, attributes(SWITCHES, 0), pid=pid, group=head)
    host.kill(pid, 9)
    machine.wait(pid)
    assert words(host, head, 24)[0] == 2
    host.close(head)
    assert len(words(host, member)) == 1
    host.close(member)


@booted
def test_calls_are_tracepoints(machine: Machine) -> None:
    host = machine.host
    number = 39  # getpid
    enter = opened(host, attributes(1024 + 2 * number + 1, 0, TRACEPOINT, period=1, samples=1 << 10))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, enter, 0)
    host.getpid()
    host.getuid()
    host.getpid()
    assert words(host, enter) == (2,)
    for kind, data in records(host, ring, PAGE):
        size, point, _, pid, call = struct.unpack("<IHHiI", data[:16])
        assert (kind, size, point, pid, call) == (SAMPLE, 20, 1024 + 2 * number + 1, 1, number)
    host.close(enter)
    host.munmap(ring, 2 * PAGE)
    assert not RUNNING.is_observed


@booted
def test_the_end_of_a_task_is_told(machine: Machine) -> None:
    host = machine.host

    def child(program: Program) -> None:
        program.pause()

    pid = host.fork(child)
    event = opened(host, attributes(SWITCHES, 0), pid=pid)
    host.kill(pid, 9)
    machine.wait(pid)
    poll = bytearray(struct.pack("<ihh", event, 1, 0))
    assert host.poll(poll, 1, 0) == 1 and struct.unpack("<ihh", poll)[2] == 0x10
    assert not RUNNING.is_observed


@booted
def test_memory_comes_back(machine: Machine) -> None:
    from kernel.mm.frames import free_frame_count

    host = machine.host
    before = free_frame_count()
    for _ in range(3):
        event = opened(host, attributes(FAULTS, period=1, samples=8))
        ring = host.call("mmap", 0, 17 * PAGE, 3, 1, event, 0)
        touch(host, fresh_pages(host, 1), 1)
        host.close(event)
        host.munmap(ring, 17 * PAGE)
    assert before - free_frame_count() < 10


@booted
def test_what_is_lost_is_told(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, period=1, samples=8))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    pages = fresh_pages(host, 301)
    host.ioctl(event, ENABLE, 0)
    touch(host, pages, 300)
    (head,) = struct.unpack("<Q", host.load(ring + 1024, 8))
    assert head == PAGE - 16  # one byte stays free
    host.store(ring + 1032, struct.pack("<Q", head))
    touch(host, pages + 300 * PAGE, 1)
    host.ioctl(event, DISABLE, 0)
    data = host.load(ring + PAGE, PAGE)
    data = (data + data)[head % PAGE : head % PAGE + 40]
    kind, _, size, number, lost = struct.unpack("<IHHQQ", data[:24])
    assert (kind, size) == (2, 24) and 40 <= lost <= 60 and number > 0
    assert struct.unpack("<IHH", data[24:32]) == (SAMPLE, 2, 16)


@booted
def test_samples_go_where_another_events_go(machine: Machine) -> None:
    host = machine.host
    first = opened(host, attributes(DUMMY))
    second = opened(host, attributes(FAULTS, period=1, samples=8))
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(second, SET_OUTPUT, first)  # it has no ring yet
    ring = host.call("mmap", 0, 5 * PAGE, 3, 1, first, 0)
    host.ioctl(second, SET_OUTPUT, first)
    host.ioctl(second, ENABLE, 0)
    touch(host, fresh_pages(host, 3), 3)
    host.ioctl(second, DISABLE, 0)
    assert len(records(host, ring, 4 * PAGE)) >= 3
    host.close(first)  # the mapping keeps it
    host.munmap(ring, 5 * PAGE)
    host.ioctl(second, ENABLE, 0)
    touch(host, fresh_pages(host, 3), 3)
    host.close(second)
    assert not RUNNING.is_observed


@booted
def test_it_begins_with_a_program(machine: Machine) -> None:
    host = machine.host
    both = bytearray(8)
    host.pipe2(both, 0)
    ends = struct.unpack("<ii", both)

    def busy(program: Program) -> int:
        touch(program, fresh_pages(program, 60), 60)
        return 0

    machine.install("/bin/busy", busy)

    def child(program: Program) -> None:
        buffer = bytearray(1)
        program.read(ends[0], buffer, 1)
        touch(program, fresh_pages(program, 200), 200)
        program.execve("/bin/busy", [b"busy"], [])

    pid = host.fork(child)
    event = opened(host, attributes(FAULTS, DISABLED | 1 << 12), pid=pid)
    host.write(ends[1], b"x", 1)
    assert machine.wait(pid) == 0
    assert 60 <= words(host, event)[0] < 200


@booted
def test_switches_are_seen(machine: Machine) -> None:
    host = machine.host
    point = 3  # sched:sched_switch
    counted = opened(host, attributes(SWITCHES, 0))
    seen = opened(host, attributes(point, 0, TRACEPOINT, period=1, samples=1 << 10))
    ring = host.call("mmap", 0, 5 * PAGE, 3, 1, seen, 0)
    host.ioctl(seen, SET_FILTER, b"prev_pid == 1 && prev_state == 1")
    for _ in range(4):
        host.nanosleep(struct.pack("<QQ", 0, 5_000_000), None)
    host.ioctl(seen, DISABLE, 0)
    assert words(host, counted)[0] >= 4
    found = records(host, ring, 4 * PAGE)
    assert len(found) == 4
    for _, data in found:
        assert struct.unpack("<I", data[:4]) == (68,) and data[44:53] == b"swapper/0"


@booted
def test_a_reset_forgets_what_living_children_counted(machine: Machine) -> None:
    host = machine.host
    both = bytearray(8)
    host.pipe2(both, 0)
    ends = struct.unpack("<ii", both)
    event = opened(host, attributes(FAULTS, INHERIT))

    def child(program: Program) -> None:
        touch(program, fresh_pages(program, 50), 50)
        program.write(ends[1], b"x", 1)
        program.pause()

    pid = host.fork(child)
    host.read(ends[0], bytearray(1), 1)
    assert words(host, event)[0] >= 50
    host.ioctl(event, RESET, 0)
    assert words(host, event)[0] < 20
    host.kill(pid, 9)
    machine.wait(pid)
    assert words(host, event)[0] < 20
    assert os.waitstatus_to_exitcode(machine.run(lambda program: touch(program, fresh_pages(program, 50), 50))) == 0
    host.ioctl(event, RESET, 0)
    assert words(host, event)[0] >= 50  # of a child that has ended


@booted
def test_the_times_of_children_are_those_up_to_now(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(TASK_CLOCK, INHERIT, form=3))
    pid = host.fork(lambda program: program.pause())
    first = words(host, event, 24)
    host.nanosleep(struct.pack("<QQ", 0, 5_000_000), None)
    second = words(host, event, 24)
    assert all(late >= early for early, late in zip(first, second, strict=True))
    assert second[0] == second[1] == second[2]
    host.kill(pid, 9)
    machine.wait(pid)


@booted
def test_calls_without_a_number(machine: Machine) -> None:
    host = machine.host
    raw = opened(host, attributes(2, 0, TRACEPOINT))
    for number in (-1, -5, (1 << 31) - 1, 5000):
        result = host.raw(number, [])
        assert result == -errno.ENOSYS, (number, result)
    assert words(host, raw)[0] >= 4


@booted
def test_what_many_events_want_at_once_is_bounded(machine: Machine) -> None:
    """Each wants a piece of the stack at a switch: most of them get none, and hear of it."""
    host = machine.host
    data = bytearray(attributes(SWITCHES, 0, period=1, samples=1 << 13, form=16))
    data[88:92] = struct.pack("<I", 32768)
    events = [opened(host, bytes(data)) for _ in range(20)]
    rings = [host.call("mmap", 0, 33 * PAGE, 3, 1, event, 0) for event in events]
    host.nanosleep(struct.pack("<QQ", 0, 1_000_000), None)
    for event in events:
        host.ioctl(event, DISABLE, 0)
    counts = [words(host, event, 16) for event in events]
    assert {count for count, _ in counts} == {counts[0][0]} and counts[0][0] >= 1
    assert counts[0][1] == 0 and counts[-1][1] >= 1
    assert len(records(host, rings[0], 32 * PAGE)) == counts[0][0]
    assert records(host, rings[-1], 32 * PAGE) == []


@booted
def test_a_task_has_a_limited_number_of_clocks(machine: Machine) -> None:
    host = machine.host
    events = [opened(host, attributes(TASK_CLOCK, period=1_000_000)) for _ in range(96)]
    with pytest.raises(OSError, match="ENOSPC"):
        opened(host, attributes(TASK_CLOCK, period=1_000_000))
    counting = opened(host, attributes(TASK_CLOCK))
    host.close(events.pop())
    events.append(opened(host, attributes(TASK_CLOCK, period=1_000_000)))
    for event in [*events, counting]:
        host.close(event)
    assert not RUNNING.is_observed


@booted
def test_clocks_that_ring_too_often_together_rest(machine: Machine) -> None:
    vars(overflow)["_MOST_RINGS"] = 100  # of which the simulated processor is slow enough to be short
    host = machine.host
    clock = attributes(0, DISABLED, period=10_000, samples=2)
    events = [opened(host, clock, pid=-1, processor=0) for _ in range(20)]
    rings = [host.call("mmap", 0, 65 * PAGE, 3, 1, event, 0) for event in events]
    for event in events:
        host.ioctl(event, ENABLE, 0)
    host.nanosleep(struct.pack("<QQ", 0, 12_000_000), None)
    for event in events:
        host.ioctl(event, DISABLE, 0)
    kinds = [kind for ring in rings for kind, _ in records(host, ring, 64 * PAGE)]
    assert 100 <= kinds.count(SAMPLE) <= 5 * 100, (kinds.count(SAMPLE), kinds.count(5))
    assert kinds.count(5) >= 1  # THROTTLE


@booted
def test_clocks_leave_no_timers(machine: Machine) -> None:
    from kernel.time.timers import armed_count

    host = machine.host
    prepare()
    before = armed_count()
    event = opened(host, attributes(TASK_CLOCK, INHERIT, period=1_000_000))
    assert os.waitstatus_to_exitcode(machine.run(lambda program: program.getpid() * 0)) == 0
    assert armed_count() == before + 1
    host.close(event)
    assert armed_count() == before


@booted
def test_a_mapping_does_not_grow(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(DUMMY))
    ring = host.call("mmap", 0, 3 * PAGE, 3, 1, event, 0)
    for size in (3 * PAGE, 0):
        with pytest.raises(OSError, match="EFAULT"):
            host.mremap(ring, size, 5 * PAGE, 1, 0)
    second = host.call("mmap", 0, 3 * PAGE, 3, 1, event, 0)
    host.close(event)
    host.munmap(ring, 3 * PAGE)
    assert RUNNING.is_observed  # the second mapping keeps it open
    host.munmap(second + PAGE, PAGE)
    host.munmap(second, 3 * PAGE)
    assert not RUNNING.is_observed


@booted
def test_output_stays_where_it_is_mapped(machine: Machine) -> None:
    host = machine.host
    first, second, third = (opened(host, attributes(DUMMY)) for _ in range(3))
    host.call("mmap", 0, 2 * PAGE, 3, 1, first, 0)
    host.call("mmap", 0, 2 * PAGE, 3, 1, third, 0)
    host.ioctl(second, SET_OUTPUT, first)
    place = host.call("mmap", 0, 2 * PAGE, 3, 1, second, 0)  # the ring of the first one, once more
    with pytest.raises(OSError, match="EINVAL"):
        host.ioctl(second, SET_OUTPUT, third)
    host.munmap(place, 2 * PAGE)
    host.ioctl(second, SET_OUTPUT, third)
    host.ioctl(second, SET_OUTPUT, -1)


@booted
def test_output_goes_from_one_ring_with_others_to_another(machine: Machine) -> None:
    host = machine.host
    events = [opened(host, attributes(DUMMY)) for _ in range(6)]
    first, second = events[0], events[3]
    for event in (first, second):
        host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    for event in events[1:3]:
        host.ioctl(event, SET_OUTPUT, first)
    for event in events[4:]:
        host.ioctl(event, SET_OUTPUT, second)
    host.ioctl(events[1], SET_OUTPUT, first)  # where it goes already
    host.ioctl(events[1], SET_OUTPUT, second)
    rings = [file_of(host, event).event.ring for event in (first, second)]
    assert [[user.place_in_ring for user in ring.users] for ring in rings if ring is not None] == [[0, 1], [0, 1, 2, 3]]
    for event in events:
        host.close(event)
    for ring in rings:
        assert ring is not None and len(ring.users) == 1  # the mapping keeps the file of that one open


@booted
def test_a_ring_that_was_not_mapped_is_given_back(machine: Machine) -> None:
    from kernel.mm.frames import free_frame_count

    host = machine.host
    event = opened(host, attributes(DUMMY))
    before = free_frame_count()
    with pytest.raises(OSError, match="EEXIST"):
        place = fresh_pages(host, 65)
        host.call("mmap", place, 65 * PAGE, 3, 0x100001, event, 0)  # MAP_FIXED_NOREPLACE
    host.close(event)
    assert before - free_frame_count() < 10


@booted
def test_who_opened_it_decides_what_symbols_are_shown(machine: Machine) -> None:
    from kernel.fs.procfs.kernel_symbols import Symbols
    from kernel.lib.credentials import Credentials

    symbols = Symbols()
    opener = Credentials()
    opener.effective = 0
    symbols.opened_by(opener)
    assert not symbols.shows  # an opener without capabilities
    symbols.opened_by(None)
    assert symbols.shows


@booted
def test_a_whole_processor(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, 0), pid=-1, processor=0)

    def child(program: Program) -> None:
        touch(program, fresh_pages(program, 40), 40)

    assert machine.run(child) == 0
    assert words(host, event)[0] >= 40
    calls = opened(host, attributes(2, 0, TRACEPOINT), pid=-1, processor=0)
    assert machine.run(lambda program: program.getpid()) >= 0
    assert words(host, calls)[0] >= 3
    host.close(event)
    host.close(calls)
    assert not RUNNING.is_observed


@booted
def test_a_clock_rings_while_nobody_runs(machine: Machine) -> None:
    host = machine.host
    found = []
    for flags in (DISABLED, DISABLED | 1 << 7):  # exclude_idle
        event = opened(host, attributes(0, flags, period=1_000_000, samples=2 | 1 << 8), pid=-1, processor=0)
        ring = host.call("mmap", 0, 9 * PAGE, 3, 1, event, 0)
        host.ioctl(event, ENABLE, 0)
        host.nanosleep(struct.pack("<QQ", 0, 20_000_000), None)
        host.ioctl(event, DISABLE, 0)
        assert words(host, event)[0] >= 20_000_000
        found.append([struct.unpack("<IIQ", data) for _, data in records(host, ring, 8 * PAGE)])
    assert 15 <= len(found[0]) <= 21 and set(found[0]) == {(0, 0, 1_000_000)}
    assert len(found[1]) <= 1


def file_of(program: Program, descriptor: int) -> EventFile:
    file = program.task.files.get(descriptor)
    assert isinstance(file, EventFile)
    return file


@booted
def test_a_file_that_another_thread_closed_stays_closed(machine: Machine) -> None:
    """mmap(2) has found the event, which writes to a ring of another one, and waits; meanwhile it is closed."""
    from kernel.fs.file import OPEN_FILES
    from kernel.mm.area import Area

    host = machine.host
    first, second = (opened(host, attributes(DUMMY)) for _ in range(2))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, first, 0)
    host.ioctl(second, SET_OUTPUT, first)
    file = file_of(host, second)
    mapping = file.mapped_part(0, 2 * PAGE)
    host.close(second)
    count = OPEN_FILES.count
    users = file.inode.users
    area = Area(ring, ring + 2 * PAGE, 3, 3, 1, mapping, 0)
    area.attach(host.task.space)
    assert file.users == 0
    area.detach()
    assert file.users == 0 and OPEN_FILES.count == count and file.inode.users == users
    with pytest.raises(OSError, match="EBADF"):
        host.call("mmap", 0, 2 * PAGE, 3, 1, second, 0)
    host.munmap(ring, 2 * PAGE)
    host.close(first)
    assert not RUNNING.is_observed


@booted
def test_what_many_samples_tell_is_told_once(machine: Machine) -> None:
    """A sample leaves a notice; signals are sent, and waiting threads woken, once the program goes on."""
    from kernel.perf.notices import NOTICES

    host = machine.host
    event = opened(host, attributes(FAULTS, period=1, samples=8))
    host.call("mmap", 0, 3 * PAGE, 3, 1, event, 0)
    host.fcntl(event, 10, 40)  # F_SETSIG
    host.fcntl(event, 8, host.getpid())
    host.fcntl(event, 4, 0x2802)  # O_ASYNC | O_NONBLOCK | O_RDWR
    host.rt_sigprocmask(0, struct.pack("<Q", 1 << 39), None, 8)
    watch = file_of(host, event).event.samples
    assert watch is not None
    pages = fresh_pages(host, 1)
    host.ioctl(event, ENABLE, 0)
    for _ in range(5):
        overflow.happened(file_of(host, event).event, 1, PLACE, 0, span_of(b""))
    queue = host.task.process.pending.queue
    found = [(watch.is_due, len(queue))]
    assert NOTICES.tell_now()
    found.append((watch.is_due, len(queue)))
    touch(host, pages, 1)  # reported before the program goes on
    found.append((watch.is_due, len(queue)))
    assert found == [(True, 0), (False, 1), (False, 2)]
    host.close(event)


@booted
def test_many_who_write_to_a_ring_are_told_in_parts(machine: Machine) -> None:
    from kernel.perf.notices import NOTICES
    from kernel.perf.ring import Ring
    from kernel.sched.wait import Waiter

    host = machine.host
    events = [file_of(host, opened(host, attributes(DUMMY))).event for _ in range(100)]
    ring = Ring(1, 0, is_backward=False)
    for event in events:
        ring.add_user(event)

    class Hears(Waiter):
        heard = 0

        def notify(self) -> None:
            self.heard += 1

    waiters = {number: Hears() for number in (10, 80)}
    for number, waiter in waiters.items():
        events[number].waiters.add(waiter)
    ring.announce()
    assert ring.has_news
    assert ring.tell(1000) <= 0 and 20 < ring.untold < 80
    assert [waiter.heard for waiter in waiters.values()] == [0, 1]
    for event in (events[0], events[99], events[50]):  # in any order, the lists stay whole
        ring.remove_user(event.place_in_ring)
    assert [event.place_in_ring for event in ring.users] == list(range(97))
    ring.announce()  # while a part of them is reported: all will be reported again
    assert ring.tell(100_000) > 100_000 - 250 * 40 and ring.untold == -1
    assert [waiter.heard for waiter in waiters.values()] == [2, 2]
    for waiter in waiters.values():
        waiter.leave()
    assert NOTICES.tell_now() and NOTICES.due.is_empty()
    ring.announce()
    assert not NOTICES.due.is_empty()
    ring.free()
    assert NOTICES.due.first() is None


@booted
def test_rings_count_for_whoever_maps_them(machine: Machine) -> None:
    host = machine.host
    process = host.task.process
    event = opened(host, attributes(DUMMY))
    before = held_pages(process)
    ring = host.call("mmap", 0, 65 * PAGE, 3, 1, event, 0)
    others = [opened(host, attributes(DUMMY)) for _ in range(3)]
    for other in others:
        host.ioctl(other, SET_OUTPUT, event)
    assert 65 <= held_pages(process) - before <= 68  # once, however many write there
    host.close(event)  # the mapping keeps it, and needs no descriptor
    assert 65 <= held_pages(process) - before <= 68
    host.munmap(ring, 65 * PAGE)
    assert held_pages(process) - before <= 3, (held_pages(process), before, host.task.space.ring_pages)
    assert host.task.space.ring_pages == 0


@booted
def test_rings_that_a_child_keeps_count_for_it(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(DUMMY))
    ring = host.call("mmap", 0, 65 * PAGE, 3, 1, event, 0)
    host.madvise(ring, 65 * PAGE, 11)  # MADV_DOFORK
    found = []

    def child(program: Program) -> int:
        space = program.task.space
        found.append((space.ring_pages, space.pinned_pages))
        program.munmap(ring, 65 * PAGE)
        found.append((space.ring_pages, space.pinned_pages))
        return 0

    assert machine.run(child) == 0
    assert found == [(65, 65), (0, 0)], found
    assert host.task.space.ring_pages == 65 and host.task.space.pinned_pages == 0


@booted
def test_two_first_mappings_at_once_map_one_ring(machine: Machine) -> None:
    host = machine.host
    file = file_of(host, opened(host, attributes(DUMMY)))
    first = file.mapped_part(0, 3 * PAGE)
    second = file.mapped_part(0, 3 * PAGE)
    assert first.resident(1) == second.resident(1) != 0
    file.mapped_part(0, 2 * PAGE)  # none of them was mapped, and it may be of another size
    assert first.resident(1) == 0


@booted
def test_a_ring_that_is_about_to_end_is_not_mapped_again(machine: Machine) -> None:
    """Those that write to it leave it one by one, and others run in between."""
    host = machine.host
    first, second = (file_of(host, opened(host, attributes(DUMMY))) for _ in range(2))
    mapping = first.mapped_part(0, 2 * PAGE)
    mapping.acquire()
    second.set_output(first.event)
    found: list[MemoryObject] = []
    with meanwhile(lambda: found.append(first.mapped_part(0, 2 * PAGE))):
        mapping.release()
    assert mapping.resident(1) == 0 and found[0].resident(1) != 0
    ring = first.event.ring
    assert ring is not None and ring.users == [first.event] and second.event.ring is None


@booted
def test_an_event_stays_where_it_is_if_there_is_no_memory_for_a_place_elsewhere(machine: Machine) -> None:
    host = machine.host
    files = [file_of(host, opened(host, attributes(DUMMY))) for _ in range(3)]
    mappings = [file.mapped_part(0, 2 * PAGE) for file in files[:2]]
    for mapping in mappings:
        mapping.acquire()
    files[2].set_output(files[0].event)
    ring = files[1].event.ring
    assert ring is not None

    class Full(list[Event]):
        def append(self, event: Event) -> None:
            raise MemoryError

    ring.users = Full([files[1].event, files[1].event, files[1].event])
    with pytest.raises(MemoryError):
        files[2].set_output(files[1].event)
    assert files[2].event.place_in_ring == 1 and files[2].event.ring is files[0].event.ring


@booted
def test_filters_count_for_whoever_set_them(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(2, 0, TRACEPOINT))
    file = file_of(host, event)
    before = file.held_bytes()
    host.ioctl(event, SET_FILTER, b"id&1" + b"&&id&1" * 650)
    assert file.held_bytes() - before > 1301 * 60


@booted
def test_the_counts_of_a_group_in_a_sample_have_their_price(machine: Machine) -> None:
    host = machine.host
    data = attributes(FAULTS, DISABLED, period=1, samples=1 << 4, form=8)
    leader = opened(host, data)
    ring = host.call("mmap", 0, 65 * PAGE, 3, 1, leader, 0)
    for _ in range(100):
        opened(host, attributes(DUMMY), group=leader)
    host.ioctl(leader, ENABLE, 0)
    overflow.BUDGET.begin()
    before = overflow.BUDGET.left
    overflow.happened(file_of(host, leader).event, 1, PLACE, 0, span_of(b""))
    assert before - overflow.BUDGET.left > 100 * 100
    assert records(host, ring, 64 * PAGE)


@booted
def test_records_of_throttling_keep_to_the_budget(machine: Machine) -> None:
    host = machine.host
    event = opened(host, attributes(FAULTS, period=1, samples=8, form=16))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    overflow.BUDGET.left = 1000
    for _ in range(5):
        overflow._report_throttle(file_of(host, event).event, 5)
    assert len(records(host, ring, PAGE)) == 2
    assert words(host, event, 16)[1] == 3


@booted
def test_nothing_is_shown_of_a_program_that_has_not_begun(machine: Machine) -> None:
    host = machine.host
    data = bytearray(attributes(FAULTS, 0, period=1, samples=1 << 5 | 1 << 13))
    data[88:92] = struct.pack("<I", 64)
    event = opened(host, bytes(data))
    ring = host.call("mmap", 0, 2 * PAGE, 3, 1, event, 0)
    host.ioctl(event, DISABLE, 0)
    for is_being_entered in (False, True):
        host.store(ring + 1032, host.load(ring + 1024, 8))
        host.task.space.is_being_entered = is_being_entered
        PLACE.be_user(host.task)
        RECORD.put_sample(file_of(host, event).event, PLACE, 0, 1, span_of(b""))
        host.task.space.is_being_entered = False
        sizes = struct.unpack("<2Q", bytes(RECORD.data[8:24]))
        assert (sizes == (0, 0)) == is_being_entered


@booted
def test_a_program_that_runs_has_begun(machine: Machine) -> None:
    host = machine.host
    found = []

    def begun(program: Program) -> int:
        found.append(program.task.space.is_being_entered)
        return 0

    machine.install("/bin/begun", begun)
    assert machine.run(lambda program: program.execve("/bin/begun", [b"begun"], [])) == 0
    assert found == [False] and not host.task.space.is_being_entered


@booted
def test_names_of_areas_are_not_made_for_nobody(machine: Machine) -> None:
    from kernel.mm.area import Area
    from kernel.perf import records as told

    asked: list[Area] = []
    made = told._name_of

    def name_of(area: Area) -> bytes:
        asked.append(area)
        return made(area)

    vars(told)["_name_of"] = name_of
    host = machine.host
    deaf = opened(host, attributes(DUMMY, 0))
    fresh_pages(host, 1)
    assert not asked
    opened(host, attributes(DUMMY, 1 << 17))  # mmap_data
    fresh_pages(host, 1)
    assert len(asked) == 1
    host.close(deaf)


@booted
def test_events_that_end_with_a_program(machine: Machine) -> None:
    host = machine.host
    machine.install("/bin/nothing", lambda program: 0)
    leader = opened(host, attributes(FAULTS, INHERIT))
    for number in range(40):
        opened(host, attributes(FAULTS, INHERIT | (1 << 36 if number % 3 else 0)), group=leader)  # remove_on_exec
    found = []

    def child(program: Program) -> None:
        observation = program.task.observation
        assert isinstance(observation, EventContext)
        found.append(len(observation.events))
        program.execve("/bin/nothing", [b"nothing"], [])

    assert machine.run(child) == 0
    assert found == [41]
    assert RUNNING.is_observed
