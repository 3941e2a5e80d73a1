"""Carriers of software interfaces: a pair's ends and bridges.

Such a carrier changes in the middle of another change. Watchers are notified a little later, by the network thread, as
on Linux: until then programs see IFF_RUNNING as it was, and IFF_LOWER_UP as it is (Linux's
Documentation/networking/operstates.rst).

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.lang import Errno, final, noraise
from kernel.lib.linked import Queue
from kernel.net.link.device import NetworkDevice, Standing, tell_carrier
from kernel.net.link.thread import Work, schedule_work


@final
class CarrierWatch(Work):
    """Notifies watchers of one interface in each turn."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: Queue[Standing] = Queue()

    @noraise
    def add(self, device: NetworkDevice, was_live: bool) -> None:
        """Report an interface's carrier soon."""
        standing = device.standing
        if standing.device is None:
            standing.device = device
            standing.was_live = was_live
            self.waiting.append(standing)
            schedule_work(self)

    def run(self, now_ns: int) -> None:
        standing = self.waiting.take()
        if not self.waiting.is_empty():
            schedule_work(self)
        device = None if standing is None else standing.device
        if standing is None or device is None:
            return
        standing.device = None
        if device.is_up() and not device.is_leaving:
            try:
                tell_carrier(device)
            except Errno:
                return  # it has begun to end, so that nobody needs to hear of it
            except MemoryError:
                self.add(device, standing.was_live)
                raise


_WATCH: Final = CarrierWatch()


@noraise
def change_carrier(device: NetworkDevice, has_carrier: bool) -> None:
    """A software interface gets or loses its carrier."""
    if device.has_carrier != has_carrier:
        _WATCH.add(device, device.has_carrier)
        device.has_carrier = has_carrier
        device.standing.is_unknown = False
