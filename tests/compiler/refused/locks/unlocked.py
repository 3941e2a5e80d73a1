"""Functions that promise not to need the kernel lock, and do: one reason each."""

from typing import Final

from kernel.lang import SpinLock, Weak, extern, final, guarded_by, noinline, ranked, unlocked


@ranked(10)
@final
class ItemLock(SpinLock):
    pass


class Item:
    def __init__(self, size: int) -> None:
        self.size = size
        self.count = 0
        self.next: Item | None = None
        self.names = [1]

    def change(self) -> None:
        self.count = 1


class Known:
    """Assembly may write to it."""

    def __init__(self) -> None:
        self.count = 0


@final
@guarded_by("lock", "count")
class Half:
    def __init__(self) -> None:
        self.lock = ItemLock()
        self.count = 0
        self.rest = 0

    def change(self) -> None:
        self.rest = 1


@extern("look_at_the_known")
def look_at(known: Known) -> int:
    return known.count


TABLE: Final = [1, 2, 3]
CHANGED: Final = [1, 2, 3]
OTHER_NAME: Final = CHANGED
KEPT: Final = {1: 2}
IN_AN_OBJECT: Final = [1]
ITEM: Final = Item(3)
ITEM.names = IN_AN_OBJECT
total = 0


def make() -> int:
    global total
    total += look_at(Known()) + Half().rest
    ITEM.change()
    return total


@unlocked
def size_of(item: Item, limit: int) -> int:
    return min(item.size, limit, ITEM.size)  # nobody stores it later


@unlocked
def reads_a_field(item: Item) -> int:
    return item.count


@unlocked
def stores_a_field(item: Item) -> None:
    item.count = 2


@unlocked
def stores_a_reference(item: Item, following: Item) -> None:
    item.next = following


@unlocked
def reads_a_container(item: Item) -> int:
    return item.names[0]


@unlocked
def reads_a_table(index: int) -> int:
    total = len(TABLE)
    for number in TABLE:
        total += number
    return TABLE[index] if index in TABLE else total  # nobody does more than read it


@unlocked
def reads_what_changes(index: int) -> int:
    return CHANGED[index]


def change() -> None:
    OTHER_NAME.append(4)


@unlocked
def reads_what_somebody_has(index: int) -> int:
    return KEPT[index]


def keep() -> dict[int, int]:
    return KEPT


@unlocked
def reads_what_an_object_has(index: int) -> int:
    return IN_AN_OBJECT[index]


@unlocked
def reads_a_global() -> int:
    return total


@unlocked
def allocates() -> bytes:
    return bytes(3)


@unlocked
def follows(item: Weak[Item]) -> bool:
    return item.get() is not None


@unlocked
def runs_assembly() -> int:
    return look_at_it()


@extern("look_at_anything")
def look_at_it() -> int:
    return 0


@unlocked
def reads_what_assembly_writes(known: Known) -> int:
    return known.count


@unlocked
def reads_the_rest(half: Half) -> int:
    with half.lock:
        count = half.count
    return count + half.rest


@unlocked
def calls_one_that_does(item: Item) -> int:
    return deeper(item)


@noinline
def deeper(item: Item) -> int:
    return reads_a_field(item)
