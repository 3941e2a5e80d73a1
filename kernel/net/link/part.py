"""State that a layer above the link layer keeps for each network, or for each interface.

A network (`network.py`) and an interface (`device.py`) have a place for each such part, without knowing its contents:
the code that does know narrows it by `isinstance`, in a function next to the part's class. A part is also a timer,
for contents that expire.
"""

from kernel.net.link.timers import NetworkTimer


class Part(NetworkTimer):
    """Base class. Parts of a network do not refer to it: that would keep it forever."""

    def end(self) -> None:
        """The network ends: cancel everything pending."""
        self.remove()
