"""What BPF_OBJ_GET_INFO_BY_FD says of links."""

from typing import Final

from kernel.bpf.code import TRACEPOINT
from kernel.bpf.link import Link
from kernel.cgroup.links import GroupLink
from kernel.lang import EINVAL, ENOSPC, Errno, Span, UserAddr, span_of, u8
from kernel.lib import user
from kernel.perf.links import EventLink, RawLink
from kernel.perf.tracepoints import find_point
from kernel.task.words import load_i64, store_i64

LINK_SIZE: Final = 64  # struct bpf_link_info
_AT_POINT: Final = 5  # enum bpf_perf_event_type
_OF_EVENT: Final = 6


def link_information(link: Link, address: UserAddr, known: int) -> bytearray:
    """Write the structure's fields. What is not said remains as it was given. Raises EFAULT, EINVAL, ENOSPC."""
    storage = bytearray(LINK_SIZE)
    user.read_into(span_of(storage)[0:known], address)
    words = span_of(storage)
    words.store_u32(0, link.kind)
    words.store_u32(4, link.identifier)
    words.store_u32(8, link.program.identifier)
    if isinstance(link, GroupLink):
        group = link.group
        store_i64(words, 16, 0 if group is None else group.number)
        words.store_u32(24, link.purpose)
    elif isinstance(link, EventLink):
        _tell_of_event(link, words)
    elif isinstance(link, RawLink):
        _put_name(words, 16, 24, link.name)
    return storage


def _tell_of_event(link: EventLink, words: Span[u8]) -> None:
    event = link.event
    if link.program.kind == TRACEPOINT:
        words.store_u32(16, _AT_POINT)
        point = find_point(event.attributes.config)
        _put_name(words, 24, 32, b"" if point is None else point.name)
    else:
        words.store_u32(16, _OF_EVENT)
        store_i64(words, 24, event.attributes.config)
        words.store_u32(32, event.attributes.type)
    store_i64(words, 40, link.cookie)


def _put_name(words: Span[u8], address_at: int, size_at: int, name: bytes) -> None:
    """Write a name where the caller wants it, and its size with a zero at the end into the structure."""
    room = words.load_u32(size_at)
    address = UserAddr(load_i64(words, address_at))
    if (room == 0) != (address == UserAddr(0)):
        raise Errno(EINVAL)
    words.store_u32(size_at, len(name) + 1)
    if room == 0:
        return
    user.write_bytes(address, name[: room - 1] + b"\0")
    if room <= len(name):
        raise Errno(ENOSPC)
