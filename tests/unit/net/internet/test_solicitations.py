"""How often an interface asks for routers (RFC 7559)."""

from itertools import pairwise

from kernel.net.internet.interface_settings import ROUTER_SOLICITATIONS6
from kernel.net.internet.router_discovery import Solicitation
from tools.simulated.wire import Wire

SECOND_NS = 1_000_000_000


def gaps(solicitation: Solicitation, most: int) -> list[int]:
    """The times in ns from one to the next, `most` at most."""
    found: list[int] = []
    now_ns = 0
    while len(found) < most:
        solicitation.expire(now_ns)
        if not solicitation.is_armed():
            break
        found.append(solicitation.deadline_ns - now_ns)
        now_ns = solicitation.deadline_ns
        solicitation.remove()
    return found


def test_asks_without_end_and_less_and_less_often(wire: Wire) -> None:
    waits = gaps(Solicitation(wire), 20)
    assert len(waits) == 20 and waits[0] == 4 * SECOND_NS and waits[-1] == 3600 * SECOND_NS
    for one, following in pairwise(waits):
        assert one * 19 // 10 <= following <= one * 21 // 10 or following == 3600 * SECOND_NS


def test_asks_as_often_as_it_is_told(wire: Wire) -> None:
    ROUTER_SOLICITATIONS6.set(wire, 2)
    assert len(gaps(Solicitation(wire), 20)) == 2
    ROUTER_SOLICITATIONS6.set(wire, 0)
    assert gaps(Solicitation(wire), 20) == []
