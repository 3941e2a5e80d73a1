"""Bridges: interfaces that join others, their ports, into one link (IEEE 802.1D; bridge(8), ip-link(8)).

A port receives every frame of its link. Its handler learns the source's address, and forwards the frame to the
destination's port, or to all other ports if that is not known; frames for this host are received by the bridge,
which is an interface with addresses of its own. What this host sends through the bridge takes the same paths.

A bridge never sends inside another send: frames of this host wait in the backlog (`loopback.py`), and `relay` sends
them on. A frame for many ports goes to a few at a time, by its cost; the network thread sends the rest.

There is no spanning tree protocol, as on Linux where it is off: in a ring of bridges, frames circulate, and the shares
of `ethernet.drain` keep the machine usable. There is no VLAN filtering: a tag is data. Groups go to all ports.

Invariants: a port is the handler of its device, whose master is the port's bridge; or it has lost both. A bridge
stays in its network.
Context: thread context; nothing sleeps.
Source: IEEE 802.1D-2004, sections 7.5 to 7.12; Linux's Documentation/networking/bridge.rst.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EBUSY, EINVAL, ELOOP, EXFULL, Errno, final, inline, noraise
from kernel.lib.linked import Queue, Queued
from kernel.lib.pace import PACE, spend
from kernel.net.link import ethernet
from kernel.net.link.bridge_table import ForwardingTable
from kernel.net.link.carrier import change_carrier
from kernel.net.link.device import (
    ARPHRD_ETHER,
    IFF_BROADCAST,
    IFF_LOOPBACK,
    IFF_MULTICAST,
    IFF_PROMISC,
    IFF_UP,
    OFFLOAD_CHECKSUM,
    OFFLOAD_TCP4,
    OFFLOAD_TCP6,
    DeviceWatcher,
    FrameHandler,
    NetworkDevice,
    device_changed,
    want_all_frames,
    watch_devices,
)
from kernel.net.link.ethernet import ETHERNET_HEADER
from kernel.net.link.loopback import BACKLOG, is_first
from kernel.net.link.packet import CHECKSUM_PARTIAL, CHECKSUM_VERIFIED, PACKET_HOST, Packet
from kernel.net.link.segmentation import headers_length, leaves_tcp_sum
from kernel.net.link.thread import Work, schedule_work
from kernel.time import monotonic_ns

if TYPE_CHECKING:
    from kernel.net.link.network import Network

# Settings of a port (IFLA_BRPORT_*); bits of `BridgePort.switches`.
LEARNING: Final = 1 << 0
FLOOD: Final = 1 << 1  # frames whose destination is not known
GROUP_FLOOD: Final = 1 << 2
BROADCAST_FLOOD: Final = 1 << 3
HAIRPIN: Final = 1 << 4  # frames may go back where they came from
ISOLATED: Final = 1 << 5  # it exchanges nothing with other such ports
GUARD: Final = 1 << 6  # these three belong to protocols that Krait does not have
ROOT_BLOCK: Final = 1 << 7
FAST_LEAVE: Final = 1 << 8
_USUAL: Final = LEARNING | FLOOD | GROUP_FLOOD | BROADCAST_FLOOD

# States of a port (IEEE 802.1D, section 7.4).
STATE_DISABLED: Final = 0
STATE_LEARNING: Final = 2
STATE_FORWARDING: Final = 3
STATE_BLOCKING: Final = 4

_MTU: Final = 1500
_MOST_MTU: Final = 65_535
_MOST_PORTS: Final = 1024
_QUEUE_LIMIT: Final = 1000
_VLAN_TAG: Final = 4
_NOBODY: Final[bytes] = bytes(6)
_LINK_GROUPS: Final[bytes] = b"\x01\x80\xc2\x00\x00"  # the first five bytes of groups that stay on their link
_SPANNING_TREE: Final = 0  # the sixth
_PAUSE: Final = 1
DEFAULT_GROUP: Final[bytes] = b"\x01\x80\xc2\x00\x00\x00"

_FLOOD_SHARE: Final = 200_000  # instructions for sending one frame to many ports at once
_COPY_COST: Final = 3000  # of a copy, besides its bytes
_BYTES_SHIFT: Final = 2
_LOOK_COST: Final = 30
_MOST_WAITING: Final = 64  # frames of a bridge that were sent to only some of their ports
_MOST_SIZE: Final = 4 << 20  # bytes of all of them, in the first network, and in all others
_TURN_COST: Final = 250_000  # instructions of a turn, at least a port
_FOLLOW_COST: Final = 8000  # programs may be notified of each
_DEFAULT_PRIORITY: Final = 0x8000
_PORT_PRIORITY: Final = 32


@final
class BridgePort(FrameHandler):
    """One port: the handler of its interface."""

    def __init__(self, bridge: "BridgeDevice", device: NetworkDevice, number: int) -> None:
        self.bridge: BridgeDevice | None = bridge
        self.device: NetworkDevice | None = device
        self.number: int = number  # from 1
        self.address: bytes = device.address  # as entered in the table
        self.switches: int = _USUAL
        self.priority: int = _PORT_PRIORITY
        self.cost: int = cost_of(device)
        self.group_mask: int = 0  # of groups that stay on their link: these are forwarded
        self.chosen_state: int = STATE_FORWARDING  # while it can send
        self.was_live: bool = False
        self.is_ready: bool = False  # it follows its interface from now on
        self.takes_all: bool = False  # it has its interface take every frame

    def is_on(self, switch: int) -> bool:
        return self.switches & switch != 0

    def state(self) -> int:
        """STATE_*."""
        bridge = self.bridge
        return self.chosen_state if bridge is not None and bridge.is_up() and self.is_live() else STATE_DISABLED

    def is_live(self) -> bool:
        """Whether its interface can send."""
        device = self.device
        return device is not None and self.is_ready and device.is_up() and device.is_live()

    def identifier(self) -> int:
        """Priority and number, as the spanning tree protocol defines them."""
        return self.priority << 10 & 0xFC00 | self.number

    def handle(self, packet: Packet) -> bool:
        bridge = self.bridge
        device = self.device
        if bridge is None or device is None:
            return False
        header = packet.span()
        destination = header[0:6].to_bytes()
        source = header[6:12].to_bytes()
        if source[0] & 1 != 0 or source == _NOBODY:
            return True
        state = self.state()
        may_learn = self.is_on(LEARNING) and (state == STATE_FORWARDING or state == STATE_LEARNING)
        if destination[0] == 1 and destination[:5] == _LINK_GROUPS and destination[5] < 16:
            last = destination[5]
            if last == _PAUSE:
                return True
            if last != _SPANNING_TREE and (bridge.group_mask | self.group_mask) >> last & 1 == 0:
                if may_learn:
                    bridge.table.learn(source, device, monotonic_ns())
                return False
        if may_learn:
            bridge.table.learn(source, device, monotonic_ns())
        if state != STATE_FORWARDING:
            return True
        return bridge.forward(self, packet, destination)


@final
class WaitingFloods:
    """The frames that wait for a turn of their bridge."""

    def __init__(self) -> None:
        self.size: int = 0  # bytes


_OF_FIRST: Final = WaitingFloods()
_OF_OTHERS: Final = WaitingFloods()  # of all networks but the first


@final
class Flooding(Work):
    """Continues to send frames that were sent to only some of their ports."""

    def __init__(self, in_first: bool) -> None:
        super().__init__()
        self.bridge: BridgeDevice | None = None  # the bridge sets it, until it ends
        self.floods: Queue[Flood] = Queue()
        self.count: int = 0
        self.of_all: WaitingFloods = _OF_FIRST if in_first else _OF_OTHERS

    def add(self, flood: "Flood") -> None:
        """Continue with this frame later; it is lost if too many wait, or if they are too large: bridges on
        bridges make many of one.
        """
        size = len(flood.packet.storage)
        of_all = self.of_all
        if self.count >= _MOST_WAITING or (of_all.size > 0 and of_all.size + size > _MOST_SIZE):
            return
        of_all.size += size
        self.floods.append(flood)
        self.count += 1
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        bridge = self.bridge
        flood = None if bridge is None else self._take()
        if flood is None or bridge is None:
            return
        if not self.floods.is_empty():
            schedule_work(self)
        try:
            bridge.flood(flood)
        except (Errno, MemoryError):
            bridge.traffic.sent_dropped += 1

    def _take(self) -> "Flood | None":
        flood = self.floods.take()
        if flood is not None:
            self.count -= 1
            self.of_all.size -= len(flood.packet.storage)
        return flood

    @noraise
    def clear(self) -> None:
        while self._take() is not None:
            pass


@final
class Flood(Queued["Flood"]):
    """A frame on its way to many ports."""

    def __init__(self, packet: Packet, switch: int) -> None:
        super().__init__()
        self.packet: Packet = packet
        self.switch: int = switch  # FLOOD, GROUP_FLOOD, BROADCAST_FLOOD: the switch that a port must have; 0: none
        self.source_number: int = 0  # the port it came in on; 0: this host sends it
        self.is_isolated: bool = False  # that port is
        self.next_number: int = 0  # the first port that has not been sent it yet

    @inline
    def this(self) -> "Flood":
        return self

    def goes_to(self, port: BridgePort) -> bool:
        """Whether a port is to be sent the frame."""
        if self.switch != 0 and not port.is_on(self.switch):
            return False
        if port.number == self.source_number and not port.is_on(HAIRPIN):
            return False
        return port.state() == STATE_FORWARDING and not (self.is_isolated and port.is_on(ISOLATED))


@final
class Change(Work):
    """Notifies watchers that a bridge's address, MTU or carrier changed with its ports: in a turn of its own, because
    that is noticed while watchers are being notified of a port.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bridge: BridgeDevice | None = None  # the bridge sets it, until it ends

    def run(self, now_ns: int) -> None:
        bridge = self.bridge
        if bridge is not None:
            device_changed(bridge)


