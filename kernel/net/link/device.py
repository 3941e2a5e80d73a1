"""Network devices as the stack sees them.

A driver derives from `NetworkDevice`: it sends what `transmit` gives it, and hands received packets to
`kernel.net.link.ethernet.receive`, in the network thread and never in an interrupt. A driver enters its device with
`register_device`; code that is interested in devices derives from `DeviceWatcher`.

A device belongs to a network, where it has an index and a name. It may move to another.

What goes up, down, away or elsewhere may have thousands of addresses, routes and neighbours. So these changes have safe
points: one thread at a time makes one to a device (`begin_change`), and a device that is leaving its network gets
nothing new.

Context: thread context; nothing sleeps but these changes.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EBUSY, EEXIST, EINVAL, ENETDOWN, ENFILE, ENODEV, Errno, final, inline, noraise, struct
from kernel.lib.bus import BusDevice
from kernel.lib.linked import Queued
from kernel.lib.pace import PACE
from kernel.net.link.packet import CHECKSUM_PARTIAL, Packet
from kernel.net.link.part import Part

if TYPE_CHECKING:
    from kernel.net.link.network import Network

# Interface flags (netdevice(7)).
IFF_UP: Final = 0x1
IFF_BROADCAST: Final = 0x2
IFF_LOOPBACK: Final = 0x8
IFF_POINTOPOINT: Final = 0x10
IFF_RUNNING: Final = 0x40
IFF_NOARP: Final = 0x80
IFF_PROMISC: Final = 0x100
IFF_ALLMULTI: Final = 0x200
IFF_MULTICAST: Final = 0x1000
IFF_LOWER_UP: Final = 0x10000

# Work that the device does by itself.
OFFLOAD_CHECKSUM: Final = 0x1  # completes CHECKSUM_PARTIAL
OFFLOAD_TCP4: Final = 0x2  # cuts TCP over IPv4 by `segment_size`
OFFLOAD_TCP6: Final = 0x4
OFFLOAD_GATHER: Final = 0x8  # its driver cuts large segments itself, without copying their data

_TCP_FLAGS: Final = 13
_CWR: Final = 0x80

ARPHRD_ETHER: Final = 1
ARPHRD_LOOPBACK: Final = 772
ARPHRD_NONE: Final = 0xFFFE  # packets have no link header

_MOST_INDEX: Final = 0x7FFF_FFFF
_MOST_DEVICES: Final = 4096  # of a network
_MOST_NAME: Final = 15  # bytes
_MOST_DIGITS: Final = 5  # of a number in a name that could collide with another: that is below _MOST_DEVICES


@final
class LinkGroup:
    """A group address of the link: how many IP groups map to it."""

    def __init__(self) -> None:
        self.users: int = 0


_NO_PART: Final = Part()


@final
class DeviceNumbers:
    """Counts devices."""

    def __init__(self) -> None:
        self.last: int = 0

    def take(self) -> int:
        """A number that no other device has or had."""
        self.last += 1
        return self.last


_NUMBERS: Final = DeviceNumbers()


class FrameHandler:
    """Takes an interface's packets, before the protocols do: a bridge's port, macvlan's interfaces. Base class."""

    def handle(self, packet: Packet) -> bool:
        """Take a frame that starts with its link header, after packet sockets have seen it. True: it is done. False:
        the protocols get it, as received by `packet.device`, which may be another interface now. May raise Errno,
        MemoryError: the frame is dropped.
        """
        return False


@struct
class Traffic:
    """What an interface has counted."""

    received_packets: int
    received_bytes: int
    received_errors: int
    received_dropped: int
    sent_packets: int
    sent_bytes: int
    sent_errors: int
    sent_dropped: int


@final
class Standing(Queued["Standing"]):
    """What programs have heard of an interface: while this is queued (`carrier.py`), not of its carrier's change."""

    def __init__(self) -> None:
        super().__init__()
        self.is_told: bool = True  # that it exists; False until its maker has given it what a request wants
        self.is_unknown: bool = False  # its carrier is not known, or has never changed (RFC 2863)
        self.was_live: bool = False  # while it is queued: whether it had a carrier before
        self.device: NetworkDevice | None = None  # while it is queued

    @inline
    def this(self) -> "Standing":
        return self


