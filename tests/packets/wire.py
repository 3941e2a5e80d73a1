"""The wire between a guest's card and the scenarios: frames as datagrams of a Unix socket.

A thread reads all the time. It answers whoever asks for link addresses (ARP, and neighbour solicitations of IPv6):
every address of the scenarios' networks is on this wire, at one link address. Everything else is put into the inbox of
the scenario whose address it is sent to.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path
from types import TracebackType

from scapy.config import conf
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: F401  (scapy learns a protocol when its module is loaded)
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    IPv6,
)
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from tests.harness.guest import PATIENCE

conf.verb = 0

GUEST_LINK = "52:54:00:12:34:56"  # QEMU's first card
PEER_LINK = "02:00:00:00:00:01"
NETWORK = ip_network("10.9.0.0/16")
NETWORK6 = ip_network("fd09::/64")
GUEST = "10.9.0.1"
GUEST6 = "fd09::1"
SEND_SECONDS = 60.0


@dataclass(frozen=True)
class Frame:
    """What came from the guest, and when: seconds of the monotonic clock."""

    packet: Packet
    seconds: float


class Inbox:
    """What the guest has sent to one address. `arrived` tells of news."""

    def __init__(self) -> None:
        self.frames: deque[Frame] = deque()
        self.arrived = threading.Condition()

    def put(self, frame: Frame) -> None:
        with self.arrived:
            self.frames.append(frame)
            self.arrived.notify_all()

    def take(self, seconds: float) -> Frame | None:
        """The oldest frame, waited for."""
        with self.arrived:
            self.arrived.wait_for(lambda: bool(self.frames), seconds)
            return self.frames.popleft() if self.frames else None


class NotTakenError(Exception):
    """QEMU has not read a frame in time: the guest gives its card no more buffers."""


class Wire:
    """The host's end. Use it in a `with` statement."""

    def __init__(self, directory: Path) -> None:
        self.guest_path = directory / "guest.socket"
        self.host_path = directory / "host.socket"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(str(self.host_path))
        self.limit(SEND_SECONDS * PATIENCE)
        self._inboxes: dict[str, Inbox] = {}
        self._silent: set[str] = set()
        self._closing = False
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def __enter__(self) -> Wire:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(timeout=5)
        self._socket.close()

    def inbox(self, address: str) -> Inbox:
        """Where what is sent to the IP address goes from now on; made new."""
        inbox = Inbox()
        self._inboxes[address] = inbox
        return inbox

    def share(self, address: str, inbox: Inbox) -> None:
        """What is sent to the IP address goes to this inbox, too."""
        self._inboxes[address] = inbox

    def forget(self, address: str) -> None:
        """Drop what is sent to the address."""
        self._inboxes.pop(address, None)

    def be_silent(self, address: str, silent: bool) -> None:
        """Whether nobody answers when the guest asks for the address's link address."""
        (self._silent.add if silent else self._silent.discard)(address)

    def limit(self, seconds: float) -> None:
        """How long `send` waits at the most."""
        self._seconds = seconds
        time_limit = struct.pack("@ll", int(seconds), int(seconds % 1 * 1_000_000))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, time_limit)

    def send(self, frame: bytes) -> None:
        """Put a frame on the wire to the guest. Raises NotTakenError."""
        try:
            self._socket.sendto(frame, str(self.guest_path))
        except BlockingIOError as error:
            raise NotTakenError(f"the guest's card took no frame for {self._seconds:g} s") from error

    def _read(self) -> None:
        while not self._closing:
            try:
                data = self._socket.recv(65536)
            except OSError:
                return
            if data:
                self._receive(Frame(Ether(data), time.monotonic()))

    def _receive(self, frame: Frame) -> None:
        packet = frame.packet
        if ARP in packet:
            self._answer_arp(packet[ARP])
        elif ICMPv6ND_NS in packet:
            self._answer_solicitation(packet)
        for layer in (IP, IPv6, ARP):
            if layer in packet:
                inbox = self._inboxes.get(packet[layer].pdst if layer is ARP else packet[layer].dst)
                if inbox is not None:
                    inbox.put(frame)
                return

    def _answer_arp(self, question: Packet) -> None:
        if question.op == 1 and self._is_ours(question.pdst, question.psrc):
            answer = ARP(
                op=2, hwsrc=PEER_LINK, psrc=question.pdst, hwdst=question.hwsrc, pdst=question.psrc,
            )
            self.send(bytes(Ether(src=PEER_LINK, dst=question.hwsrc) / answer))

    def _answer_solicitation(self, packet: Packet) -> None:
        target = packet[ICMPv6ND_NS].tgt
        asker = packet[IPv6].src
        if not IPv6Address(asker).is_unspecified and self._is_ours(target, asker):
            answer = (
                IPv6(src=target, dst=asker, hlim=255)
                / ICMPv6ND_NA(tgt=target, R=0, S=1, O=1)
                / ICMPv6NDOptDstLLAddr(lladdr=PEER_LINK)
            )
            self.send(bytes(Ether(src=PEER_LINK, dst=GUEST_LINK) / answer))

    def _is_ours(self, address: str, asker: str) -> bool:
        parsed = ip_address(address)
        near = parsed in NETWORK or parsed in NETWORK6
        return near and address not in (GUEST, GUEST6, asker) and address not in self._silent
