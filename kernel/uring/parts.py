"""Parts of a ring: numbers and switches that belong together.

They are structs inside the object and begin as zeros, as those of a task (kernel/task/parts.py).

Guarded by the kernel lock.
"""

from kernel.lang import struct


@struct
class RingShape:
    """What was fixed when the ring was created. Counts are powers of two."""

    entry_count: int
    entry_size: int
    completion_count: int
    completion_size: int
    array_at: int  # where the array of indices of submissions lies


@struct
class Progress:
    """How far submissions and completions are."""

    head: int  # of submissions, modulo 2**32
    tail: int  # of completions, modulo 2**32
    dropped: int  # submissions with an index that is out of range, modulo 2**32
    posted: int  # completions
    timed_out: int  # timeouts that went off


@struct
class Draining:
    """What IOSQE_IO_DRAIN needs to know."""

    begun: int  # requests that were submitted, and how many of them are done
    ended: int
    is_off: bool  # a request was silent, so waiting for all of them is not possible
    is_next: bool  # the next chain waits for all of them


@struct
class HeldMemory:
    """What the ring holds besides its pages, about."""

    group_bytes: int  # provided buffers
    kept_bytes: int  # vectors of its requests
    counted_by: int  # the last count of memory that has met it