class NetworkDevice:
    """Base of all interfaces."""

    traffic: Traffic

    def __init__(self, network: "Network", name: bytes, kind: int, address: bytes, mtu: int) -> None:
        self.network: Network = network  # the network it is in; LIMBO once that has ended
        self.name: bytes = name  # lo, eth0
        self.index: int = 0  # in its network, from 1, given by `register_device`
        self.number: int = _NUMBERS.take()  # unique among all devices of the machine
        self.is_loop: bool = kind == ARPHRD_LOOPBACK  # packets sent there are received by the same network
        self.settings: Part = _NO_PART  # see interface_settings.py
        self.place: BusDevice | None = None  # the hardware behind it; None: a software interface
        self.is_hardware: bool = False  # it returns to the first network when its own ends
        self.virtual_kind: bytes = b""  # veth, dummy: of those that programs create
        self.kind: int = kind  # ARPHRD_*
        self.has_header: bool = kind != ARPHRD_NONE  # of the link, in front of each packet
        self.address: bytes = address  # of the link: 6 bytes, or none
        self.has_own_address: bool = False  # a program has chosen it
        self.broadcast: bytes = b"\xff\xff\xff\xff\xff\xff" if kind == ARPHRD_ETHER else bytes(len(address))
        self.handler: FrameHandler | None = None  # takes received packets
        self.master: NetworkDevice | None = None  # the bridge of which it is a port
        self.mtu: int = mtu
        self.has_own_mtu: bool = False  # a program has chosen it
        self.max_mtu: int = 65535 if kind == ARPHRD_LOOPBACK else max(mtu, 1500)
        self.flags: int = 0  # IFF_*
        self.offload: int = 0  # OFFLOAD_*
        self.queue_length: int = 1000
        self.multicast: dict[bytes, LinkGroup] = {}  # link addresses of groups that are received
        self.has_carrier: bool = True
        self.standing: Standing = Standing()
        self.has_been_up: bool = False
        self.promiscuous_users: int = 0  # packet sockets that want every frame
        self.all_groups_users: int = 0  # … or every group's frames
        self.waiting: int = 0  # packets in the backlog that it is to receive (`loopback.py`)
        self.is_changing: bool = False  # a thread takes it up, down, away or elsewhere
        self.is_leaving: bool = False  # its network, or it has left for good

    def transmit(self, packet: Packet) -> bool:
        """Send a packet that has its link header. False: the device's queue is full and the packet is dropped."""
        return False

    def relay(self, packet: Packet) -> None:
        """Send on a packet that `transmit` has left in the backlog with `is_relayed` (`loopback.py`): bridges and
        macvlan, which send through other interfaces, so that one send is never inside another. May raise MemoryError.
        """

    def has_ended(self) -> None:
        """It has left its network for good. Raises nothing."""

    def cuts(self, packet: Packet) -> bool:
        """Whether the device itself can cut a large segment. It would repeat CWR in each frame."""
        is_ip4 = packet.storage[packet.network_start] >> 4 == 4
        if packet.checksum != CHECKSUM_PARTIAL or self.offload & (OFFLOAD_TCP4 if is_ip4 else OFFLOAD_TCP6) == 0:
            return False
        return packet.storage[packet.checksum_start + _TCP_FLAGS] & _CWR == 0

    def partner(self) -> "NetworkDevice | None":
        """The interface at the other end, or below, if there is one."""
        return None

    def largest_mtu(self) -> int:
        """The largest MTU that a program may give it."""
        return self.max_mtu

    def below(self) -> "list[NetworkDevice]":
        """The interfaces that it stands on: a bridge's ports, a macvlan's lower interface. Raises MemoryError."""
        return []

    def set_up(self) -> None:
        """The interface goes up. Raises Errno."""

    def set_down(self) -> None:
        """The interface goes down: it receives nothing from now on."""

    @noraise
    def multicast_changed(self) -> None:
        """`multicast`, IFF_PROMISC, IFF_ALLMULTI or their users changed: the driver may set its filter."""

    def is_up(self) -> bool:
        """Whether the interface is up; the carrier does not matter."""
        return self.flags & IFF_UP != 0

    def is_loopback(self) -> bool:
        return self.flags & IFF_LOOPBACK != 0

    def is_live(self) -> bool:
        """Whether it has a carrier, as far as programs know."""
        standing = self.standing
        return self.has_carrier if standing.device is None else standing.was_live

    def visible_flags(self) -> int:
        """The flags as programs see them: with IFF_RUNNING and IFF_LOWER_UP where they hold."""
        flags = self.flags
        if flags & IFF_UP == 0:
            return flags
        if self.has_carrier:
            flags |= IFF_LOWER_UP
        return flags | IFF_RUNNING if self.is_live() else flags


