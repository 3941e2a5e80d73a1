"""What programs have heard of an interface."""

from typing import TYPE_CHECKING

from kernel.lang import final, inline
from kernel.lib.linked import Queued

if TYPE_CHECKING:
    from kernel.net.link.device import NetworkDevice


@final
class Standing(Queued["Standing"]):
    """Part of a `NetworkDevice`. While it is queued (`carrier.py`), programs have not heard of its carrier's change."""

    def __init__(self) -> None:
        super().__init__()
        self.is_told: bool = True  # that it exists; False until its maker has given it what a request wants
        self.is_unknown: bool = False  # its carrier is not known, or has never changed (RFC 2863)
        self.was_live: bool = False  # while it is queued: whether it had a carrier before
        self.device: NetworkDevice | None = None  # while it is queued

    @inline
    def this(self) -> "Standing":
        return self
