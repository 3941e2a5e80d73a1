"""Round-trip times and the retransmission timeout (RFC 6298). Times are nanoseconds."""

from typing import Final

from kernel.lang import final

NS_PER_MS: Final = 1_000_000
INITIAL_TIMEOUT_NS: Final = 1_000 * NS_PER_MS
# RFC 6298 requires a second; all common systems go down to 200 ms.
LEAST_TIMEOUT_NS: Final = 200 * NS_PER_MS
LARGEST_TIMEOUT_NS: Final = 120_000 * NS_PER_MS


@final
class RoundTrip:
    """The smoothed round-trip time, its variation and the timeout derived from them."""

    def __init__(self) -> None:
        self.smoothed_ns: int = 0  # 0: never measured
        self.variation_ns: int = 0
        self.least_ns: int = 0
        self.timeout_ns: int = INITIAL_TIMEOUT_NS
        self.backoff: int = 0  # how many times the timer has expired in a row

    def measured(self, sample_ns: int) -> None:
        """One round trip took `sample_ns`. Only segments that were sent once may be measured (Karn)."""
        sample_ns = max(1, sample_ns)
        if self.smoothed_ns == 0:
            self.smoothed_ns = sample_ns
            self.variation_ns = sample_ns >> 1
            self.least_ns = sample_ns
        else:
            deviation = self.smoothed_ns - sample_ns
            if deviation < 0:
                deviation = -deviation
            self.variation_ns += (deviation - self.variation_ns) >> 2
            self.smoothed_ns = max(1, self.smoothed_ns + ((sample_ns - self.smoothed_ns) >> 3))
            self.least_ns = min(self.least_ns, sample_ns)
        self.backoff = 0
        wanted = self.smoothed_ns + max(LEAST_TIMEOUT_NS, 4 * self.variation_ns)
        self.timeout_ns = min(wanted, LARGEST_TIMEOUT_NS)

    def backed_off_ns(self) -> int:
        """The timeout, doubled for each expiration in a row."""
        return min(self.timeout_ns << min(self.backoff, 10), LARGEST_TIMEOUT_NS)