@final
class Round(Work):
    """Has ports follow their bridge, which went up or down: a share at once, the others in turns of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.bridge: BridgeDevice | None = None  # the bridge sets it, until it ends
        self.below: int = 0  # ports with lower numbers have not followed yet

    def begin(self) -> None:
        """Raises MemoryError."""
        self.below = _MOST_PORTS
        try:
            self.run(0)
        except MemoryError:
            schedule_work(self)  # the others follow all the same
            raise

    def begin_later(self) -> None:
        """The same, all in turns of its own."""
        self.below = _MOST_PORTS
        schedule_work(self)

    def run(self, now_ns: int) -> None:
        bridge = self.bridge
        if bridge is None:
            return
        left = _TURN_COST
        for at in range(len(bridge.ports) - 1, -1, -1):  # as on Linux, the latest first
            port = bridge.ports[at]
            if port.number >= self.below:
                continue
            if left <= 0:
                schedule_work(self)
                break
            left -= _FOLLOW_COST + bridge.table.look_cost()  # entries of one that forwards no more are forgotten
            spend(_FOLLOW_COST)
            bridge.follow_port(port)
            self.below = port.number
        bridge.follow_carrier()


@final
class BridgeDevice(NetworkDevice):
    """A bridge."""

    def __init__(self, network: "Network", name: bytes, address: bytes) -> None:
        super().__init__(network, name, ARPHRD_ETHER, address, _MTU)
        self.flags = IFF_BROADCAST | IFF_MULTICAST
        self.offload = OFFLOAD_CHECKSUM | OFFLOAD_TCP4 | OFFLOAD_TCP6
        self.max_mtu = _MOST_MTU
        self.virtual_kind = b"bridge"
        self.ports: list[BridgePort] = []  # in ascending order of number
        self.has_had_port: bool = False  # until then its carrier state is unknown
        self.standing.is_unknown = True
        self.table: ForwardingTable = ForwardingTable(is_first(self))
        self.flooding: Flooding = Flooding(is_first(self))
        self.change: Change = Change()
        self.round: Round = Round()
        self.entered_address: bytes = b""  # its own, as entered in the table
        self.group_mask: int = 0
        self.priority: int = _DEFAULT_PRIORITY
        # Times of the spanning tree protocol, in hundredths of a second, for programs that read back what they set.
        self.forward_delay: int = 1500
        self.hello_time: int = 200
        self.most_age: int = 2000
        self.group_address: bytes = DEFAULT_GROUP
        # From here on nothing fails: `has_ended` will part them.
        self.table.bridge = self
        self.flooding.bridge = self
        self.change.bridge = self
        self.round.bridge = self

    def identifier(self) -> bytes:
        """Priority and address (IEEE 802.1D, section 9.2.5)."""
        return bytes([self.priority >> 8 & 0xFF, self.priority & 0xFF]) + self.address

    def below(self) -> list[NetworkDevice]:
        found: list[NetworkDevice] = []
        for port in self.ports:
            device = port.device
            if device is not None:
                found.append(device)
        return found

    def wants_all(self) -> bool:
        """Whether anyone wants to see every frame that passes."""
        return self.flags & IFF_PROMISC != 0 or self.promiscuous_users > 0

    # ---- Frames -----------------------------------------------------------------------------------------------------

    def transmit(self, packet: Packet) -> bool:
        if self.waiting >= _QUEUE_LIMIT:
            return False
        packet.from_ourselves = False
        packet.is_relayed = True
        return BACKLOG.put_frame(packet, self, is_first(self))

    def relay(self, packet: Packet) -> None:
        destination = packet.span()[0:6].to_bytes()
        if destination[0] & 1 != 0:
            self.flood(Flood(packet, 0))
            return
        entry = self.table.find(destination)
        if entry is None:
            self.flood(Flood(packet, FLOOD))
            return
        device = entry.device
        port = None if device is None else port_of(device)
        if port is not None and port.state() == STATE_FORWARDING:
            _send(packet, port)

    def forward(self, source: BridgePort, packet: Packet, destination: bytes) -> bool:
        """Forward a frame that came in on a port. False: this host gets it, through the bridge. Raises
        MemoryError.
        """
        is_ours = self.wants_all()
        entry = None
        switch = FLOOD
        if destination[0] & 1 != 0:
            is_ours = True
            switch = BROADCAST_FLOOD if destination == self.broadcast else GROUP_FLOOD
        else:
            entry = self.table.find(destination)
            if destination == self.address:
                packet.link_kind = PACKET_HOST
        if entry is not None and entry.is_local:
            packet.device = self
            return False
        sent = packet.copy() if is_ours else packet
        _make_ready(sent)
        if entry is None:
            flood = Flood(sent, switch)
            flood.source_number = source.number
            flood.is_isolated = source.is_on(ISOLATED)
            self.flood(flood)
        else:
            entry.used_ns = monotonic_ns()
            device = entry.device
            port = None if device is None else port_of(device)
            if port is not None and _may_pass(source, port):
                _send(sent, port)
        if is_ours:
            packet.device = self
        return not is_ours

    def flood(self, flood: Flood) -> None:
        """Send a frame to the ports that have not been sent it yet, or to a share of them. Raises MemoryError."""
        packet = flood.packet
        floor = PACE.left - _FLOOD_SHARE
        last: BridgePort | None = None
        spend(len(self.ports) * _LOOK_COST)
        for port in self.ports:
            if port.number < flood.next_number or not flood.goes_to(port):
                continue
            if last is not None:
                _send(packet.copy(), last)
                spend(_COPY_COST + (len(packet.storage) >> _BYTES_SHIFT))
                if PACE.left < floor:
                    flood.next_number = port.number
                    self.flooding.add(flood)
                    return
            last = port
        if last is not None:
            _send(packet, last)

    # ---- State ------------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        self.flags |= IFF_UP  # its ports see that, and programs hear of them first
        try:
            self.round.begin()
        except MemoryError:
            self.flags &= ~IFF_UP
            raise

    def set_down(self) -> None:
        self.flooding.clear()
        try:
            if self.table.look_cost() > _TURN_COST:
                self.round.begin_later()  # each port takes a look at all entries
            else:
                self.round.begin()
            self.table.flush()
        except MemoryError:
            return  # the round goes on later, and learned entries just age

    def _has_live_port(self) -> bool:
        for port in self.ports:
            if port.chosen_state == STATE_FORWARDING and port.is_live():
                return True
        return False

    def follow_ports(self) -> None:
        """Derive address, MTU and carrier from the ports. Raises MemoryError: then it must be repeated."""
        is_changed = self.follow_address()
        if self.follow_mtu() or is_changed:
            schedule_work(self.change)
        self.follow_carrier()

    def follow_address(self) -> bool:
        """Take the lowest of the ports' addresses. Returns whether it is another. Raises MemoryError."""
        lowest = self.address
        if not self.has_own_address and self.has_had_port:  # until then, it keeps the one that it was created with
            lowest = self._lowest_address()
        self._enter_address(lowest)
        is_changed = lowest != self.address
        self.address = lowest
        return is_changed

    def follow_mtu(self) -> bool:
        """Take the least of the ports' MTUs. Returns whether it is another."""
        mtu = self._least_mtu()
        if self.has_own_mtu or mtu == self.mtu:
            return False
        self.mtu = mtu
        return True

    def follow_carrier(self) -> None:
        """It has a carrier while a port forwards; before it has had one, too."""
        if self.has_had_port:
            change_carrier(self, self.is_up() and self._has_live_port())

    def enter_own_address(self) -> None:
        """Enter the bridge's address in the table. Raises MemoryError."""
        self._enter_address(self.address)

    def _enter_address(self, address: bytes) -> None:
        if address == _NOBODY:
            address = b""
        old = self.entered_address
        if address != old:
            self.table.replace_own(old, address, self._another_with(old, None), monotonic_ns())
            self.entered_address = address

    def enter_again(self) -> None:
        """A program has chosen the address: as on Linux, its entry is replaced by an equal one. Raises MemoryError."""
        self.table.replace_own(self.entered_address, self.entered_address, None, monotonic_ns())

    def leave_table(self) -> None:
        """The bridge is about to end: drop its address from the table."""
        self.table.drop_local(self.entered_address, None, None)
        self.entered_address = b""

    def _another_with(self, address: bytes, device: NetworkDevice | None) -> NetworkDevice | None:
        """A port other than `device`, or the bridge, that has an address."""
        for port in self.ports:
            other = port.device
            if other is not None and other is not device and port.address == address:
                return other
        return self if device is not None and self.address == address else None

    def _lowest_address(self) -> bytes:
        """The lowest address of the ports; the unassigned one without ports."""
        lowest = _NOBODY
        for port in self.ports:
            device = port.device
            if device is not None and (lowest == _NOBODY or device.address < lowest):
                lowest = device.address
        return lowest

    def _least_mtu(self) -> int:
        least = 0
        for port in self.ports:
            device = port.device
            if device is not None and (least == 0 or device.mtu < least):
                least = device.mtu
        return least if least != 0 else _MTU

    def follow_port_address(self, port: BridgePort) -> bool:
        """Enter the address of a port's interface. Returns whether it is another. Raises MemoryError."""
        device = port.device
        old = port.address
        if device is None or device.address == old:
            return False
        self.table.drop_local(old, device, self._another_with(old, device))
        self.table.add_local(device.address, device, monotonic_ns())
        port.address = device.address
        return True

    def follow_port(self, port: BridgePort) -> bool:
        """A port's interface, or the bridge, changed: the port forwards or not. Programs hear twice of one that begins
        to, as on Linux. Returns whether they have heard. Raises MemoryError.
        """
        device = port.device
        is_live = port.state() != STATE_DISABLED
        if device is None or is_live == port.was_live:
            return False
        port.was_live = is_live
        port.chosen_state = STATE_FORWARDING
        tell_port(port)
        if is_live:
            tell_port(port)
        else:
            self.table.forget_port(device)
        return True

    def has_ended(self) -> None:
        self.table.end()
        self.flooding.clear()
        self.flooding.bridge = None
        self.change.bridge = None
        self.round.bridge = None


