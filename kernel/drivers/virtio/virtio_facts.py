"""What /sys/bus/virtio shows of a device.

Context: thread context. The device's status is read when its file is.
Source: Virtual I/O Device (VIRTIO) Version 1.2, 2.1 (status), 2.2 (features); names of files as on Linux 6.12.
"""

from typing import Final

from kernel.drivers.virtio.transport import Transport
from kernel.lang import final
from kernel.lib.bus import BUS_DEVICES, BusDevice

_NAMES: Final[list[bytes]] = [b"device", b"features", b"modalias", b"status", b"vendor"]
_VENDOR: Final = 0x1AF4
_FEATURE_BITS: Final = 64


def _next_name() -> bytes:
    """virtio0, virtio1 …, in the order in which devices are found."""
    count = 0
    for device in BUS_DEVICES:
        count += 1 if device.bus == b"virtio" else 0
    return f"virtio{count}".encode()


@final
class VirtioPlace(BusDevice):
    """One virtio device, below its device on PCI or the platform."""

    def __init__(self, transport: Transport, parent: BusDevice) -> None:
        super().__init__(parent, _next_name(), b"virtio")
        self.transport: Transport = transport

    def fact_names(self) -> list[bytes]:
        return _NAMES

    def fact(self, name: bytes) -> bytes:
        match name:
            case b"device":
                return f"{self.transport.device_type:#06x}\n".encode()
            case b"vendor":
                return f"{_VENDOR:#06x}\n".encode()
            case b"status":
                return f"{self.transport.read_status():#010x}\n".encode()
            case b"modalias":
                return self._alias() + b"\n"
            case _:  # features: what was agreed, the lowest bit first
                bits = bytearray()
                for bit in range(_FEATURE_BITS):
                    bits.append(ord("1") if self.transport.features >> bit & 1 != 0 else ord("0"))
                return bytes(bits) + b"\n"

    def properties(self) -> bytes:
        return b"MODALIAS=" + self._alias() + b"\n"

    def _alias(self) -> bytes:
        return f"virtio:d{self.transport.device_type:08X}v{_VENDOR:08X}".encode()
