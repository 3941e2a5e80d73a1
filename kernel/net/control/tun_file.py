"""/dev/net/tun: a program is the other end of an interface (tun(4), Linux's Documentation/networking/tuntap.rst).

An open file becomes the end of an interface by TUNSETIFF, which creates the interface, or finds one that is persistent
and has no other end. The interface is created in the network where the file was opened; it may move, and the file may
be used from anywhere. The commands are in `tun_commands.py`.

Each read takes a packet and each write sends one, after its headers: struct tun_pi, unless IFF_NO_PI; then
struct virtio_net_hdr with IFF_VNET_HDR, padded to the size that TUNSETVNETHDRSZ set.

Context: system calls; copies to and from programs may sleep, so the interface is looked up again after them.
"""

from typing import Final

from kernel.fs.constants import (
    O_NONBLOCK,
    POLLERR,
    POLLIN,
    POLLOUT,
    POLLRDNORM,
    POLLWRNORM,
)
from kernel.fs.devices.filesystem import register_char_device
from kernel.fs.file import OWNER_PROCESS, File
from kernel.fs.path import Path
from kernel.lang import EAGAIN, EBADFD, EFAULT, EINVAL, EIO, EMSGSIZE, Errno, Span, final, noraise, span_of, u8
from kernel.lib.user import Buffer
from kernel.net.control.tun_commands import TunDescription, command_of
from kernel.net.link.device import set_carrier
from kernel.net.link.ethernet import ETHERNET_HEADER
from kernel.net.link.loopback import is_first
from kernel.net.link.network import LIMBO, Network, caller_network
from kernel.net.link.packet import Packet
from kernel.net.link.thread import Work, schedule_work
from kernel.net.link.tun import (
    IFF_NO_PI,
    IFF_PERSIST,
    IFF_VNET_HDR,
    OFFLOAD_HEADER,
    PI_SIZE,
    TunDevice,
    TunQueue,
    detach,
    headers_said,
    note_offload,
    protocol_of,
    put_offload_header,
    put_packet_information,
    receive_written,
)
from kernel.net.netlink.new_link import take_away, take_off
from kernel.sched import PollWaiter, WaitQueue
from kernel.task import current
from kernel.task.async_io import give_owner

_MISC_MAJOR: Final = 10
_TUN_MINOR: Final = 200
_LARGEST: Final = 65_535 + ETHERNET_HEADER + 4  # bytes of a frame with a VLAN tag; Linux drops larger ones
_SKIPPED: Final = 4096
_FILE_BYTES: Final = 1024  # what an open one costs beside waiting packets, about


@final
class Departure(Work):
    """Follows up when an interface has lost its other end: a persistent one loses its carrier, any other is removed."""

    def __init__(self) -> None:
        super().__init__()
        self.device: TunDevice | None = None

    def run(self, now_ns: int) -> None:
        device = self.device
        if device is not None and device.queue is None and device.network is not LIMBO:
            if device.has(IFF_PERSIST):
                set_carrier(device, has_carrier=False)
            elif take_off(device):
                schedule_work(self)
                return
            else:
                take_away(device)
        self.device = None