def _may_pass(source: BridgePort, target: BridgePort) -> bool:
    """Whether a frame may go from one port to another, or back."""
    if target is source and not source.is_on(HAIRPIN):
        return False
    return target.state() == STATE_FORWARDING and not (source.is_on(ISOLATED) and target.is_on(ISOLATED))


def _make_ready(packet: Packet) -> None:
    """Prepare a received frame for sending: do what its sender left to a device."""
    packet.network_start = packet.start + ETHERNET_HEADER
    if packet.segment_size != 0:
        headers = headers_length(packet)
        if headers == 0:
            packet.segment_size = 0
        elif not leaves_tcp_sum(packet, headers):
            return  # the segments get their checksums when it is cut
    if packet.checksum == CHECKSUM_VERIFIED and packet.checksum_offset != 0:
        packet.checksum = CHECKSUM_PARTIAL


def _send(packet: Packet, port: BridgePort) -> None:
    """Send a frame through a port, if it is short enough for the link."""
    device = port.device
    if device is None:
        return
    if packet.segment_size == 0 and len(packet) > device.mtu + ETHERNET_HEADER + _VLAN_TAG:
        return
    ethernet.send_frame(packet, device)


def cost_of(device: NetworkDevice) -> int:
    """The cost of a path through a port, by the speed that its interface claims (IEEE 802.1D-1998, table 8-5)."""
    return 2 if device.virtual_kind == b"veth" or device.virtual_kind == b"tun" else 100


