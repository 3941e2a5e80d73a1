"""Resource use of threads, processes and ended children (getrusage(2), proc(5))."""

from kernel.lang import final


@final
class Usage:
    """Counters of resource use (getrusage(2)); times in nanoseconds."""

    def __init__(self) -> None:
        self.user_ns: int = 0
        self.system_ns: int = 0
        self.peak_pages: int = 0
        self.minor_faults: int = 0
        self.major_faults: int = 0
        self.voluntary_switches: int = 0
        self.involuntary_switches: int = 0
        # Files (proc(5), /proc/PID/io)
        self.read_calls: int = 0
        self.write_calls: int = 0
        self.read_bytes: int = 0
        self.written_bytes: int = 0
        self.disk_read_bytes: int = 0
        self.disk_written_bytes: int = 0
        self.cancelled_bytes: int = 0

    def add(self, other: "Usage") -> None:
        """Add another's use."""
        self.user_ns += other.user_ns
        self.system_ns += other.system_ns
        self.peak_pages = max(self.peak_pages, other.peak_pages)
        self.minor_faults += other.minor_faults
        self.major_faults += other.major_faults
        self.voluntary_switches += other.voluntary_switches
        self.involuntary_switches += other.involuntary_switches
        self.read_calls += other.read_calls
        self.write_calls += other.write_calls
        self.read_bytes += other.read_bytes
        self.written_bytes += other.written_bytes
        self.disk_read_bytes += other.disk_read_bytes
        self.disk_written_bytes += other.disk_written_bytes
        self.cancelled_bytes += other.cancelled_bytes