@final
class TunFile(File):
    """An open file description."""

    def __init__(self, path: Path, flags: int, network: Network) -> None:
        description = TunDescription(network, TunQueue(is_first(network.loopback)))
        departure = Departure()  # the end needs no memory
        super().__init__(path, flags)
        self.end: TunDescription = description
        self.departure: Departure = departure
        network.acquire()

    def held_bytes(self) -> int:
        return super().held_bytes() + _FILE_BYTES + self.end.queue.held_bytes

    @noraise
    def flush(self, owner: int) -> None:
        """The last descriptor is closed: the interface ends at once."""
        if self.users == 1:
            self._leave()
            try:
                self.departure.run(0)
            except (Errno, MemoryError):
                return  # the network thread goes on with them

    def close(self) -> None:
        self._leave()
        self.end.queue.clear()
        self.end.network.release()

    @noraise
    def _leave(self) -> None:
        """The interface has lost its other end. The network thread does what follows from that: a file may be
        released deep in the kernel.
        """
        device = self.end.queue.device
        if device is not None:
            detach(device)
            self.departure.device = device
            schedule_work(self.departure)

    def _device(self) -> TunDevice:
        """Raises EBADFD before TUNSETIFF, and once the interface has gone."""
        device = self.end.queue.device
        if device is None:
            raise Errno(EBADFD)
        return device

    # ---- Reading ----------------------------------------------------------------------------------------------------

    def read(self, buffer: Buffer) -> int:
        return self._read(buffer, waits=self.flags & O_NONBLOCK == 0)

    def read_at_once(self, buffer: Buffer) -> int:
        return self._read(buffer, waits=False)

    def pread(self, buffer: Buffer, offset: int) -> int:
        return self.read(buffer)

    def _read(self, buffer: Buffer, *, waits: bool) -> int:
        device = self._device()
        if buffer.remaining == 0:
            return 0
        queue = self.end.queue
        while True:
            packet = queue.take()
            if packet is not None:
                return _give(device, packet, buffer)
            if not waits:
                raise Errno(EAGAIN)
            queue.readers.sleep(interruptible=True)
            if queue.device is not device:
                raise Errno(EFAULT)  # the interface has gone

    # ---- Writing ----------------------------------------------------------------------------------------------------

    def write(self, buffer: Buffer) -> int:
        device = self._device()
        total = buffer.remaining
        features = device.features
        left = total
        header = bytearray(PI_SIZE + OFFLOAD_HEADER)
        information = span_of(header)[0:PI_SIZE]
        offload = span_of(header)[PI_SIZE:]
        if features & IFF_NO_PI == 0:
            left -= PI_SIZE
            if left < 0:
                raise Errno(EINVAL)
            _take(buffer, information)
        if features & IFF_VNET_HDR != 0:
            size = device.header_size
            left -= size
            if left < 0:
                raise Errno(EINVAL)
            _take(buffer, offload)
            _skip(buffer, size - OFFLOAD_HEADER)
            if headers_said(offload) > left:
                raise Errno(EINVAL)
        if device.is_tap() and left < ETHERNET_HEADER:
            raise Errno(EINVAL)
        if left > _LARGEST:
            raise Errno(EMSGSIZE)
        packet = Packet(left)
        _take(buffer, packet.put(left))
        if self.end.queue.device is not device:
            raise Errno(EBADFD)
        if features & IFF_VNET_HDR != 0:
            note_offload(packet, offload, device.is_tap())
        if not device.is_tap():
            packet.protocol = information.load_be16(2) if features & IFF_NO_PI == 0 else protocol_of(packet)
        if not device.is_up():
            raise Errno(EIO)
        receive_written(device, packet)
        return total

    def write_at_once(self, buffer: Buffer) -> int:
        return self.write(buffer)

    def pwrite(self, buffer: Buffer, offset: int) -> int:
        return self.write(buffer)

    # ---- State ------------------------------------------------------------------------------------------------------

    def poll(self, waiter: PollWaiter | None) -> int:
        queue = self.end.queue
        if waiter is not None:
            waiter.wait_on(queue.readers)
            waiter.wait_on(queue.writers)
        device = queue.device
        if device is None:
            return POLLERR
        state = POLLIN | POLLRDNORM if queue.packets.count > 0 else 0
        return state | (POLLOUT | POLLWRNORM if device.is_up() else 0)

    def input_queue(self) -> WaitQueue | None:
        return self.end.queue.readers

    def choose_owner(self) -> None:
        give_owner(self, current().pid, OWNER_PROCESS)

    def describe(self) -> bytes:
        device = self.end.queue.device
        return b"iff:\t" + (b"" if device is None else device.name) + b"\n"

    def ioctl(self, command: int, argument: int) -> int:
        return command_of(self.end, command, argument)


def _take(buffer: Buffer, target: Span[u8]) -> None:
    """Fill a span from the writer's data. Raises EFAULT."""
    if buffer.take(target) < len(target):
        raise Errno(EFAULT)


def _skip(buffer: Buffer, count: int) -> None:
    """Skip bytes of the writer's data. Raises EFAULT."""
    while count > 0:
        part = min(count, _SKIPPED)
        if len(buffer.take_bytes(part)) < part:
            raise Errno(EFAULT)
        count -= part


def _give(device: TunDevice, packet: Packet, buffer: Buffer) -> int:
    """Hand a packet to a reader, after its headers; what does not fit is lost. Raises EINVAL if not even the headers
    fit, and EFAULT: the packet is lost then, too. Returns how much of the reader's room was used.
    """
    features = device.features
    header = bytearray(PI_SIZE + OFFLOAD_HEADER)
    information = span_of(header)[0:PI_SIZE]
    offload = span_of(header)[PI_SIZE:]
    room = buffer.remaining
    total = len(packet)
    size = device.header_size if features & IFF_VNET_HDR != 0 else 0
    total += size
    if features & IFF_NO_PI == 0:
        if room < PI_SIZE:
            raise Errno(EINVAL)
        total += PI_SIZE
        put_packet_information(information, packet, is_cut=room < total)
        _put(buffer, information)
    if size > 0:
        if buffer.remaining < size:
            raise Errno(EINVAL)
        put_offload_header(offload, packet)
        _put(buffer, offload)
        if buffer.put_zeros(size - OFFLOAD_HEADER) < size - OFFLOAD_HEADER:
            raise Errno(EFAULT)
    _put(buffer, packet.span()[0 : min(len(packet), buffer.remaining)])
    packet.recycle()
    return min(total, room)


def _put(buffer: Buffer, source: Span[u8]) -> None:
    """Copy all of a span to the reader. Raises EFAULT."""
    if buffer.put(source) < len(source):
        raise Errno(EFAULT)


def _open(path: Path, flags: int) -> File:
    return TunFile(path, flags, caller_network())


register_char_device(_MISC_MAJOR, _TUN_MINOR, b"net/tun", _open).sys_name = b"tun"