# ---- Ports come and go ----------------------------------------------------------------------------------------------


class PortWatcher:
    """Is notified of ports. Base class: every method does nothing, and none raises."""

    def port_changed(self, port: BridgePort) -> None:
        """It is new, or its state or settings changed."""

    def port_removed(self, port: BridgePort) -> None:
        """It is about to be removed."""


PORT_WATCHERS: Final[list[PortWatcher]] = []


def tell_port(port: BridgePort) -> None:
    """Notify watchers that a port has changed."""
    for watcher in PORT_WATCHERS:
        watcher.port_changed(port)


def port_of(device: NetworkDevice) -> BridgePort | None:
    """The port that an interface is."""
    handler = device.handler
    return handler if isinstance(handler, BridgePort) else None


def add_port(bridge: BridgeDevice, device: NetworkDevice) -> None:
    """Make an interface of the same network a port. Raises EINVAL for a non-Ethernet one, ELOOP for a bridge, EBUSY
    for one that is in use or stands on this bridge, EXFULL, MemoryError: then nothing has changed.
    """
    address = device.address
    if device.flags & IFF_LOOPBACK != 0 or device.kind != ARPHRD_ETHER or not device.has_header:
        raise Errno(EINVAL)
    if address[0] & 1 != 0 or address == _NOBODY:
        raise Errno(EINVAL)
    if isinstance(device, BridgeDevice):
        raise Errno(ELOOP)
    if device.handler is not None or _stands_on(device, bridge):
        raise Errno(EBUSY)
    port = BridgePort(bridge, device, _free_number(bridge))
    is_only = len(bridge.ports) == 0
    at = 0
    while at < len(bridge.ports) and bridge.ports[at].number < port.number:
        at += 1
    bridge.ports.insert(at, port)
    try:
        device.handler = port
        device.master = bridge
        device.all_groups_users += 1
        device_changed(device)
        want_all_frames(device, 1)
        port.takes_all = True
        if is_only:
            device_changed(bridge)  # what its links can do
        bridge.table.add_local(address, device, monotonic_ns())
        bridge.has_had_port = True
        bridge.standing.is_unknown = False
        is_changed = bridge.follow_address()
    except (Errno, MemoryError):
        _take_out(port)
        raise
    if is_changed:
        bridge.follow_carrier()  # without this port, which is not ready yet
    port.is_ready = True
    if port.state() != STATE_DISABLED:
        port.was_live = True
        tell_port(port)
        tell_port(port)
    tell_port(port)
    bridge.follow_carrier()
    _tell_of_bridge(bridge, is_changed)
    _tell_of_bridge(bridge, bridge.follow_mtu())


