"""Where everything lies in a ring, and the flags of io_uring_setup(2) and io_uring_enter(2).

Source: io_uring_setup(2), io_uring_enter(2); `linux/io_uring.h`, whose offsets a program finds in its
io_uring_params.
"""

from typing import Final

WORD: Final = 0xFFFF_FFFF  # indices of rings are counted modulo 2**32

# io_uring_setup(2)
SETUP_IOPOLL: Final = 1 << 0
SETUP_SQPOLL: Final = 1 << 1
SETUP_SQ_AFF: Final = 1 << 2
SETUP_CQSIZE: Final = 1 << 3
SETUP_CLAMP: Final = 1 << 4
SETUP_ATTACH_WQ: Final = 1 << 5
SETUP_R_DISABLED: Final = 1 << 6
SETUP_SUBMIT_ALL: Final = 1 << 7
SETUP_COOP_TASKRUN: Final = 1 << 8
SETUP_TASKRUN_FLAG: Final = 1 << 9
SETUP_SQE128: Final = 1 << 10
SETUP_CQE32: Final = 1 << 11
SETUP_SINGLE_ISSUER: Final = 1 << 12
SETUP_DEFER_TASKRUN: Final = 1 << 13
SETUP_NO_MMAP: Final = 1 << 14
SETUP_REGISTERED_FD_ONLY: Final = 1 << 15
SETUP_NO_SQARRAY: Final = 1 << 16

MOST_ENTRIES: Final = 32768
MOST_COMPLETIONS: Final = 2 * MOST_ENTRIES

# io_uring_enter(2)
ENTER_GETEVENTS: Final = 1 << 0
ENTER_SQ_WAKEUP: Final = 1 << 1
ENTER_SQ_WAIT: Final = 1 << 2
ENTER_EXT_ARG: Final = 1 << 3
ENTER_REGISTERED_RING: Final = 1 << 4
ENTER_ABS_TIMER: Final = 1 << 5
ENTER_FLAGS: Final = 0x3F

# The ring's first page: words of 32 bits. After them come the completions, and then the indices of submissions.
SQ_HEAD: Final = 0
SQ_TAIL: Final = 4
CQ_HEAD: Final = 8
CQ_TAIL: Final = 12
SQ_MASK: Final = 16
CQ_MASK: Final = 20
SQ_ENTRIES: Final = 24
CQ_ENTRIES: Final = 28
SQ_DROPPED: Final = 32
SQ_FLAGS: Final = 36
CQ_FLAGS: Final = 40
CQ_OVERFLOW: Final = 44
COMPLETIONS: Final = 64
_LINE: Final = 64

SQ_NEED_WAKEUP: Final = 1 << 0  # in SQ_FLAGS
SQ_CQ_OVERFLOW: Final = 1 << 1
SQ_TASKRUN: Final = 1 << 2
CQ_EVENTFD_DISABLED: Final = 1 << 0  # in CQ_FLAGS

# Offsets of mmap(2)
MAP_SQ: Final = 0
MAP_CQ: Final = 0x800_0000
MAP_ENTRIES: Final = 0x1000_0000
MAP_BUFFERS: Final = 0x8000_0000
MAP_BUFFERS_SHIFT: Final = 16
MAP_KIND: Final = 0xF800_0000

ENTRY_SIZE: Final = 64  # of struct io_uring_sqe
COMPLETION_SIZE: Final = 16  # of struct io_uring_cqe

# Flags of a submission (IOSQE_*)
FIXED_FILE: Final = 1 << 0
IO_DRAIN: Final = 1 << 1
IO_LINK: Final = 1 << 2
IO_HARDLINK: Final = 1 << 3
ASYNC: Final = 1 << 4
BUFFER_SELECT: Final = 1 << 5
CQE_SKIP_SUCCESS: Final = 1 << 6
ENTRY_FLAGS: Final = 0x7F
LINKS: Final = IO_LINK | IO_HARDLINK

# Flags of a completion
CQE_BUFFER: Final = 1 << 0  # the number of a buffer stands in the upper half
CQE_MORE: Final = 1 << 1  # further completions of the same request follow
CQE_SOCK_NONEMPTY: Final = 1 << 2
CQE_NOTIFICATION: Final = 1 << 3
CQE_BUFFER_MORE: Final = 1 << 4  # the rest of the buffer stays with the kernel
CQE_BUFFER_SHIFT: Final = 16

# What the kernel says it can do (IORING_FEAT_*)
_SINGLE_MMAP: Final = 1 << 0
_NODROP: Final = 1 << 1
_RW_CUR_POS: Final = 1 << 3
_CUR_PERSONALITY: Final = 1 << 4
_FAST_POLL: Final = 1 << 5
_POLL_32BITS: Final = 1 << 6
_SQPOLL_NONFIXED: Final = 1 << 7
_EXT_ARG: Final = 1 << 8
_NATIVE_WORKERS: Final = 1 << 9
_RSRC_TAGS: Final = 1 << 10
_CQE_SKIP: Final = 1 << 11
_LINKED_FILE: Final = 1 << 12
_REG_REG_RING: Final = 1 << 13
_RECVSEND_BUNDLE: Final = 1 << 14
_MIN_TIMEOUT: Final = 1 << 15
FEATURES: Final = (
    _SINGLE_MMAP | _NODROP | _RW_CUR_POS | _CUR_PERSONALITY | _FAST_POLL | _POLL_32BITS
    | _SQPOLL_NONFIXED | _EXT_ARG | _NATIVE_WORKERS | _RSRC_TAGS | _CQE_SKIP | _LINKED_FILE | _REG_REG_RING
    | _RECVSEND_BUNDLE | _MIN_TIMEOUT
)  # fmt: skip


def array_offset(completions: int, completion_size: int) -> int:
    """Where the indices of submissions lie, after that many completions (at most 2 * 32,768, of 16 or 32 bytes)."""
    size = COMPLETIONS + completions * completion_size
    if completion_size != COMPLETION_SIZE:
        size += COMPLETIONS  # Linux doubles all of it
    return (size + _LINE - 1) // _LINE * _LINE


def rounded_up(count: int) -> int:
    """The least power of two that is not below a number from 1 to 2**32."""
    power = 1
    while power < count:
        power *= 2
    return power
