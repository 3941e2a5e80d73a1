"""What /proc/PID/fdinfo shows of a ring, in pieces: its indices, submissions that were not taken, completions that the
program has not taken, the thread, what is registered, which requests wait.

The ring may change, and end, between two pieces: each one looks at it anew. What is registered is left out while
somebody submits or registers, as on Linux.

Source: the output of Linux 6.12 (tests/conformance/c/uring_fdinfo.c).
"""

from typing import Final, Literal

from kernel.fs.anonymous import ANONYMOUS, PIPES
from kernel.fs.file import File, Listing
from kernel.lang import Array, final, u8
from kernel.lib.credentials import Credentials, gid_for_caller, uid_for_caller
from kernel.lib.pace import pace
from kernel.net.sockets.protocol_names import protocol_name
from kernel.net.sockets.socket import Socket
from kernel.task.words import load_i32, load_i64
from kernel.uring import layout
from kernel.uring.operation import OPCODES
from kernel.uring.personalities import LAST
from kernel.uring.request import Request
from kernel.uring.ring import Overflowed, Ring

_COST: Final = 1500  # instructions of a line, for `pace`
_AT_ONCE: Final = 64  # numbers of personalities that are looked at for a piece
_LONGEST_NAME: Final = 39  # that Linux keeps in the place from which it shows it
_LARGEST: Final = (1 << 63) - 1
_HALF_BITS: Final = 32
_EMPTY: Final = b""
_NAMES: Final[list[str]] = [
    "NOP", "READV", "WRITEV", "FSYNC", "READ_FIXED", "WRITE_FIXED", "POLL_ADD", "POLL_REMOVE", "SYNC_FILE_RANGE",
    "SENDMSG", "RECVMSG", "TIMEOUT", "TIMEOUT_REMOVE", "ACCEPT", "ASYNC_CANCEL", "LINK_TIMEOUT", "CONNECT",
    "FALLOCATE", "OPENAT", "CLOSE", "FILES_UPDATE", "STATX", "READ", "WRITE", "FADVISE", "MADVISE", "SEND", "RECV",
    "OPENAT2", "EPOLL", "SPLICE", "PROVIDE_BUFFERS", "REMOVE_BUFFERS", "TEE", "SHUTDOWN", "RENAMEAT", "UNLINKAT",
    "MKDIRAT", "SYMLINKAT", "LINKAT", "MSG_RING", "FSETXATTR", "SETXATTR", "FGETXATTR", "GETXATTR", "SOCKET",
    "URING_CMD", "SEND_ZC", "SENDMSG_ZC", "READ_MULTISHOT", "WAITID", "FUTEX_WAIT", "FUTEX_WAKE", "FUTEX_WAITV",
    "FIXED_FD_INSTALL", "FTRUNCATE", "BIND", "LISTEN",
]  # fmt: skip


@final
class RingListing(Listing):
    """The text of a ring."""

    def __init__(self, ring: Ring) -> None:
        self.ring: Ring = ring
        self.part: int = 0  # which one is next
        self.index: int = 0  # how far that has come
        self.first: int = 0  # of the submissions or completions to be shown
        self.count: int = 0
        self.request: Request | None = None  # that was shown last, with its number
        self.number: int = 0
        self.overflowed: Overflowed | None = None  # the completion that was shown last

    def next_piece(self) -> bytes | None:
        pace(_COST)
        if self.ring.is_ended:
            return None
        part = self.part
        if part < 4:
            return self._shared(part)
        if part < 8:
            return self._registered(part)
        if part == 8:
            return _waiting(self)
        if part == 9:
            return _overflow(self)
        return _polling(self) if part == 10 else None

    def _shared(self, part: int) -> bytes:
        if part == 0:
            return _indices(self)
        if part == 1:
            return _submissions(self)
        return _completions(self) if part == 2 else _thread(self)

    def _registered(self, part: int) -> bytes:
        if part == 4:
            return _file_count(self)
        if part == 5:
            return _files(self)
        return _buffers(self) if part == 6 else _personalities(self)

    def follow(self) -> None:
        """The part is complete."""
        self.part += 1
        self.index = 0
        self.count = 0

    def is_busy(self) -> bool:
        """Whether somebody has the ring's lock."""
        return self.ring.submitting.present_owner() is not None


# ---- Submissions and completions -------------------------------------------------------------------------------------