def _tell_of_bridge(bridge: BridgeDevice, is_changed: bool) -> None:
    """Notify watchers of a change of a bridge, if there is one."""
    if is_changed:
        try:
            device_changed(bridge)
        except MemoryError:
            schedule_work(bridge.change)


def _free_number(bridge: BridgeDevice) -> int:
    """The lowest number that no port has. Raises EXFULL."""
    number = 1
    for port in bridge.ports:
        if port.number != number:
            break
        number += 1
    if number >= _MOST_PORTS:
        raise Errno(EXFULL)
    return number


def _stands_on(device: NetworkDevice, bridge: BridgeDevice) -> bool:
    """Whether what an interface sends would pass through a bridge. Raises MemoryError."""
    seen: dict[int, bool] = {}
    waiting = device.below()
    while len(waiting) > 0:
        lower = waiting.pop()
        if lower is bridge:
            return True
        if lower.number not in seen:
            seen[lower.number] = True
            waiting.extend(lower.below())
    return False


def remove_port(port: BridgePort, *, is_last_act: bool = False) -> None:
    """Stop an interface from being a port; `is_last_act`: of its bridge, which follows its ports no more. Raises
    MemoryError, with something still to do.
    """
    device = port.device
    bridge = port.bridge
    if device is None or bridge is None:
        return
    _release(port)
    try:
        device_changed(device)
    finally:
        if not is_last_act:
            _follow_loss(bridge)