class DeviceWatcher:
    """Is notified of changes of devices. Base class: every method does nothing."""

    def device_added(self, device: NetworkDevice) -> None:
        """It was registered; it is down."""

    def device_introduced(self, device: NetworkDevice) -> None:
        """Its maker has given it what a request wants. Raises nothing."""

    def device_up(self, device: NetworkDevice) -> None:
        """It went up."""

    def device_down(self, device: NetworkDevice) -> None:
        """It went down."""

    def device_changed(self, device: NetworkDevice) -> None:
        """Its MTU, link address, carrier or other flags changed."""

    def carrier_changed(self, device: NetworkDevice) -> None:
        """Its carrier alone has changed."""
        self.device_changed(device)

    def attention_changed(self, device: NetworkDevice) -> None:
        """Its hardware begins or ends to take every frame. Raises nothing."""

    def device_renamed(self, device: NetworkDevice, old_name: bytes) -> None:
        """Its name has changed."""

    def device_removed(self, device: NetworkDevice) -> None:
        """It is about to leave its network; it is down."""

    def device_left(self, device: NetworkDevice) -> None:
        """It has left the tables of its network, which it still names: another may have its name. Raises nothing."""


class Tap:
    """Sees every packet of a network, in both directions, with its link header. Base class."""

    def saw(self, packet: Packet, device: NetworkDevice, is_outgoing: bool) -> None:
        """The packet is the stack's: copy whatever is wanted. May raise MemoryError."""


WATCHERS: Final[list[DeviceWatcher]] = []


def watch_devices(watcher: DeviceWatcher) -> None:
    """Notify `watcher` of all changes from now on, in all networks."""
    WATCHERS.append(watcher)


def watch_devices_first(watcher: DeviceWatcher) -> None:
    """The same, and before all others: what they do in response is reported after the change itself."""
    WATCHERS.insert(0, watcher)


def register_device(device: NetworkDevice) -> None:
    """Enter a device, which is down, in its network, and give it an index there. A `%d` in its name becomes the first
    free number. EBUSY for an index that was set and is taken, EEXIST for such a name; ENFILE; MemoryError.
    """
    device.name, device.index = _enter_tables(device, device.network, device.name, device.index)
    notified = 0
    try:
        while notified < len(WATCHERS):
            notified += 1
            WATCHERS[notified - 1].device_added(device)
    except MemoryError:
        device.is_leaving = True
        _take_back(device, notified)
        _leave_tables(device)
        device.is_leaving = False
        raise


def _take_back(device: NetworkDevice, count: int) -> None:
    """Take back a device that cannot stay: notify the first `count` watchers, which need not release anything yet."""
    for i in range(count):
        try:
            WATCHERS[i].device_removed(device)
        except MemoryError:
            continue


def check_room_for_device(network: "Network") -> None:
    """Raise ENFILE where there are too many."""
    if len(network.devices) >= _MOST_DEVICES:
        raise Errno(ENFILE)


def _enter_tables(device: NetworkDevice, network: "Network", name: bytes, index: int) -> tuple[bytes, int]:
    """Enter a device in the tables of its network, which may be new to it, with a name and, if that is not 0, an index.
    Returns what it is called there, by name and by index. Raises EEXIST, EBUSY, ENFILE, EINVAL, MemoryError: then
    nothing has changed.
    """
    check_room_for_device(network)
    if b"%" in name:
        name = free_name(network, name)
    elif name in network.by_name:
        raise Errno(EEXIST)
    if index == 0:
        index = _free_index(network)
    elif index in network.by_index:
        raise Errno(EBUSY)
    at = len(network.devices)
    while at > 0 and network.devices[at - 1].index > index:
        at -= 1
    network.devices.insert(at, device)
    try:
        network.by_index[index] = device
        network.by_name[name] = device
    except MemoryError:
        network.by_index.pop(index, device)
        network.devices.remove(device)
        raise
    return name, index


