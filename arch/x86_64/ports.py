"""Port input and output, for drivers.

Safety: a port access touches no memory of the kernel by itself, but it commands a device that may (DMA): a driver
answers for the ports that it names.
"""

from arch.x86_64.simulation import processor
from kernel.lang import extern


@extern("port_in_u8")
def in_u8(port: int) -> int:
    return processor.read_port(port, 1)


@extern("port_in_u16")
def in_u16(port: int) -> int:
    return processor.read_port(port, 2)


@extern("port_in_u32")
def in_u32(port: int) -> int:
    return processor.read_port(port, 4)


@extern("port_out_u8")
def out_u8(port: int, value: int) -> None:
    processor.write_port(port, 1, value & 0xFF)


@extern("port_out_u16")
def out_u16(port: int, value: int) -> None:
    processor.write_port(port, 2, value & 0xFFFF)


@extern("port_out_u32")
def out_u32(port: int, value: int) -> None:
    processor.write_port(port, 4, value & 0xFFFF_FFFF)
