"""/proc/net/tcp and /proc/net/tcp6 in Linux's format (proc(5)).

Times are clock ticks of 10 ms. Kernel addresses are shown as zeros.

Context: system calls.
"""

from typing import Final

from kernel.fs.file import File
from kernel.lang import final
from kernel.lib.credentials import uid_for_caller
from kernel.lib.order import Walk
from kernel.lib.pace import pace, spend
from kernel.lib.proc_files import TextPieces, proc_pieces
from kernel.net.link.network import Network, shown_network
from kernel.net.proc.tables import hex4, hex6, padded
from kernel.net.sockets.socket import AF_INET, AF_INET6
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.connection import FOREVER, Connection, State
from kernel.net.tcp.cubic import UNLIMITED
from kernel.net.tcp.index import BucketWalk
from kernel.net.tcp.information import TIMER_TIME_WAIT, pending_timer
from kernel.net.tcp.table import TABLE, Listener, PortTimeWait
from kernel.net.tcp.time_wait import TimeWait
from kernel.time import monotonic_ns

_WIDTH: Final = 149
_NS_PER_TICK: Final = 10_000_000
_WORD: Final = 0xFFFF_FFFF
_LINE_COST: Final = 5000  # instructions
_LOOK_COST: Final = 50
_NO_LISTENERS: Final[list[Listener]] = []


def _ends(family: int, local: bytes, local_port: int, remote: bytes, remote_port: int) -> bytes:
    near = hex4(local) if family == AF_INET else hex6(local)
    far = hex4(remote) if family == AF_INET else hex6(remote)
    return near + f":{local_port:04X} ".encode() + far + f":{remote_port:04X} ".encode()


def _listener_line(listener: Listener) -> bytes:
    binding = listener.hold.binding
    file = listener.file
    uid = 0 if file is None else uid_for_caller(file.inode.uid)
    ino = 0 if file is None else file.inode.ino
    return _ends(listener.family, binding.address, binding.port, b"", 0) + (
        f"0A {0:08X}:{len(listener.ready):08X} 00:{0:08X} {0:08X} {uid:5} {0:8} {ino} 1 0000000000000000 100 0 0 10 0"
    ).encode()


def _channel_line(channel: Channel, c: Connection, now_ns: int) -> bytes:
    file: File | None = channel.file
    uid = 0 if file is None else uid_for_caller(file.inode.uid)
    ino = 0 if file is None else file.inode.ino
    timer, deadline_ns = pending_timer(c)
    wait = 0 if deadline_ns == FOREVER else _ticks(deadline_ns - now_ns)
    unsent = 0 if c.state == State.SYN_SENT else min(max(0, c.send_end() - c.sender.una), _WORD)
    head = _ends(channel.family, c.local, c.local_port, c.remote, c.remote_port)
    state = c.state.value
    if state == State.SYN_RECEIVED.value:
        return head + (
            f"03 {0:08X}:{0:08X} 01:{wait:08X} {c.timers.retries:08X} {uid:5} {0:8} 0 0 0000000000000000"
        ).encode()
    threshold = -1 if c.congestion.threshold >= UNLIMITED else c.congestion.threshold // c.sizes.mss
    mode = (2 if c.receiver.quick_acks > 0 else 0) | (1 if c.receiver.is_ping_pong else 0)
    window = c.congestion.window // c.sizes.mss
    tail = f" 1 0000000000000000 {_ticks(c.round_trip.backed_off_ns())} 4 {mode} {window} {threshold}"
    return head + (
        f"{state:02X} {unsent:08X}:{c.receive.bytes & _WORD:08X} {timer:02X}:{wait:08X} {c.timers.retries:08X} {uid:5}"
        f" {c.timers.probes:8} {ino}"
    ).encode() + tail.encode()


def _ticks(duration_ns: int) -> int:
    return max(0, min(duration_ns // _NS_PER_TICK, _WORD))


def _wait_line(family: int, wait: TimeWait, now_ns: int) -> bytes:
    return _ends(family, wait.local, wait.local_port, wait.remote, wait.remote_port) + (
        f"06 {0:08X}:{0:08X} {TIMER_TIME_WAIT:02X}:{_ticks(wait.deadline_ns - now_ns):08X} {0:08X} {0:5} {0:8} 0 3"
        " 0000000000000000"
    ).encode()


HEAD4: Final = padded(
    b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", _WIDTH
)
HEAD6: Final = (
    b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr"
    b" tm->when retrnsmt   uid  timeout inode\n"
)


@final
class _Lines(TextPieces):
    """Listeners, connections, and connections past their end, of one family: those of a port or a bucket at a time."""

    def __init__(self, family: int) -> None:
        self.family: int = family
        self.network: Network = shown_network()
        self.number: int = 0  # of the next line
        self.ports: list[int] = TABLE.listened_ports(self.network)
        self.connections: BucketWalk = BucketWalk(TABLE.connections)
        self.waits: Walk[PortTimeWait] | None = None  # once it has come to these
        self.at: int = -1  # -1: the heading; then all ports, all connections, all waits

    def next(self) -> bytes | None:
        at = self.at
        self.at += 1
        if at < 0:
            return HEAD4 if self.family == AF_INET else HEAD6
        if at < len(self.ports):
            return self._listeners(self.ports[at])
        if self.waits is None:
            channels = self.connections.next()
            if channels is not None:
                return self._channels(channels)
            self.waits = Walk(TABLE.wait_queue)
        wait = self.waits.next()
        return None if wait is None else self._wait(wait)

    def _listeners(self, port: int) -> bytes:
        """Those that share a port, which may be very many. Sleeps then: some may be gone afterwards."""
        text = bytearray()
        for listener in TABLE.listeners.get(port, _NO_LISTENERS)[:]:
            if not listener.is_closed and listener.family == self.family and listener.network is self.network:
                text.extend(self._numbered(_listener_line(listener)))
            pace(_LOOK_COST)
        return bytes(text)

    def _channels(self, channels: list[Channel]) -> bytes:
        text = b""
        for channel in channels:
            c = channel.connection
            if c is not None and channel.family == self.family and channel.network is self.network:
                text += self._numbered(_channel_line(channel, c, monotonic_ns()))
        return text

    def _wait(self, wait: TimeWait) -> bytes:
        if wait.family != self.family or wait.network is not self.network:
            return b""
        return self._numbered(_wait_line(self.family, wait, monotonic_ns()))

    def _numbered(self, line: bytes) -> bytes:
        number = self.number
        self.number += 1
        spend(_LINE_COST)
        whole = f"{number:4}: ".encode() + line
        return padded(whole, _WIDTH) if self.family == AF_INET else whole + b"\n"


@proc_pieces("net/tcp")
def tcp4() -> TextPieces:
    """/proc/net/tcp."""
    return _Lines(AF_INET)


@proc_pieces("net/tcp6")
def tcp6() -> TextPieces:
    """/proc/net/tcp6."""
    return _Lines(AF_INET6)
