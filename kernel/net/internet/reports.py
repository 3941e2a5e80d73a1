"""What routers have reported about single destinations, for a while: base classes of path_mtu.py and redirects.py.

A table is bounded: one who forges reports can make us forget, and no more.

Context: thread context; nothing sleeps.
"""

from typing import Final

from kernel.net.link.network import Ways
from kernel.net.link.part import Part

_LIMIT: Final = 1024


class Report:
    """One report, which is believed until a time of the monotonic clock."""

    def __init__(self, expires_ns: int) -> None:
        self.expires_ns: int = expires_ns


class ReportTable(Part):
    """Reports by destination; the timer forgets old ones. Changes make next hops out of date."""

    def __init__(self, ways: Ways, lifetime_ns: int) -> None:
        super().__init__()
        self.ways: Ways = ways
        self.lifetime_ns: int = lifetime_ns
        self.reports: dict[bytes, Report] = {}

    def note(self, destination: bytes, report: Report, now_ns: int) -> None:
        """Keep a report, new or renewed, from now on. May raise MemoryError."""
        report.expires_ns = now_ns + self.lifetime_ns
        if destination not in self.reports:
            if len(self.reports) >= _LIMIT:
                self.reports.clear()
        self.reports[destination] = report
        if not self.is_armed():
            self.start(report.expires_ns)
        self.ways.generation += 1

    def expire(self, now_ns: int) -> None:
        next_ns = now_ns + self.lifetime_ns
        old: list[bytes] = []
        for destination, report in self.reports.items():
            if report.expires_ns <= now_ns:
                old.append(destination)
            else:
                next_ns = min(next_ns, report.expires_ns)
        for destination in old:
            del self.reports[destination]
        self.ways.generation += 1
        if len(self.reports) > 0:
            self.start(next_ns)

    def end(self) -> None:
        super().end()
        self.reports.clear()
