"""The stack's counters, with the names in SNMP's tables (RFC 4293, RFC 4113, RFC 4022; /proc/net/snmp).

Each network has its own (`network.py`).

Context: any.
"""

from kernel.lang import final


@final
class IpCounters:
    """One instance for each version of IP."""

    def __init__(self) -> None:
        self.in_receives: int = 0
        self.in_header_errors: int = 0
        self.in_too_big_errors: int = 0
        self.in_no_routes: int = 0
        self.in_address_errors: int = 0
        self.in_unknown_protocols: int = 0
        self.in_truncated: int = 0
        self.in_discards: int = 0
        self.in_delivers: int = 0
        self.forwarded: int = 0
        self.out_requests: int = 0
        self.out_discards: int = 0
        self.out_no_routes: int = 0
        self.out_transmits: int = 0
        self.reassembly_timeouts: int = 0
        self.reassembly_required: int = 0
        self.reassembly_oks: int = 0
        self.reassembly_fails: int = 0
        self.fragment_oks: int = 0
        self.fragment_fails: int = 0
        self.fragment_creates: int = 0
        self.in_multicast: int = 0
        self.out_multicast: int = 0
        self.in_broadcast: int = 0
        self.out_broadcast: int = 0
        self.in_bytes: int = 0
        self.out_bytes: int = 0
        self.in_checksum_errors: int = 0


@final
class IcmpCounters:
    """ICMP or ICMPv6; also by message type."""

    def __init__(self) -> None:
        self.in_messages: int = 0
        self.in_errors: int = 0
        self.in_checksum_errors: int = 0
        self.out_messages: int = 0
        self.out_errors: int = 0
        self.out_rate_limited: int = 0
        self.in_types: list[int] = [0] * 256
        self.out_types: list[int] = [0] * 256


@final
class UdpCounters:
    """UDP over one version of IP."""

    def __init__(self) -> None:
        self.in_datagrams: int = 0
        self.no_ports: int = 0
        self.in_errors: int = 0
        self.out_datagrams: int = 0
        self.receive_buffer_errors: int = 0
        self.send_buffer_errors: int = 0
        self.in_checksum_errors: int = 0
        self.ignored_multicast: int = 0
        self.memory_errors: int = 0


@final
class Event:
    """A rare event that TCP counts, with its name in /proc/net/netstat."""

    def __init__(self, name: bytes) -> None:
        self.name: bytes = name
        self.count: int = 0


@final
class TcpEvents:
    """Events counted where they happen (RFC 2012 has no such counters; the names are Linux's)."""

    def __init__(self) -> None:
        self.cookies_sent: Event = Event(b"SyncookiesSent")
        self.cookies_received: Event = Event(b"SyncookiesRecv")
        self.embryonic_resets: Event = Event(b"EmbryonicRsts")
        self.out_of_window_icmps: Event = Event(b"OutOfWindowIcmps")
        self.time_waits: Event = Event(b"TW")
        self.old_timestamps: Event = Event(b"PAWSEstab")
        self.delayed_acks: Event = Event(b"DelayedACKs")
        self.listen_overflows: Event = Event(b"ListenOverflows")
        self.listen_drops: Event = Event(b"ListenDrops")
        self.reno_recoveries: Event = Event(b"TCPRenoRecovery")
        self.sack_recoveries: Event = Event(b"TCPSackRecovery")
        self.timeouts: Event = Event(b"TCPTimeouts")
        self.loss_probes: Event = Event(b"TCPLossProbes")
        self.aborts_on_data: Event = Event(b"TCPAbortOnData")
        self.aborts_on_close: Event = Event(b"TCPAbortOnClose")
        self.aborts_on_memory: Event = Event(b"TCPAbortOnMemory")
        self.aborts_on_timeout: Event = Event(b"TCPAbortOnTimeout")
        self.aborts_on_linger: Event = Event(b"TCPAbortOnLinger")
        self.full_queues_cookies: Event = Event(b"TCPReqQFullDoCookies")
        self.full_queues_drops: Event = Event(b"TCPReqQFullDrop")
        self.marks_received: Event = Event(b"TCPDeliveredCE")
        self.challenges: Event = Event(b"TCPChallengeACK")
        self.least_ttl_drops: Event = Event(b"TCPMinTTLDrop")
        self.keepalives: Event = Event(b"TCPKeepAlive")

    def all(self) -> list[Event]:
        """All events in the order of their lines. Raises MemoryError."""
        return [
            self.cookies_sent,
            self.cookies_received,
            self.embryonic_resets,
            self.out_of_window_icmps,
            self.time_waits,
            self.old_timestamps,
            self.delayed_acks,
            self.listen_overflows,
            self.listen_drops,
            self.reno_recoveries,
            self.sack_recoveries,
            self.timeouts,
            self.loss_probes,
            self.aborts_on_data,
            self.aborts_on_close,
            self.aborts_on_memory,
            self.aborts_on_timeout,
            self.aborts_on_linger,
            self.full_queues_cookies,
            self.full_queues_drops,
            self.marks_received,
            self.challenges,
            self.least_ttl_drops,
            self.keepalives,
        ]


@final
class TcpCounters:
    """TCP, over both versions."""

    def __init__(self) -> None:
        self.active_opens: int = 0
        self.passive_opens: int = 0
        self.attempt_fails: int = 0
        self.established_resets: int = 0
        self.in_segments: int = 0
        self.out_segments: int = 0
        self.retransmitted_segments: int = 0
        self.in_errors: int = 0
        self.out_resets: int = 0
        self.in_checksum_errors: int = 0