def _leave_tables(device: NetworkDevice) -> None:
    """Take a device out of the tables of its network, and say so."""
    network = device.network
    network.by_index.pop(device.index)
    network.by_name.pop(device.name)
    network.devices.remove(device)
    network.ways.generation += 1
    for watcher in WATCHERS:
        watcher.device_left(device)


def _announce(device: NetworkDevice) -> None:
    """Notify all watchers of a device that has been entered. Raises MemoryError."""
    for watcher in WATCHERS:
        watcher.device_added(device)


def free_name(network: "Network", pattern: bytes) -> bytes:
    """A name for a pattern: with the first free number there in place of its `%d`. EINVAL for another `%`,
    ENFILE where names get too long.
    """
    at = pattern.find(b"%")
    check_pattern(pattern)
    start = pattern[:at]
    end = pattern[at + 2 :]
    taken = bytearray(len(network.devices) + 1)  # one of these numbers is free
    for device in network.devices:
        number = _number_in(device.name, start, end)
        if 0 <= number < len(taken):
            taken[number] = 1
    number = 0
    while taken[number] != 0:
        number += 1
    name = start + f"{number}".encode() + end
    if len(name) > _MOST_NAME:
        raise Errno(ENFILE)
    return name


def _number_in(name: bytes, start: bytes, end: bytes) -> int:
    """The number between a name's start and end; -1 for another name."""
    first = len(start)
    last = len(name) - len(end)
    if first >= last or last - first > _MOST_DIGITS or not name.startswith(start) or not name.endswith(end):
        return -1
    if name[first] == ord("0") and last - first > 1:
        return -1
    number = 0
    for i in range(first, last):
        if not ord("0") <= name[i] <= ord("9"):
            return -1
        number = 10 * number + name[i] - ord("0")
    return number


def check_pattern(pattern: bytes) -> None:
    """Check that a `%` in a name is the only one, and begins a `%d`. Raises EINVAL."""
    after = pattern[pattern.find(b"%") + 1 :]
    if not after.startswith(b"d") or b"%" in after:
        raise Errno(EINVAL)


def _free_index(network: "Network") -> int:
    """An index that was not used recently."""
    while True:
        index = network.next_index
        network.next_index = index % _MOST_INDEX + 1
        if index not in network.by_index:
            return index


def begin_change(device: NetworkDevice) -> bool:
    """Wait until no other thread takes the device up, down, away or elsewhere, and keep all from that. False, with
    nothing done: it has left its network meanwhile.
    """
    network = device.network
    while device.is_changing:
        PACE.rest.wait_for_change()
    if device.network is not network or device.is_leaving:
        return False
    device.is_changing = True
    return True


def end_change(device: NetworkDevice) -> None:
    """Let others change it."""
    device.is_changing = False
    PACE.rest.report_change()


def check_stays(device: NetworkDevice) -> None:
    """Raise ENODEV for a device that is leaving its network: it gets nothing new."""
    if device.is_leaving:
        raise Errno(ENODEV)


def unregister_device(device: NetworkDevice) -> None:
    """Remove a device, which is down, from its network: within a change. Nothing refers to it there afterwards. Raises
    MemoryError, with nothing done that the next call would not redo.
    """
    device.is_leaving = True
    try:
        for watcher in WATCHERS:
            watcher.device_removed(device)
    except (MemoryError, Errno):
        device.is_leaving = False
        raise
    _leave_tables(device)


def transfer_device(device: NetworkDevice, network: "Network", name: bytes, index: int) -> None:
    """Move a device, which is down, to another network, with a name and, if that is not 0, an index: within a change.
    Raises EEXIST, ENFILE, EINVAL, MemoryError: then it is where it was, but without addresses and routes; or, with
    MemoryError, it may already be there.
    """
    device.is_leaving = True
    try:
        _transfer(device, network, name, index)
    finally:
        device.is_leaving = False


