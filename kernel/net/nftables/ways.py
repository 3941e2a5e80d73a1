"""Expressions about routes: fib and rt (nft(8) "FIB EXPRESSIONS", "ROUTING EXPRESSIONS").

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EINVAL, EOPNOTSUPP, Errno, final
from kernel.lib.pace import spend
from kernel.net.internet.addresses import ANY4, LIMITED_BROADCAST, is_multicast
from kernel.net.internet.routes import UNICAST, find_route
from kernel.net.link.device import NetworkDevice
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, FORWARD, INPUT, OUTPUT, POSTROUTING, PREROUTING
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import Attributes, put32
from kernel.net.nftables.expression import Expression, Loader, Run, put_register, register_loader, write_register
from kernel.net.nftables.model import Chain
from kernel.net.nftables.statements import check_points

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_RESULT_INDEX: Final = 1
_RESULT_NAME: Final = 2
_RESULT_KIND: Final = 3
_SOURCE: Final = 1
_DESTINATION: Final = 2
_MARK: Final = 4
_INPUT: Final = 8
_OUTPUT: Final = 16
_PRESENT: Final = 32
_KIND_UNICAST: Final = 1
_KIND_BROADCAST: Final = 3
_KIND_MULTICAST: Final = 5
_NAME: Final = 16  # bytes
ROUTE_COST: Final = 3500  # instructions for two short tables; the routes spend the cost of long ones
_ARRIVING: Final = 1 << PREROUTING | 1 << INPUT | 1 << FORWARD
_LEAVING: Final = 1 << OUTPUT | 1 << POSTROUTING | 1 << FORWARD


@final
class RouteLookup(Expression):
    """Look up the route for the packet's source or destination."""

    def __init__(self, place: int, result: int, flags: int) -> None:
        self.place: int = place
        self.result: int = result
        self.flags: int = flags

    def name(self) -> bytes:
        return b"fib"

    def evaluate(self, run: Run) -> None:
        packet = run.packet
        address = packet.source if self.flags & _SOURCE != 0 else packet.destination
        device: NetworkDevice | None = None
        if self.flags & _INPUT != 0:
            device = run.place.input
        elif self.flags & _OUTPUT != 0:
            device = run.place.output
        if self.result == _RESULT_KIND:
            run.set_word(self.place, kind_of(run, address, device))
            return
        found = run.place.input if _is_exempt(run) else _way_to(run, address, device)
        if self.flags & _PRESENT != 0:
            run.set_byte(self.place, 0 if found is None else 1)
        elif self.result == _RESULT_INDEX:
            run.set_word(self.place, 0 if found is None else found.index)
        else:
            run.set_bytes(self.place, b"" if found is None else found.name, _NAME)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.result)
        put32(writer, 3, self.flags)

    def check(self, base: Chain, family: int) -> None:
        if self.result != _RESULT_KIND:
            check_points(base, _ARRIVING)
        elif self.flags & _INPUT != 0:
            check_points(base, _ARRIVING)
        elif self.flags & _OUTPUT != 0:
            check_points(base, _LEAVING)


def _is_exempt(run: Run) -> bool:
    """Whether a packet is exempt: it came over lo, or has no source yet and goes to a group or to all."""
    device = run.place.input
    if device is None or run.place.point == OUTPUT:
        return False
    packet = run.packet
    return device.is_loop or (
        packet.source == ANY4 and (is_multicast(packet.destination) or packet.destination == LIMITED_BROADCAST)
    )


def _way_to(run: Run, address: bytes, device: NetworkDevice | None) -> NetworkDevice | None:
    """The interface to an address; None without one, and if one other than `device` is asked for."""
    spend(ROUTE_COST)
    route = find_route(run.place.network, address)
    if route is None or route.kind != UNICAST:
        return None
    found = route.device
    return found if device is None or found is device else None


def kind_of(run: Run, address: bytes, device: NetworkDevice | None) -> int:
    """RTN_*: the type of the address."""
    if is_multicast(address):
        return _KIND_MULTICAST
    if address == ANY4 or address == LIMITED_BROADCAST:
        return _KIND_BROADCAST
    spend(ROUTE_COST)
    route = find_route(run.place.network, address)
    if route is None or (device is not None and route.device is not device):
        return _KIND_UNICAST
    return route.kind


@final
class _RouteLoader(Loader):
    def name(self) -> bytes:
        return b"fib"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2) or not attributes.has(3):
            raise Errno(EINVAL)
        flags = attributes.be32(3)
        if flags == 0 or flags & ~0x3F != 0:
            raise Errno(EINVAL)
        if flags & (_SOURCE | _DESTINATION) in (0, _SOURCE | _DESTINATION):
            raise Errno(EINVAL)
        if flags & (_INPUT | _OUTPUT) == _INPUT | _OUTPUT:
            raise Errno(EINVAL)
        result = attributes.be32(2)
        if result == _RESULT_INDEX or result == _RESULT_KIND:
            length = 4
        elif result == _RESULT_NAME:
            length = _NAME
        else:
            raise Errno(EINVAL)
        if result != _RESULT_KIND and flags & _OUTPUT != 0:
            raise Errno(EINVAL)
        return RouteLookup(write_register(attributes, 1, length), result, flags)


_CLASS: Final = 0
_NEXT_HOP4: Final = 1
_NEXT_HOP6: Final = 2
_SEGMENT_SIZE: Final = 3
_HEADERS4: Final = 40  # bytes of the headers of IP and TCP
_HEADERS6: Final = 60


@final
class Way(Expression):
    """How the packet goes on: its next hop, or the maximum segment size that fits."""

    def __init__(self, place: int, key: int) -> None:
        self.place: int = place
        self.key: int = key

    def name(self) -> bytes:
        return b"rt"

    def evaluate(self, run: Run) -> None:
        place = run.place
        packet = run.packet
        if self.key == _CLASS:
            run.set_word(self.place, 0)
            return
        if place.output is None:
            run.stop()
            return
        hop = packet.destination if len(place.gateway) == 0 else place.gateway
        if self.key == _SEGMENT_SIZE:
            size = place.mtu - (_HEADERS4 if place.family == FAMILY_IP4 else _HEADERS6)
            run.set_short(self.place, max(size, 0))
        elif place.family == (FAMILY_IP4 if self.key == _NEXT_HOP4 else FAMILY_IP6):
            run.set_bytes(self.place, hop, len(hop))
        else:
            run.stop()

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 1, self.place)
        put32(writer, 2, self.key)

    def check(self, base: Chain, family: int) -> None:
        if self.key == _SEGMENT_SIZE:
            check_points(base, _LEAVING)
        elif self.key != _CLASS:
            check_points(base, _LEAVING | 1 << INPUT)


@final
class _WayLoader(Loader):
    def name(self) -> bytes:
        return b"rt"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2):
            raise Errno(EINVAL)
        key = attributes.be32(2)
        if key == _NEXT_HOP6:
            length = 16
        elif key == _SEGMENT_SIZE:
            length = 2
        elif key == _CLASS or key == _NEXT_HOP4:
            length = 4
        else:
            raise Errno(EOPNOTSUPP)
        return Way(write_register(attributes, 1, length), key)


register_loader(_RouteLoader())
register_loader(_WayLoader())
