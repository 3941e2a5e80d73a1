"""/proc/net/tcp and /proc/net/tcp6 in Linux's format (proc(5)).

Times are clock ticks of 10 ms. Kernel addresses are shown as zeros.

Context: system calls; nothing sleeps.
"""

from typing import Final

from kernel.fs.file import File
from kernel.net.internet.sysctl import register_table
from kernel.net.proc.tables import hex4, hex6, padded
from kernel.net.sockets.socket import AF_INET, AF_INET6
from kernel.net.tcp.channel import Channel
from kernel.net.tcp.connection import FOREVER, Connection, State
from kernel.net.tcp.cubic import UNLIMITED
from kernel.net.tcp.information import TIMER_TIME_WAIT, pending_timer
from kernel.net.tcp.table import TABLE, Listener
from kernel.net.tcp.time_wait import TimeWait
from kernel.time import monotonic_ns

_WIDTH: Final = 149
_NS_PER_TICK: Final = 10_000_000
_WORD: Final = 0xFFFF_FFFF


def _ends(family: int, local: bytes, local_port: int, remote: bytes, remote_port: int) -> bytes:
    near = hex4(local) if family == AF_INET else hex6(local)
    far = hex4(remote) if family == AF_INET else hex6(remote)
    return near + f":{local_port:04X} ".encode() + far + f":{remote_port:04X} ".encode()


def _listener_line(listener: Listener) -> bytes:
    binding = listener.hold.binding
    file = listener.file
    uid = 0 if file is None else file.inode.uid
    ino = 0 if file is None else file.inode.ino
    return _ends(listener.family, binding.address, binding.port, b"", 0) + (
        f"0A {0:08X}:{len(listener.ready):08X} 00:{0:08X} {0:08X} {uid:5} {0:8} {ino} 1 0000000000000000 100 0 0 10 0"
    ).encode()


def _channel_line(channel: Channel, c: Connection, now_ns: int) -> bytes:
    file: File | None = channel.file
    uid = 0 if file is None else file.inode.uid
    ino = 0 if file is None else file.inode.ino
    timer, deadline_ns = pending_timer(c)
    wait = 0 if deadline_ns == FOREVER else _ticks(deadline_ns - now_ns)
    unsent = 0 if c.state == State.SYN_SENT else min(max(0, c.send_end() - c.snd_una), _WORD)
    head = _ends(channel.family, c.local, c.local_port, c.remote, c.remote_port)
    state = c.state.value
    if state == State.SYN_RECEIVED.value:
        return head + (
            f"03 {0:08X}:{0:08X} 01:{wait:08X} {c.retries:08X} {uid:5} {0:8} 0 0 0000000000000000"
        ).encode()
    threshold = -1 if c.congestion.threshold >= UNLIMITED else c.congestion.threshold // c.mss
    mode = (2 if c.quick_acks > 0 else 0) | (1 if c.is_ping_pong else 0)
    window = c.congestion.window // c.mss
    tail = f" 1 0000000000000000 {_ticks(c.round_trip.backed_off_ns())} 4 {mode} {window} {threshold}"
    return head + (
        f"{state:02X} {unsent:08X}:{c.receive.bytes & _WORD:08X} {timer:02X}:{wait:08X} {c.retries:08X} {uid:5}"
        f" {c.probes:8} {ino}"
    ).encode() + tail.encode()


def _ticks(duration_ns: int) -> int:
    return max(0, min(duration_ns // _NS_PER_TICK, _WORD))


def _wait_line(family: int, wait: TimeWait, now_ns: int) -> bytes:
    return _ends(family, wait.local, wait.local_port, wait.remote, wait.remote_port) + (
        f"06 {0:08X}:{0:08X} {TIMER_TIME_WAIT:02X}:{_ticks(wait.deadline_ns - now_ns):08X} {0:08X} {0:5} {0:8} 0 3"
        " 0000000000000000"
    ).encode()


def _lines(family: int) -> list[bytes]:
    now_ns = monotonic_ns()
    lines: list[bytes] = []
    for port in TABLE.listeners.keys():
        for listener in TABLE.listeners[port]:
            if listener.family == family:
                lines.append(_listener_line(listener))
    for first in TABLE.buckets:
        channel = first
        while channel is not None:
            c = channel.connection
            if c is not None and channel.family == family:
                lines.append(_channel_line(channel, c, now_ns))
            channel = channel.next_in_table
    for wait in TABLE.wait_queue:
        if wait.is_listed and wait.family == family:
            lines.append(_wait_line(family, wait, now_ns))
    return lines


def tcp4() -> bytes:
    """/proc/net/tcp."""
    text = bytearray(
        padded(
            b"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode", _WIDTH
        )
    )
    number = 0
    for line in _lines(AF_INET):
        text.extend(padded(f"{number:4}: ".encode() + line, _WIDTH))
        number += 1
    return bytes(text)


def tcp6() -> bytes:
    """/proc/net/tcp6."""
    text = bytearray(
        b"  sl  local_address                         remote_address                        st tx_queue rx_queue tr"
        b" tm->when retrnsmt   uid  timeout inode\n"
    )
    number = 0
    for line in _lines(AF_INET6):
        text.extend(f"{number:4}: ".encode() + line + b"\n")
        number += 1
    return bytes(text)


register_table(b"tcp", tcp4)
register_table(b"tcp6", tcp6)
