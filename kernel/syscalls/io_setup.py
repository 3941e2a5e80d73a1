"""Contexts of asynchronous I/O: io_setup(2), io_destroy(2)."""

from typing import Final

from kernel.doors.table import syscall
from kernel.ipc.aio import AioContext, AioContexts
from kernel.lang import EINVAL, Errno, UserAddr, u32
from kernel.lib import user
from kernel.mm.area import MAP_SHARED, PROT_READ, PROT_WRITE
from kernel.mm.async_contexts import AsyncContexts
from kernel.mm.space import AddressSpace
from kernel.syscalls.aio_arguments import context_at
from kernel.task import current

_PROT: Final = PROT_READ | PROT_WRITE  # and never anything else: a ring is never executable


def _contexts_of(space: AddressSpace) -> AioContexts:
    """The contexts of an address space, none at first. Raises MemoryError."""
    contexts: AsyncContexts | None = space.contexts
    if isinstance(contexts, AioContexts):
        return contexts
    fresh = AioContexts()
    space.contexts = fresh
    return fresh


@syscall("io_setup", status="Full", args="one:1|2|20|128|1000|60000|65537|0x400001|0 >aio")
def io_setup(count: u32, name: UserAddr) -> int:
    """io_setup(2)."""
    if user.read_i64(name) != 0 or count == 0:
        raise Errno(EINVAL)
    space = current().space
    context = AioContext(_contexts_of(space), count)
    address = 0
    done = False
    try:
        address = space.map(0, context.size_bytes, _PROT, MAP_SHARED, context.ring, 0, maximum_prot=_PROT)
        space.populate(address, address + context.size_bytes)  # fits: it has been mapped
        user.write_i64(name, address)
        done = True
    finally:
        if not done:
            _destroy(space, context, address)
    return 0


@syscall("io_destroy", status="Full", args="aio")
def io_destroy(name: int) -> int:
    """io_destroy(2)."""
    space = current().space
    _destroy(space, context_at(space, name), name)
    return 0


def _destroy(space: AddressSpace, context: AioContext, address: int) -> None:
    """End a context that is mapped at an address; 0: nowhere. Its ring is unmapped before anything that may take long.
    Another thread may already be doing it.
    """
    if not context.stop():
        return
    try:
        if address != 0:
            space.unmap(address, context.size_bytes)
    except Errno:
        pass  # it is sealed (mseal(2)), and stays an unused mapping
    finally:
        context.end()
