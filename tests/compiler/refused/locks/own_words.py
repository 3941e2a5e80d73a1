"""Words that are a thread's own, stored by others, and in calls without the kernel lock that may be made again."""

from kernel.doors.quick import TAKE_LOCK, quick
from kernel.doors.table import SYSCALLS, syscall
from kernel.lang import Errno, atomic, export, extern, final, finds_own, gives_up, interrupted_by, own, struct, unlocked


@own("head", "tid")
@struct
class Library:
    head: int
    tid: int
    other: int


@own("number")
@final
class NoPart:
    def __init__(self) -> None:
        self.number = 0


@final
class Thread:
    library: Library

    def __init__(self, number: int) -> None:
        self.number = number
        self.library.head = number


THREAD = Thread(1)


@finds_own
def running() -> Thread:
    return THREAD


@export("fault_of_own_words")
def fault() -> None:
    pass


@extern("write_of_own_words")
@interrupted_by("fault_of_own_words")
@gives_up("writes")
def write_word(address: int, value: int) -> int:
    return value


@syscall("getpriority")
@unlocked
def may_store_last(address: int) -> int:
    if write_word(address, running().library.head) != 0:
        raise Errno(14)
    running().library.head = address
    running().library.tid = address + 1
    return running().number


@syscall("setpriority")
@unlocked
def gives_up_after_a_store(address: int) -> int:
    running().library.head = address
    return write_word(address, 1)


@syscall("getitimer")
@unlocked
def fails_after_a_store(address: int) -> int:
    running().library.head = address
    if address == 0:
        raise Errno(22)
    return 0


@syscall("setitimer")
@unlocked
def stores_in_a_loop(count: int) -> int:
    for i in range(3):
        running().library.head = count + i
    return 0


def put(head: int) -> None:
    running().library.head = head


@syscall("times")
@unlocked
def stores_elsewhere(head: int) -> int:
    put(head)
    return 0


@syscall("sync")
@unlocked
def stores_a_word_that_is_not_own(head: int) -> int:
    running().library.other = head
    return 0


@syscall("vhangup")
@unlocked
def stores_to_what_it_was_given(head: int) -> int:
    thread = running()
    thread.library.head = head
    return 0


@syscall("sethostname")
def in_a_quick_form(head: int) -> int:
    running().library.other = head
    return 0


@quick("sethostname")
@unlocked
def quick_stores_last(head: int) -> int:
    if head < 0:
        return TAKE_LOCK
    running().library.head = head
    if head == 3:
        return -4097
    return 0


@syscall("setdomainname")
def in_another(head: int) -> int:
    running().library.other = head
    return 0


@quick("setdomainname")
@unlocked
def quick_takes_the_lock_after_a_store(head: int) -> int:
    running().library.head = head
    if head == 3:
        return TAKE_LOCK
    return 0


@syscall("reboot")
def in_a_third(head: int) -> int:
    running().library.other = head
    return 0


@quick("reboot")
@unlocked
def quick_may_take_the_lock_after_a_store(head: int) -> int:
    running().library.head = head
    return head


@syscall("munlockall")
def adds() -> int:
    running().library.head += 1
    return 0


def inherit(child: Thread, parent: Thread) -> None:
    child.library = parent.library


def call(number: int) -> int:
    row = SYSCALLS[number]
    inherit(Thread(2), THREAD)
    NoPart().number = 3
    fault()
    return 0 if row is None else row.handler(1, 2, 3, 4, 5, 6)
