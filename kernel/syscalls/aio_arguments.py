"""Programs name contexts of asynchronous I/O by the address where the ring is mapped, wherever mremap(2) has moved
it.
"""

from kernel.ipc.aio import AioContext, AioRing
from kernel.lang import EINVAL, Errno
from kernel.mm.space import AddressSpace


def context_at(space: AddressSpace, address: int) -> AioContext:
    """The context of an address space at an address. Raises EINVAL."""
    area = space.area_at(address)
    source = None if area is None else area.source
    if area is None or not isinstance(source, AioRing) or area.start != address or area.first_page != 0:
        raise Errno(EINVAL)
    context = source.context
    if context is None or context.has_ended() or context.owner is not space.contexts:
        raise Errno(EINVAL)
    return context
