"""Bringing the network up: imports everything that registers itself, and starts the network thread.

Context: the boot thread. Raises MemoryError.
"""

from kernel.net import icmp, interface_routes, ipv4, thread
from kernel.net.device import bring_up
from kernel.net.loopback import LOOPBACK
from kernel.net.unix import family as unix_family

# Called through registries that their import fills.
_ = (icmp, interface_routes, ipv4, unix_family)


def start_network() -> None:
    """Start the network thread, and the loopback interface."""
    thread.start()
    bring_up(LOOPBACK)
