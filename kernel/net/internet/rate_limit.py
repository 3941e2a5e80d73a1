"""How many errors a network sends: a bucket for each destination, and one for all (RFC 1812 section 4.3.2.8, RFC 4443
section 2.4 (f)). A host that ignores redirects gets them ever more rarely, and in the end none until it has been
silent for a while.

Context: any; the caller passes the time.
"""

from typing import Final

from kernel.lang import final
from kernel.net.link.network import Network, PartMaker, register_part
from kernel.net.link.part import Part

_BURST: Final = 6
_TOTAL_PER_SECOND: Final = 1000
_TOTAL_BURST: Final = 50
_TABLE_LIMIT: Final = 256
_SECOND_NS: Final = 1_000_000_000
_MS_NS: Final = 1_000_000


@final
class Bucket:
    """Credit, in nanoseconds of waiting."""

    def __init__(self, credit_ns: int, now_ns: int) -> None:
        self.credit_ns: int = credit_ns
        self.filled_ns: int = now_ns

    def take(self, cost_ns: int, limit_ns: int, now_ns: int) -> bool:
        """Pay for one message, if there is enough credit."""
        self.credit_ns = min(limit_ns, self.credit_ns + max(0, min(now_ns - self.filled_ns, limit_ns)))
        self.filled_ns = now_ns
        if self.credit_ns < cost_ns:
            return False
        self.credit_ns -= cost_ns
        return True


@final
class RateLimiter:
    """Buckets of one protocol."""

    def __init__(self) -> None:
        self.total: Bucket = Bucket(_SECOND_NS // _TOTAL_PER_SECOND * _TOTAL_BURST, 0)
        self.by_destination: dict[bytes, Bucket] = {}

    def allows(self, destination: bytes, now_ns: int, interval_ms: int) -> bool:
        """Whether an error may go to `destination` now: one in `interval_ms` on average, a few at once."""
        total_cost_ns = _SECOND_NS // _TOTAL_PER_SECOND
        if interval_ms <= 0:
            return True
        cost_ns = interval_ms * _MS_NS
        bucket = self.by_destination.get(destination)
        if bucket is None:
            if len(self.by_destination) >= _TABLE_LIMIT:
                self.by_destination.clear()
            bucket = Bucket(_BURST * cost_ns, now_ns)
            self.by_destination[destination] = bucket
        if not bucket.take(cost_ns, _BURST * cost_ns, now_ns):
            return False
        return self.total.take(total_cost_ns, total_cost_ns * _TOTAL_BURST, now_ns)


_REDIRECT_LOAD_NS: Final = 20_000_000
_MOST_REDIRECTS: Final = 9
_REDIRECT_SILENCE_NS: Final = _REDIRECT_LOAD_NS << _MOST_REDIRECTS + 1


@final
class Redirected:
    """A host that was redirected to a better gateway."""

    def __init__(self) -> None:
        self.count: int = 0
        self.last_ns: int = 0


@final
class RedirectLimiter:
    """Limits redirects, by host."""

    def __init__(self) -> None:
        self.hosts: dict[bytes, Redirected] = {}

    def allows(self, host: bytes, now_ns: int) -> bool:
        """Whether a host may be redirected now."""
        found = self.hosts.get(host)
        if found is None:
            if len(self.hosts) >= _TABLE_LIMIT:
                self.hosts.clear()
            found = Redirected()
            self.hosts[host] = found
        if now_ns - found.last_ns > _REDIRECT_SILENCE_NS:
            found.count = 0
        if found.count >= _MOST_REDIRECTS:
            found.last_ns = now_ns
            return False
        if found.count > 0 and now_ns - found.last_ns <= _REDIRECT_LOAD_NS << found.count:
            return False
        found.count += 1
        found.last_ns = now_ns
        return True


@final
class Rates(Part):
    """The rate limits of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.icmp4: RateLimiter = RateLimiter()
        self.icmp6: RateLimiter = RateLimiter()
        self.redirects: RedirectLimiter = RedirectLimiter()


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.rates = Rates()


register_part(_Maker())


def rates_of(network: Network) -> Rates:
    """The rate limits of a network."""
    part = network.rates
    assert isinstance(part, Rates)
    return part