def _indices(listing: RingListing) -> bytes:
    ring = listing.ring
    head = ring.observe(layout.SQ_HEAD)
    tail = ring.observe(layout.SQ_TAIL)
    listing.follow()
    offered = (tail - head) & layout.WORD
    listing.first = head
    listing.count = min(offered, ring.shape.entry_count) if ring.has_array() else 0
    text = f"SqMask:\t0x{ring.shape.entry_count - 1:x}\nSqHead:\t{head}\nSqTail:\t{tail}\n"
    text += f"CachedSqHead:\t{ring.progress.head}\n"
    text += f"CqMask:\t0x{ring.shape.completion_count - 1:x}\nCqHead:\t{ring.observe(layout.CQ_HEAD)}\n"
    text += f"CqTail:\t{ring.observe(layout.CQ_TAIL)}\nCachedCqTail:\t{ring.progress.tail}\nSQEs:\t{offered}\n"
    return text.encode()


def _submissions(listing: RingListing) -> bytes:
    ring = listing.ring
    if listing.index >= listing.count:
        listing.follow()
        head = ring.observe(layout.CQ_HEAD)
        waiting = (ring.observe(layout.CQ_TAIL) - head) & layout.WORD
        listing.first = head
        listing.count = min(waiting, ring.shape.completion_count)
        return f"CQEs:\t{waiting}\n".encode()
    slot = (listing.first + listing.index) & (ring.shape.entry_count - 1)
    listing.index += 1
    at = ring.observe(ring.shape.array_at + slot * 4)
    return _submission(ring, at) if at < ring.shape.entry_count else _EMPTY


