"""A call of one's own needs a number that Linux will not use."""

from kernel.doors.table import syscall


@syscall("count_cats", args="int", number=39)
def count_cats(room: int) -> int:
    return room