def _transfer(device: NetworkDevice, network: "Network", name: bytes, index: int) -> None:
    for watcher in WATCHERS:
        watcher.device_removed(device)
    if index == 0 and device.index not in network.by_index:
        index = device.index
    try:
        name, index = _enter_tables(device, network, name, index)
    except (MemoryError, Errno):
        device.is_leaving = False
        _announce(device)  # watchers know that it has left
        raise
    _leave_tables(device)
    device.network = network
    device.name = name
    device.index = index
    device.is_leaving = False
    _announce(device)


def device_by_index(network: "Network", index: int) -> NetworkDevice | None:
    """The device with this index, from 1, unless it is leaving."""
    found = network.by_index.get(index)
    return None if found is not None and found.is_leaving else found


def device_by_name(network: "Network", name: bytes) -> NetworkDevice | None:
    """The device with this name, unless it is leaving."""
    found = network.by_name.get(name)
    return None if found is not None and found.is_leaving else found


def rename_device(device: NetworkDevice, name: bytes) -> None:
    """Give a registered device a name. Raises EEXIST if another in its network has it, MemoryError."""
    names = device.network.by_name
    if name in names:
        raise Errno(EEXIST)
    names[name] = device
    old_name = device.name
    names.pop(old_name)
    device.name = name
    for watcher in WATCHERS:
        watcher.device_renamed(device, old_name)


def bring_up(device: NetworkDevice) -> None:
    """Set IFF_UP and notify all watchers. Raises what the driver raises, Errno, MemoryError: then it is down, as after
    `bring_down`: without IPv6 addresses; and ENODEV if it leaves its network. Does nothing to a device that is up.
    """
    if not begin_change(device):
        raise Errno(ENODEV)
    try:
        if not device.is_up():
            _bring_up(device)
    finally:
        end_change(device)


def _bring_up(device: NetworkDevice) -> None:
    has_been_up = device.has_been_up
    device.set_up()
    device.flags |= IFF_UP
    device.has_been_up = True
    try:
        for watcher in WATCHERS:
            watcher.device_up(device)
    except (Errno, MemoryError):
        device.has_been_up = has_been_up
        take_down(device)
        raise


def bring_down(device: NetworkDevice) -> None:
    """Clear IFF_UP and notify all watchers."""
    if not begin_change(device):
        return
    try:
        take_down(device)
    finally:
        end_change(device)


def take_down(device: NetworkDevice) -> None:
    """The same within another change."""
    if not device.is_up():
        return
    device.flags &= ~IFF_UP
    device.set_down()
    for watcher in WATCHERS:
        watcher.device_down(device)


def set_carrier(device: NetworkDevice, has_carrier: bool) -> None:
    """The link was plugged in or unplugged; called by drivers in the network thread."""
    if device.has_carrier != has_carrier:
        device.has_carrier = has_carrier
        device.standing.is_unknown = False
        tell_carrier(device)


def tell_carrier(device: NetworkDevice) -> None:
    """Notify all watchers that the device's carrier has changed."""
    for watcher in WATCHERS:
        watcher.carrier_changed(device)


def introduce(device: NetworkDevice) -> None:
    """Notify all watchers that a device has what its maker wants for it, or fails to get."""
    for watcher in WATCHERS:
        watcher.device_introduced(device)


@noraise
def want_all_frames(device: NetworkDevice, change: int) -> None:
    """One more or one fewer wants every frame that an interface hears."""
    device.promiscuous_users += change
    device.multicast_changed()
    try:
        for watcher in WATCHERS:
            watcher.attention_changed(device)
    except (Errno, MemoryError):
        return  # as they say, they raise nothing


def device_changed(device: NetworkDevice) -> None:
    """Notify all watchers that the device's MTU, link address, carrier or flags have changed."""
    for watcher in WATCHERS:
        watcher.device_changed(device)


def check_up(device: NetworkDevice) -> None:
    """Raise ENETDOWN unless the device is up."""
    if not device.is_up():
        raise Errno(ENETDOWN)
