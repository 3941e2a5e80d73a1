"""Finding virtio devices and giving them to their drivers. A device that fails costs itself only, and a log line.

Context: boot.
"""

from kernel.drivers import pci
from kernel.drivers.virtio import blk, net, pci_transport
from kernel.drivers.virtio.pci_transport import PciTransport
from kernel.drivers.virtio.transport import DEVICE_BLOCK, DEVICE_NETWORK, Transport
from kernel.lang import Errno
from kernel.lib import log


def start() -> None:
    """Look on all buses. Raises MemoryError."""
    for device in pci.scan():
        log.debug(f"PCI {device.name()}: {device.vendor:04x}:{device.device:04x}, class {device.class_code:06x}")
        kind = pci_transport.device_type(device)
        if kind == DEVICE_BLOCK or kind == DEVICE_NETWORK:
            try:
                _start_device(PciTransport(device))
            except Errno as error:
                log.error(f"virtio {device.name()}: the device cannot be used: error {error.code}")


def _start_device(transport: Transport) -> None:
    """Raises Errno, MemoryError."""
    if transport.device_type == DEVICE_BLOCK:
        blk.start(transport)
    elif transport.device_type == DEVICE_NETWORK:
        net.start(transport)
