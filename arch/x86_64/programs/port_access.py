"""Ports that a program may use itself: a bit for each in the task state segment (ioperm(2), iopl(2)).

The bits are copied to the running processor's segment when the task gets it. A task that may use all ports (level 3)
gets a map without a bit set; the processor's own level of rights stays 0, so nobody can turn interrupts off: `cli` and
`sti` do nothing for such a program, as on Linux.

Safety: the map lies in the processor's own area, after its task state segment, and is as long as written here.
Source: Intel SDM vol. 1, 19.5.2.
"""

from typing import Final

from arch.x86_64.instructions import percpu_load
from arch.x86_64.percpu import OFFSET_SELF, PORT_MAP_OFFSET, PORT_MAP_SIZE, TSS_IO_MAP, TSS_LIMIT, TSS_OFFSET
from kernel.lang import final, span_of
from kernel.lang.unsafe import fill_bytes, span_at, store_u16

PORT_COUNT: Final = 65536
ALL_PORTS: Final = 3  # the level
_CLOSED: Final = 0xFF


@final
class PortMap:
    """Which ports a task may use: a bit that is clear. Tasks share one; it does not change."""

    def __init__(self, bits: bytes) -> None:
        self.bits: bytes = bits


def changed_map(before: PortMap | None, first: int, end: int, opens: bool) -> PortMap | None:
    """The map with the ports first…end - 1 opened or closed; None if all are closed. Raises MemoryError."""
    bits = bytearray(PORT_MAP_SIZE)
    if before is None:
        span_of(bits).fill(_CLOSED)
    else:
        span_of(bits).copy_from(span_of(before.bits))
    port = first
    while port < end:
        if port & 7 == 0 and end - port >= 8:
            bits[port >> 3] = 0 if opens else _CLOSED
            port += 8
            continue
        bit = 1 << (port & 7)
        bits[port >> 3] = bits[port >> 3] & ~bit if opens else bits[port >> 3] | bit
        port += 1
    for byte in bits:
        if byte != _CLOSED:
            return PortMap(bytes(bits))
    return None


def open_ports(ports: PortMap | None, level: int) -> None:
    """Let the running task use what it may."""
    area = percpu_load(OFFSET_SELF)
    if level == ALL_PORTS:
        fill_bytes(area + PORT_MAP_OFFSET, 0, PORT_MAP_SIZE)
    elif ports is not None:
        span_at(area + PORT_MAP_OFFSET, PORT_MAP_SIZE).copy_from(span_of(ports.bits))
    else:
        close_ports()
        return
    store_u16(area + TSS_OFFSET + TSS_IO_MAP, PORT_MAP_OFFSET - TSS_OFFSET)


def close_ports() -> None:
    """Whoever runs next may use none: the map lies past the segment's limit."""
    store_u16(percpu_load(OFFSET_SELF) + TSS_OFFSET + TSS_IO_MAP, TSS_LIMIT + 1)
