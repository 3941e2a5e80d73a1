"""Parts of a ring and of a request: numbers and switches that belong together.

They are structs inside the object and begin as zeros, as those of a task (kernel/task/parts.py).

Guarded by the kernel lock.
"""

from kernel.lang import struct

# Of a ring ------------------------------------------------------------------------------------------------------------


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


# Of a request ---------------------------------------------------------------------------------------------------------


@struct
class SubmissionEntry:
    """What a request asks for, as its submission said it; operations change it on their way."""

    opcode: int
    flags: int
    priority: int
    descriptor: int
    offset: int
    address: int
    length: int
    modifiers: int  # rw_flags, msg_flags, timeout_flags …
    user_data: int
    buffer_index: int
    personality: int
    other: int  # splice_fd_in, file_index, addr_len
    address3: int
    last: int


@struct
class RequestProgress:
    """How far a request is."""

    is_new: bool  # it has not begun
    has_begun: bool  # its operation has been at work before
    is_in_progress: bool  # a connection is
    moved: int  # bytes so far
    tries: int  # how often its file was ready, one after the other, and yet had it wait


@struct
class RequestEnd:
    """How a request ends, and what its completions say."""

    outcome: int  # whatever happens to its file; NO_OUTCOME: that is not decided
    refusal: int  # an error that it has before it begins
    flags: int  # of its completion
    notice: int  # the result of a second completion, which tells that its memory is free; or NO_OUTCOME