def _submission(ring: Ring, at: int) -> bytes:
    storage: Array[u8, Literal[128]] = Array()
    entry = storage.span()[0 : ring.shape.entry_size]
    ring.entries.read(at * ring.shape.entry_size, entry)
    opcode = entry[0]
    name = _NAMES[opcode] if opcode < OPCODES else "INVALID"
    text = f"{at:5}: opcode:{name}, fd:{load_i32(entry, 4)}, flags:{entry[1]:x}, off:{unsigned(load_i64(entry, 8))}, "
    text += f"addr:0x{hexadecimal(load_i64(entry, 16))}, rw_flags:0x{entry.load_u32(28):x}, "
    text += f"buf_index:{entry.load_u16(40)} user_data:{unsigned(load_i64(entry, 32))}"
    for index in range((len(entry) - layout.ENTRY_SIZE) // 8):
        text += f", e{index}:0x{hexadecimal(load_i64(entry, layout.ENTRY_SIZE + index * 8))}"
    return (text + "\n").encode()


def _completions(listing: RingListing) -> bytes:
    ring = listing.ring
    if listing.index >= listing.count:
        listing.follow()
        return _EMPTY
    slot = (listing.first + listing.index) & (ring.shape.completion_count - 1)
    listing.index += 1
    storage: Array[u8, Literal[32]] = Array()
    entry = storage.span()[0 : ring.shape.completion_size]
    ring.memory.read(layout.COMPLETIONS + slot * ring.shape.completion_size, entry)
    text = f"{slot:5}: user_data:{unsigned(load_i64(entry, 0))}, res:{load_i32(entry, 8)}, flag:{entry.load_u32(12):x}"
    if ring.shape.completion_size != layout.COMPLETION_SIZE:
        text += f", extra1:{unsigned(load_i64(entry, 16))}, extra2:{unsigned(load_i64(entry, 24))}\n"
    return (text + "\n").encode()


def _thread(listing: RingListing) -> bytes:
    listing.follow()
    ring = listing.ring
    served = ring.served
    taker = None if served is None or listing.is_busy() else served.taker
    thread = None if taker is None else taker.thread
    if taker is None or thread is None:
        return b"SqThread:\t-1\nSqThreadCpu:\t-1\nSqTotalTime:\t0\nSqWorkTime:\t0\n"
    text = f"SqThread:\t{int(thread.tid)}\nSqThreadCpu:\t{taker.processor}\n"
    text += f"SqTotalTime:\t{thread.accounts.runtime_ns // 1000}\nSqWorkTime:\t{taker.working_ns // 1000}\n"
    return text.encode()


# ---- What is registered ----------------------------------------------------------------------------------------------


def _file_count(listing: RingListing) -> bytes:
    listing.follow()
    return f"UserFiles:\t{len(listing.ring.registered.files.slots)}\n".encode()


def _files(listing: RingListing) -> bytes:
    slots = listing.ring.registered.files.slots
    if listing.index >= len(slots) or listing.is_busy():
        listing.follow()
        return f"UserBufs:\t{len(listing.ring.registered.buffers.slots)}\n".encode()
    slot = listing.index
    listing.index += 1
    file = slots[slot]
    name = b"<none>" if file is None else _name_of(file)
    return f"{slot:5}: ".encode() + name + b"\n"


def _name_of(file: File) -> bytes:
    """The last part of its path; nothing if that is longer than what Linux shows. Pipes have none."""
    if isinstance(file, Socket):
        return protocol_name(file)
    path = file.path
    if path.mount is PIPES.mount:
        return _EMPTY
    name = path.dentry.name
    if path.mount is ANONYMOUS.mount and name.startswith(b"anon_inode:"):
        name = name[len(b"anon_inode:") :]
    return name if len(name) <= _LONGEST_NAME else _EMPTY


def _buffers(listing: RingListing) -> bytes:
    slots = listing.ring.registered.buffers.slots
    if listing.index >= len(slots) or listing.is_busy():
        listing.follow()
        return _EMPTY
    slot = listing.index
    listing.index += 1
    buffer = slots[slot]
    if buffer is None:
        return f"{slot:5}: 0x0/0\n".encode()
    return f"{slot:5}: 0x{hexadecimal(buffer.address)}/{buffer.length}\n".encode()


def _personalities(listing: RingListing) -> bytes:
    personalities = listing.ring.registered.personalities
    if listing.is_busy() or personalities.count() == 0 or listing.index > LAST:
        listing.follow()
        return b"PollList:\n"
    text = _EMPTY
    if listing.index == 0:
        text = b"Personalities:\n"
        listing.index = 1
    for _ in range(_AT_ONCE):
        number = listing.index
        listing.index += 1
        who = personalities.find(number)
        if who is not None:
            return text + _credentials(number, who)
    return text


def _credentials(number: int, who: Credentials) -> bytes:
    text = f"{number:5}\n\tUid:\t{uid_for_caller(who.uid)}\t\t{uid_for_caller(who.euid)}"
    text += f"\t\t{uid_for_caller(who.suid)}\t\t{uid_for_caller(who.fsuid)}"
    text += f"\n\tGid:\t{gid_for_caller(who.gid)}\t\t{gid_for_caller(who.egid)}"
    text += f"\t\t{gid_for_caller(who.sgid)}\t\t{gid_for_caller(who.fsgid)}\n\tGroups:\t"
    for index in range(len(who.groups)):
        group = gid_for_caller(who.groups[index])
        text += f"{group}" if index == 0 else f" {group}"
        pace(_COST)
    return (text + f"\n\tCapEff:\t{who.effective:016x}\n").encode()


# ---- Requests --------------------------------------------------------------------------------------------------------


def _waiting(listing: RingListing) -> bytes:
    """Those that wait for their files."""
    request = None if listing.is_busy() else _next_request(listing)
    if request is None:
        listing.follow()
        return b"CqOverflowList:\n"
    listing.request = request
    listing.number = request.number
    return _EMPTY if request.waiter is None else f"  op={request.entry.opcode}, task_works=0\n".encode()


def _next_request(listing: RingListing) -> Request | None:
    """The one after the last that was shown, which may have ended since."""
    last = listing.request
    if last is not None and last.number == listing.number:
        return last.after()
    return listing.ring.requests.after_number(listing.number)


def _overflow(listing: RingListing) -> bytes:
    """Completions that found no room. If some found it meanwhile, those after them are not shown."""
    last = listing.overflowed
    entry = listing.ring.overflow.first() if last is None else last.after()
    listing.overflowed = entry
    if entry is None:
        listing.follow()
        return _EMPTY
    return f"  user_data={unsigned(entry.user_data)}, res={entry.result}, flags={entry.flags:x}\n".encode()


def _polling(listing: RingListing) -> bytes:
    listing.follow()
    settings = listing.ring.settings
    if not settings.polls:
        return b"NAPI:\tdisabled\n"
    prefers = "true" if settings.prefers_polling else "false"
    text = f"NAPI:\tenabled\nnapi_busy_poll_dt:\t{settings.polled_us * 1000}\nnapi_prefer_busy_poll:\t{prefers}\n"
    return text.encode()


# ---- Numbers ---------------------------------------------------------------------------------------------------------


def unsigned(word: int) -> str:
    """64 bits as a decimal number without a sign."""
    half = word >> 1 & _LARGEST
    tens = half // 5
    digit = half % 5 * 2 + (word & 1)
    return f"{digit}" if tens == 0 else f"{tens}{digit}"


def hexadecimal(word: int) -> str:
    """The same with the base 16."""
    upper = word >> _HALF_BITS & layout.WORD
    lower = word & layout.WORD
    return f"{lower:x}" if upper == 0 else f"{upper:x}{lower:08x}"
