"""What a layer above the link layer keeps for each network, or for each interface.

A network (`network.py`) and an interface (`device.py`) have a place for each such part, and do not know what is in it:
whoever knows narrows it down by `isinstance`, in a function that stands beside the part's class. A part is a timer as
well, for those whose contents have a time.
"""

from kernel.net.link.timers import NetworkTimer


class Part(NetworkTimer):
    """Base class. Parts of a network do not refer to it, which would keep it for ever."""

    def end(self) -> None:
        """The network ends: nothing is pending any more."""
        self.remove()
