"""Finding virtio devices, and watchdogs on PCI, and giving them to their drivers. A device that fails only loses
itself, and causes a log line.

Context: boot.
"""

from typing import Final

from arch import hardware
from kernel.drivers.platform import pci
from kernel.drivers.platform.pci_facts import PciFunction
from kernel.drivers.virtio import balloon, blk, console, entropy, fs, net, pci_transport, plan9, vsock
from kernel.drivers.virtio.mmio_transport import MmioPlace, MmioTransport, parse_place
from kernel.drivers.virtio.pci_transport import PciTransport
from kernel.drivers.virtio.transport import (
    DEVICE_9P,
    DEVICE_BALLOON,
    DEVICE_BLOCK,
    DEVICE_CONSOLE,
    DEVICE_ENTROPY,
    DEVICE_FS,
    DEVICE_NETWORK,
    DEVICE_VSOCK,
    Transport,
)
from kernel.drivers.virtio.virtio_facts import VirtioPlace
from kernel.drivers.watchdog import i6300esb
from kernel.lang import Errno
from kernel.lib import log
from kernel.lib.bus import ROOT_PLATFORM, BusDevice, bus_root

_DRIVERS: Final[dict[int, bytes]] = {  # with their names on Linux
    DEVICE_BLOCK: b"virtio_blk",
    DEVICE_NETWORK: b"virtio_net",
    DEVICE_CONSOLE: b"virtio_console",
    DEVICE_ENTROPY: b"virtio_rng",
    DEVICE_BALLOON: b"virtio_balloon",
    DEVICE_9P: b"9pnet_virtio",
    DEVICE_FS: b"virtiofs",
    DEVICE_VSOCK: b"vmw_vsock_virtio_transport",
}


def start(more_places: list[bytes]) -> None:
    """Look on PCI's buses, at the places that ACPI lists, and at `more_places`, the values of
    `virtio_mmio.device=`. Raises MemoryError.
    """
    for device in pci.scan():
        log.debug(f"PCI {device.name()}: {device.vendor:04x}:{device.device:04x}, class {device.class_code:06x}")
        function = PciFunction(device)
        if _has_driver(pci_transport.device_type(device)):
            function.driver = b"virtio-pci"
            try:
                _start_device(PciTransport(device), function)
            except Errno as error:
                log.error(f"virtio {device.name()}: the device cannot be used: error {error.code}")
        elif i6300esb.is_watchdog(device):
            function.driver = i6300esb.DRIVER
            try:
                i6300esb.start(device)
            except Errno as error:
                log.error(f"i6300esb {device.name()}: the device cannot be used: error {error.code}")
    for number, place in enumerate(_mmio_places(more_places)):
        try:
            transport = MmioTransport(place)
            bus_name = f"LNRO0005:{number:02x}" if number < hardware.virtio_count else f"virtio-mmio.{number}"
            parent = BusDevice(bus_root(ROOT_PLATFORM), bus_name.encode(), b"platform")
            parent.driver = b"virtio-mmio"
            _start_device(transport, parent)
        except Errno as error:
            log.error(f"virtio mmio at {place.address:#x}: the device cannot be used: error {error.code}")


def _mmio_places(texts: list[bytes]) -> list[MmioPlace]:
    """What ACPI lists, and what the command line adds."""
    places: list[MmioPlace] = []
    for i in range(hardware.virtio_count):
        places.append(MmioPlace(hardware.virtio_address[i], hardware.virtio_size[i], hardware.virtio_line[i]))
    for text in texts:
        place = parse_place(text)
        if place is None:
            log.error("virtio_mmio.device=: not of the form SIZE@ADDRESS:LINE")
            continue
        known = False
        for other in places:
            known = known or other.address == place.address
        if not known:
            places.append(place)
    return places


def _has_driver(device_type: int) -> bool:
    return device_type in _DRIVERS


def _start_device(transport: Transport, parent: BusDevice) -> None:
    """Raises Errno, MemoryError."""
    place = VirtioPlace(transport, parent)
    transport.place = place
    _start_driver(transport)
    place.driver = _DRIVERS[transport.device_type]


def _start_driver(transport: Transport) -> None:
    """Raises Errno, MemoryError."""
    if transport.device_type == DEVICE_BLOCK:
        blk.start(transport)
    elif transport.device_type == DEVICE_NETWORK:
        net.start(transport)
    elif transport.device_type == DEVICE_CONSOLE:
        console.start(transport)
    elif transport.device_type == DEVICE_ENTROPY:
        entropy.start(transport)
    elif transport.device_type == DEVICE_BALLOON:
        balloon.start(transport)
    elif transport.device_type == DEVICE_9P:
        plan9.start(transport)
    elif transport.device_type == DEVICE_FS:
        fs.start(transport)
    elif transport.device_type == DEVICE_VSOCK:
        vsock.start(transport)
