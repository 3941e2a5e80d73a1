"""Calls without the kernel lock that touch the program's memory otherwise than by a little that they can give up."""

from kernel.doors.table import SYSCALLS, syscall
from kernel.lang import SpinLock, export, extern, final, gives_up, interrupted_by, ranked, unlocked


@export("fault_of_giving_up")
def fault() -> None:
    pass


@extern("read_of_giving_up")
@interrupted_by("fault_of_giving_up")
@gives_up("reads")
def read_word(address: int) -> int:
    return address


@extern("write_of_giving_up")
@interrupted_by("fault_of_giving_up")
@gives_up("writes")
def write_word(address: int, value: int) -> int:
    return value


@extern("copy_of_giving_up")
@interrupted_by("fault_of_giving_up")
def copy(address: int, size_bytes: int) -> int:
    return size_bytes


@gives_up("writes")
def no_assembly(address: int) -> int:
    return address


@extern("other_of_giving_up")
@gives_up("executes")
def other(address: int) -> int:
    return address


@syscall("getpgid")
@unlocked
def may_read(address: int) -> int:
    return read_word(address) + read_word(address + 4)


@syscall("getpgrp")
@unlocked
def may_write(address: int) -> int:
    return write_word(address, 1) + write_word(address + 4, 2)


def swap(address: int) -> int:
    value = read_word(address)
    return write_word(address, value + 1)


@syscall("getsid")
@unlocked
def reads_and_writes(address: int) -> int:
    return swap(address)


@extern("copy_out_of_giving_up")
@interrupted_by("fault_of_giving_up")
@gives_up("copies out")
def copy_out(address: int, size_bytes: int) -> int:
    return size_bytes


@syscall("ioperm")
@unlocked
def may_read_and_write_a_word_last(address: int) -> int:
    value = read_word(address) + read_word(address + 4)
    if value < 0:
        return 0
    return write_word(address, value)


@syscall("iopl")
@unlocked
def reads_and_copies_out(address: int) -> int:
    return copy_out(address, read_word(address))


@syscall("swapon")
@unlocked
def reads_and_writes_in_a_loop(address: int) -> int:
    value = read_word(address)
    for i in range(2):
        write_word(address + i, value)
    return 0


@syscall("swapoff")
@unlocked
def reads_last(address: int) -> int:
    write_word(address, 1)
    return read_word(address)


@syscall("umask")
@unlocked
def copies_much(address: int, size: int) -> int:
    return copy(address, size)


@syscall("alarm")
def alarm(address: int) -> int:
    return no_assembly(address) + other(address)


@ranked(10)
@final
class WordLock(SpinLock):
    pass


class Word:
    def __init__(self) -> None:
        self.lock = WordLock()


WORD = Word()


@syscall("pause")
def writes_under_a_lock(address: int) -> int:
    word = WORD
    with word.lock:
        return write_word(address, 1)


def call(number: int) -> int:
    row = SYSCALLS[number]
    fault()
    return 0 if row is None else row.handler(1, 2, 3, 4, 5, 6)
