"""The creation and the end of networks (network_namespaces(7)).

The last user of a network may leave it anywhere, in the middle of closing a file. So the network thread takes it apart:
its interfaces go down, and are removed, or move to the first network if they are hardware, each in a turn of its own,
until nothing refers to it.

Context: creating one may reclaim memory; taking apart runs in the network thread, with safe points.
"""

from typing import Final

from kernel.lang import Errno, final, noraise
from kernel.lib.namespace import NETWORKS, Namespace, UserNamespace, count_no_more
from kernel.mm.keeping import check_room_to_keep
from kernel.net.internet.router_discovery import EXPIRY
from kernel.net.link.device import NetworkDevice, bring_down, device_by_name
from kernel.net.link.network import ENDED, FIRST_NETWORK, EndHook, Network, move_device, new_network
from kernel.net.link.network_ids import NETWORK_IDS
from kernel.net.link.thread import Work, schedule_work
from kernel.net.netlink.new_link import take_away, take_off
from kernel.net.nftables.endings import end_firewall


@final
class Ending(Work):
    """Takes networks apart, one step in each turn."""

    def run(self, now_ns: int) -> None:
        network = ENDED.first
        if network is None:
            return
        if len(network.devices) > 0:
            device = network.devices[len(network.devices) - 1]
            if device.is_up():
                bring_down(device)
            else:
                _send_away(device)
        else:
            _end(network)
            ENDED.take()
        if ENDED.first is not None:
            schedule_work(self)


_ENDING: Final = Ending()


@final
class _Hook(EndHook):
    @noraise
    def networks_ended(self) -> None:
        schedule_work(_ENDING)


def _end(network: Network) -> None:
    """Finish a network that has no interfaces left. Raises MemoryError: then it can be tried again."""
    end_firewall(network)
    for part in network.parts():
        part.end()
    EXPIRY.forget(network)
    NETWORK_IDS.forget(network)
    count_no_more(network)


def _send_away(device: NetworkDevice) -> None:
    """Remove a device or move it away. Raises MemoryError: then it can be tried again."""
    if not device.is_hardware:
        if not take_off(device):
            take_away(device)
        return
    name = device.name
    if device_by_name(FIRST_NETWORK, name) is not None:
        name = f"dev{device.index}".encode()
    if device_by_name(FIRST_NETWORK, name) is not None:
        name = b"dev%d"
    try:
        move_device(device, FIRST_NETWORK, name, 0)
    except Errno:
        raise MemoryError from None  # thousands of others exist: it waits until some have gone


def make_network(owner: UserNamespace) -> Namespace:
    """Create a network, for clone(2) and unshare(2). Raises ENOMEM, MemoryError."""
    check_room_to_keep()
    return new_network(owner)


ENDED.hook = _Hook()
NETWORKS.make = make_network