def _release(port: BridgePort) -> None:
    """The same, without notifying the watchers of both interfaces. In Linux's order, which programs can hear."""
    bridge = port.bridge
    device = port.device
    if bridge is None or device is None:
        return
    if port.takes_all:
        port.takes_all = False
        want_all_frames(device, -1)
    port.is_ready = False
    port.was_live = False
    tell_port(port)
    static = bridge.table.forget_port(device)
    for watcher in PORT_WATCHERS:
        watcher.port_removed(port)
    bridge.table.forget_static(static)
    _take_out(port)


def _follow_loss(bridge: BridgeDevice) -> None:
    """A port has gone. Raises MemoryError."""
    bridge.follow_carrier()
    _tell_of_bridge(bridge, bridge.follow_mtu())
    _tell_of_bridge(bridge, bridge.follow_address())
    _tell_of_bridge(bridge, len(bridge.ports) == 0)


def _take_out(port: BridgePort) -> None:
    bridge = port.bridge
    device = port.device
    if bridge is None or device is None:
        return
    bridge.ports.remove(port)
    bridge.table.drop_local(port.address, device, bridge._another_with(port.address, device))
    if device.handler is port:
        device.handler = None
        device.master = None
        if port.takes_all:
            port.takes_all = False
            device.promiscuous_users -= 1
        device.all_groups_users -= 1
        device.multicast_changed()
    port.bridge = None
    port.device = None


