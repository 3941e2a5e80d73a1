"""Addresses of AF_VSOCK: a context, which is a machine, and a port (vsock(7), struct sockaddr_vm)."""

from typing import Final

from kernel.lang import span_of

AF_VSOCK: Final = 40
ADDRESS_SIZE: Final = 16  # struct sockaddr_vm

CID_HYPERVISOR: Final = 0
CID_LOCAL: Final = 1  # this machine, whatever its own number
CID_HOST: Final = 2
CID_ANY: Final = 0xFFFF_FFFF
PORT_ANY: Final = 0xFFFF_FFFF
LAST_PRIVILEGED_PORT: Final = 1023

_PORT: Final = 4
_CID: Final = 8
_FLAGS: Final = 12
_KNOWN_FLAGS: Final = 1  # VMADDR_FLAG_TO_HOST


def is_address(address: bytes) -> bool:
    """Whether it is an address of this family, long enough, and with known flags only."""
    if len(address) < ADDRESS_SIZE or address[0] | address[1] << 8 != AF_VSOCK:
        return False
    return address[_FLAGS] & ~_KNOWN_FLAGS == 0


def cid_of(address: bytes) -> int:
    """The context of an address."""
    return span_of(address).load_u32(_CID)


def port_of(address: bytes) -> int:
    """The port of an address."""
    return span_of(address).load_u32(_PORT)


def encode(cid: int, port: int) -> bytes:
    """A struct sockaddr_vm."""
    storage = bytearray(ADDRESS_SIZE)
    span = span_of(storage)
    span.store_u16(0, AF_VSOCK)
    span.store_u32(_PORT, port)
    span.store_u32(_CID, cid)
    return bytes(storage)
