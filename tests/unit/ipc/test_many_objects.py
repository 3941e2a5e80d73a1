"""Many objects of System V, and many POSIX queues: finding a number is quick, and everything else has safe points."""

import random
from types import SimpleNamespace

from kernel.ipc import posix_queues
from kernel.ipc.message_queues import Queues
from kernel.ipc.namespace import SetLines, ipc_of_caller, new_ipc_namespace
from kernel.ipc.semaphores import HEADING, SemaphoreSet, Sets
from kernel.ipc.shared_memory import Segments
from kernel.ipc.sysv import INDEX_BITS, INDEX_MASK, IpcObject, IpcTable
from kernel.lib.credentials import Credentials
from kernel.lib.namespace import FIRST_USER
from kernel.lib.pid import Bearer, Pid
from tests.unit.fs.conftest import World, world
from tests.unit.meanwhile import meanwhile

__all__ = ["world"]
PRIVATE = 0
CREATE = 0o1600


def number_by_looking(table: IpcTable[IpcObject]) -> tuple[int, int]:
    """What the next object gets: the sequence and the index."""
    index = table.last_index + 1
    if index >= max(len(table.objects) * 3 // 2, 64):
        index = 0
    while index in table.objects:
        index += 1
    return table.sequence + (index <= table.last_index) & 0xFFFF, index


def test_numbers_are_the_next_ones_that_are_free(world: World) -> None:
    chance = random.Random(3)
    table: IpcTable[IpcObject] = IpcTable()
    assert table.highest_index() == 0
    for turn in range(3000):
        if len(table.objects) > 0 and chance.random() < (0.3 if turn < 1500 else 0.6):
            table.remove(table.objects[chance.choice(list(table.objects))])
        else:
            expected = number_by_looking(table)
            identifier = table.add(IpcObject(PRIVATE, 0o600, Credentials(), FIRST_USER))
            assert (identifier >> INDEX_BITS, identifier & INDEX_MASK) == expected
        assert table.highest_index() == max(table.objects, default=0)


def test_totals_of_many_segments_are_taken_with_safe_points(world: World) -> None:
    """One that goes meanwhile is left out."""
    segments = Segments(FIRST_USER)
    made = [segments.open(PRIVATE, 4096, CREATE, Credentials(), Bearer(Pid(7))) for _ in range(5)]
    for identifier in made:
        segments.get(identifier).page(0, for_write=True)
    with meanwhile(lambda: segments.get(made[4]).remove(), 2):
        assert segments.resident_count() == 4


def test_a_counter_is_set_with_safe_points_for_those_who_would_undo_it(world: World) -> None:
    sets = Sets(FIRST_USER)
    one = sets.table.get(sets.open(PRIVATE, 1, CREATE, Credentials()))
    undos = [SimpleNamespace(number=None) for _ in range(4)]
    for undo in undos:
        undo.set = lambda number, value, undo=undo: setattr(undo, "number", (number, value))
    one.undos = list(undos)  # type: ignore[arg-type]  # only what is asked of them
    seen: list[bool] = []

    def leave() -> None:
        seen.append(one.is_busy)
        one.undos.pop()  # as IPC_RMID does; the ends of processes wait for quiet

    with meanwhile(leave):
        one.set_value(0, 3, Bearer(Pid(7)))
    assert seen == [True] and not one.is_busy and isinstance(one, SemaphoreSet) and one.values == [3]
    assert all(undo.number == (0, 0) for undo in undos[:3])


def test_the_end_of_a_namespace_has_safe_points(world: World) -> None:
    namespace = new_ipc_namespace(FIRST_USER)
    queues: Queues = namespace.queues
    directory = namespace.mqueues.file_system.directory()
    for number in range(5):
        queues.open(PRIVATE, CREATE, Credentials())
        namespace.sets.open(PRIVATE, 1, CREATE, Credentials())
        namespace.segments.open(PRIVATE, 1, CREATE, Credentials(), Bearer(Pid(7)))
        directory.make(b"q%d" % number, 0o600, posix_queues.default_attributes(), Credentials(), 1 << 30)
    left: list[tuple[int, ...]] = []

    def look() -> None:
        sets, segments = namespace.sets.table, namespace.segments.table
        left.append((len(queues.table.objects), len(sets.objects), len(segments.objects), len(directory.queues)))

    with meanwhile(look, 2):
        namespace.end()
    assert left == [(4, 5, 5, 5)]
    assert all(len(each.table.objects) == 0 for each in (queues, namespace.sets, namespace.segments))
    assert len(directory.queues) == 0


def test_the_most_urgent_messages_go_first_and_in_order(world: World) -> None:
    chance = random.Random(4)
    queue = posix_queues.Queue.__new__(posix_queues.Queue)
    queue.messages = []
    queue.byte_count = 0
    sent = [SimpleNamespace(priority=chance.randrange(5), data=b"x", number=number) for number in range(200)]
    for message in sent:
        queue._insert(message)  # type: ignore[arg-type]  # only what is asked of them
    assert list(queue.messages) == sorted(sent, key=lambda message: -message.priority)


def test_a_walk_over_all_meets_what_comes_behind_it(world: World) -> None:
    table: IpcTable[IpcObject] = IpcTable()
    for _ in range(200):
        table.add(IpcObject(PRIVATE, 0o600, Credentials(), FIRST_USER))
    walk = table.all()
    met = [next(walk).identifier]
    for index in (100, 150):
        table.remove(table.objects[index])
    late = table.add(IpcObject(PRIVATE, 0o600, Credentials(), FIRST_USER))
    met += [found.identifier for found in walk]
    assert met == [index for index in range(200) if index not in (100, 150)] + [late]
    assert table.from_index(201) is None and table.from_index(100) is table.objects[101]


def test_lines_of_proc_are_made_one_by_one(world: World) -> None:
    """A text of all would be megabytes in one piece."""
    sets = ipc_of_caller().sets
    numbers = [sets.table.add(SemaphoreSet(sets, PRIVATE, 0o600, Credentials(), 1)) for _ in range(3)]
    lines = SetLines()
    shown = [lines.next(), lines.next()]
    sets.table.remove(sets.table.get(numbers.pop(1)))
    shown += iter(lines.next, None)
    assert shown[0] == HEADING and [int((line or b"").split()[1]) for line in shown[1:]] == numbers
    for number in numbers:
        sets.table.remove(sets.table.get(number))