@final
class _FollowDevices(DeviceWatcher):
    """Bridges follow their ports, and ports their bridge."""

    def device_added(self, device: NetworkDevice) -> None:
        if isinstance(device, BridgeDevice):
            device.enter_own_address()

    def device_up(self, device: NetworkDevice) -> None:
        self.carrier_changed(device)

    def device_down(self, device: NetworkDevice) -> None:
        self.carrier_changed(device)

    def carrier_changed(self, device: NetworkDevice) -> None:
        port = port_of(device)
        bridge = None if port is None or not port.is_ready else port.bridge
        if port is not None and bridge is not None:
            if not bridge.follow_port(port):
                tell_port(port)
            bridge.follow_carrier()

    def device_changed(self, device: NetworkDevice) -> None:
        port = port_of(device)
        bridge = None if port is None or not port.is_ready else port.bridge
        if port is not None and bridge is not None:
            is_other = bridge.follow_port_address(port)
            bridge.follow_ports()
            if is_other:
                tell_port(port)
        if isinstance(device, BridgeDevice):
            device.enter_own_address()

    def device_removed(self, device: NetworkDevice) -> None:
        port = port_of(device)
        bridge = None if port is None else port.bridge
        if port is not None and bridge is not None:
            _release(port)
            _follow_loss(bridge)
        if isinstance(device, BridgeDevice):
            while len(device.ports) > 0:  # they came while another change was awaited
                remove_port(device.ports[len(device.ports) - 1], is_last_act=True)


watch_devices(_FollowDevices())
