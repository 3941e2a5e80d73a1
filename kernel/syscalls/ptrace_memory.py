"""ptrace(2)'s access to words of the tracee's memory."""

from typing import Final

from arch import PAGE_SHIFT
from kernel.lang import EIO, Errno, span_of
from kernel.lib import user
from kernel.lib.capabilities import CAP_SYS_PTRACE
from kernel.mm.foreign import read_foreign, write_foreign
from kernel.mm.space import AddressSpace
from kernel.task.tracee import Tracee
from kernel.task.words import load_i64, store_i64

_WORD: Final = 8
_PAGE_MASK: Final = (1 << PAGE_SHIFT) - 1


def _memory_of(tracee: Tracee) -> AddressSpace:
    """EIO if the tracer must not read: the program is not dumpable, and the tracer had no special privilege."""
    memory = tracee.task.memory
    if memory is None:
        raise Errno(EIO)
    namespace = memory.user_namespace
    may_look = tracee.is_privileged_in(namespace) or tracee.tracer.credentials.capable_in(namespace, CAP_SYS_PTRACE)
    if not tracee.task.process.is_dumpable and not may_look:
        raise Errno(EIO)
    return memory


def peek(tracee: Tracee, address: int) -> int:
    storage = bytearray(_WORD)
    _transfer(tracee, address, storage, writes=False)
    return load_i64(span_of(storage), 0)


def poke(tracee: Tracee, address: int, value: int) -> None:
    storage = bytearray(_WORD)
    store_i64(span_of(storage), 0, value)
    _transfer(tracee, address, storage, writes=True)


def _transfer(tracee: Tracee, address: int, storage: bytearray, writes: bool) -> None:
    """Transfer a word of the tracee's memory, perhaps across the end of a page. Raises EIO if there is none."""
    space = _memory_of(tracee)
    try:
        user.check(address, _WORD)
        space.acquire()
        try:
            word = span_of(storage)
            first = min(_WORD, (1 << PAGE_SHIFT) - (address & _PAGE_MASK))
            if writes:
                write_foreign(space, address, word[0:first], by_force=True)
                write_foreign(space, address + first, word[first:], by_force=True)
            else:
                read_foreign(space, address, word[0:first], by_force=True)
                read_foreign(space, address + first, word[first:], by_force=True)
        finally:
            space.release()
    except Errno:
        raise Errno(EIO) from None
