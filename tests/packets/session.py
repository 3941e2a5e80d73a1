"""A running kernel on the wire, and the session in which a scenario talks to it.

A `Boot` is one booted machine. It opens a `Session` for each scenario, with an address of its own in the peers'
network: nothing of an earlier scenario can reach it. All that happens is written into the session's transcript, line by
line:

    > S seq 0 <mss 1460>                 the peer has sent it
    < SA seq 0 ack 1 <mss 1460>          the guest has sent it
    $ accept 0: 0                        a call of the guest's program, and its result

Nothing waits for a fixed time. To know that the guest has dealt with a packet, the session sends a ping after it: the
guest answers in order, so whatever comes before the reply is what the packet made it send.
"""

from __future__ import annotations

import errno
import itertools
import socket as constants
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import NoReturn

from scapy.layers.inet import ICMP, IP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw

from tests.harness import LINUX, Guest, GuestError, Kernel, compile_program
from tests.harness.guest import PATIENCE
from tests.harness.kernels import add_modules
from tests.packets.flow import Flow
from tests.packets.lateness import Lateness
from tests.packets.text import Numbers, data_text, packet_text
from tests.packets.wire import GUEST, GUEST6, GUEST_LINK, PEER_LINK, Frame, NotTakenError, Wire
from tools.cpio import Archive, extend
from tools.machine import Cable, Machine
from userland.image import build_image

AGENT = Path(__file__).parent / "agent.c"
START = f"""#!/bin/sh
ifconfig eth0 {GUEST} netmask 255.255.0.0 up
# Linux answers one by one only the first duplicates, and finds losses by the time that packets take (RACK), unless it
# is told otherwise. Both depend on how fast the host is, and Krait does neither.
for setting in tcp_comp_sack_nr tcp_recovery; do
	[ -e /proc/sys/net/ipv4/$setting ] && echo 0 >/proc/sys/net/ipv4/$setting
done
# What a scenario leaves unfinished does not end, and is not counted, in another one.
echo 86400 >/proc/sys/net/ipv4/ipfrag_time
echo 86400 >/proc/sys/net/ipv6/ip6frag_time
ip -6 addr add {GUEST6}/64 dev eth0
while ip -6 addr show dev eth0 | grep -q tentative; do sleep 0.1; done
exec /packets/agent
"""
BARRIER = 0xBA44  # the identification of the pings
FIRST_PEER = int(IPv4Address("10.9.1.1"))
FIRST_PORT = 2000
PEER_START = 0x1234_5678  # the peer's initial sequence number
PEER_PORT = 40000
BOOT_SECONDS = 30.0
ANSWER_SECONDS = 10.0
ALL_SLOTS = 4096  # the agent's
SLOTS = 64  # for one scenario
MEMORY = "1G"  # with less, Linux limits TCP's buffers, and so the window scale that it offers
TIMES = (0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4)  # seconds: the classes of how long the guest took


class Turn:
    """A lock that is given in the order of asking: scenarios that are run at the same time act one after the other,
    and let others act while they wait. So what a scenario measures is the guest's time, not that of its neighbours.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0
        self._served = 0

    def take(self) -> None:
        with self._changed:
            mine = self._next
            self._next += 1
            self._changed.wait_for(lambda: self._served == mine)

    def give(self) -> None:
        with self._changed:
            self._served += 1
            self._changed.notify_all()


class Boot:
    """A booted kernel with the agent in it. Use it in a `with` statement."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self._scratch = tempfile.TemporaryDirectory(prefix="krait-packets-")
        directory = Path(self._scratch.name)
        self.wire = Wire(directory)
        overlay = Archive()
        if kernel is LINUX:
            # A transmission is over at once, so that what TCP may send does not wait for interrupts (small queues).
            add_modules(overlay, {"virtio_net": "napi_tx=0"})
        overlay.file("packets/agent", compile_program(AGENT).read_bytes(), 0o755)
        overlay.file("krait-run", START.encode(), 0o755)
        initrd = directory / "initrd"
        initrd.write_bytes(extend(build_image().read_bytes(), overlay))
        machine = Machine(memory=MEMORY, network=Cable(self.wire.guest_path, self.wire.host_path))
        self.guest = Guest(kernel.boot(initrd, "quiet loglevel=1"), machine)
        self._count = itertools.count(1)
        self.turn = Turn()

    def __enter__(self) -> Boot:
        self.guest.expect(r"^@agent@\r?\n", BOOT_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.guest.stop()
        finally:
            self.wire.__exit__(None, None, None)
            self._scratch.cleanup()

    def ask(self, command: str) -> tuple[int, int, str]:
        """Let the guest's program make a call: its result, errno, and what it gave."""
        self.guest.send(command + "\n")
        answer = self.guest.expect(rb"@answer@ (-?\d+) (\d+) ([^\r\n]*)\r?\n", ANSWER_SECONDS)
        return int(answer[1]), int(answer[2]), answer[3].decode()

    def fail(self, message: str) -> NoReturn:
        """The guest is silent: say what it does instead. Raises GuestError."""
        try:
            state = self.guest.state()
        except Exception as error:  # whatever the monitor is up to, the message comes first
            state = f"QEMU's monitor gives no answer: {error!r}"
        self.guest.fail(f"{message}\n{state}")

    def session(self) -> Session:
        """The next scenario's. Several may be run at the same time, in threads."""
        return Session(self, next(self._count))


class Session:
    """What a scenario does and sees. Use it in a `with` statement: at its end the guest's sockets are closed, and what
    was set is as before.
    """

    def __init__(self, boot: Boot, number: int) -> None:
        self.boot = boot
        self.address = str(IPv4Address(FIRST_PEER + number))
        self.port = FIRST_PORT + number  # of the guest, for this scenario alone
        self.transcript: list[str] = []
        self.numbers = Numbers()  # of what belongs to no flow
        self.flows: list[Flow] = []
        self._inbox = boot.wire.inbox(self.address)
        self._listened: list[str] = [self.address]
        self._pings = 0
        self._first_slot = number * SLOTS % ALL_SLOTS
        self._sockets: list[int] = []
        self._settings: list[tuple[str, str]] = []
        self.lateness = Lateness()

    def __enter__(self) -> Session:
        self.boot.turn.take()
        try:
            self.barrier()  # the guest learns the peer's link address, too
        except BaseException:
            self.boot.turn.give()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if not isinstance(error, GuestError):
                for slot in self._sockets:
                    self.boot.ask(f"drop {slot}")
                for path, value in reversed(self._settings):
                    self.boot.ask(f"putfile {path} {value.encode().hex()}")
            for address in self._listened:
                self.boot.wire.forget(address)
        finally:
            self.boot.turn.give()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        """Others may act meanwhile."""
        self.boot.turn.give()
        try:
            yield
        finally:
            self.boot.turn.take()
            self.lateness.resume(time.monotonic())

    def _act(self) -> None:
        self.lateness.act(time.monotonic())

    def ask(self, command: str) -> tuple[int, int, str]:
        """Let the guest's program make a call, as `Boot.ask`."""
        self._act()
        answer = self.boot.ask(command)
        self._act()
        return answer

    def say(self, line: str) -> None:
        """Write a line into the transcript."""
        self.transcript.append(line)

    def listen_to(self, address: str) -> None:
        """See what the guest sends to another address as well: to a group, say."""
        self.boot.wire.share(address, self._inbox)
        self._listened.append(address)

    # ---- The wire ---------------------------------------------------------------------------------------------

    def send(self, packet: Packet, told: str) -> None:
        """Send an IP packet; a line of the transcript tells of it. Nothing is waited for."""
        if told:
            self.say(f"> {told}")
        self.send_frame(Ether(src=PEER_LINK, dst=GUEST_LINK) / packet)

    def send_frame(self, frame: Packet) -> None:
        """Send an Ethernet frame. Nothing is recorded."""
        data = bytes(frame)
        self._act()
        try:
            self.boot.wire.send(data)
        except NotTakenError as error:
            self.boot.fail(str(error))

    def take(self, seconds: float) -> Frame | None:
        """The oldest frame from the guest that was not looked at yet, waited for; nothing is recorded."""
        with self._waiting():
            frame = self._inbox.take(seconds * PATIENCE)
        if frame is not None:
            self.lateness.note(time.monotonic() - frame.seconds)
        return frame

    def barrier(self) -> list[Frame]:
        """What the guest has sent before it answered a ping: it has dealt with everything that was sent to it."""
        self._pings += 1
        ping = IP(src=self.address, dst=GUEST) / ICMP(id=BARRIER, seq=self._pings) / Raw(b"barrier")
        self.send_frame(Ether(src=PEER_LINK, dst=GUEST_LINK) / ping)
        frames: list[Frame] = []
        before = time.monotonic()
        deadline = before + ANSWER_SECONDS * PATIENCE
        while (frame := self._inbox.take(deadline - time.monotonic())) is not None:
            packet = frame.packet
            if ICMP in packet and packet[ICMP].type == 0 and packet[ICMP].id == BARRIER:
                if packet[ICMP].seq == self._pings:
                    self._act()
                    return frames
            else:
                frames.append(frame)
        self.boot.fail(f"{self.address}: the guest does not answer pings")

    def answers(self) -> list[Packet]:
        """Tell, and return, what the guest has sent up to now."""
        packets = [frame.packet for frame in self.barrier()]
        for packet in packets:
            self.tell(packet)
        return packets

    def barrier_quietly(self, flow: Flow) -> None:
        """A barrier; what the guest has sent is noted by the flow, and not told: its numbers are its own choice."""
        for frame in self.barrier():
            if flow.owns(frame.packet):
                flow.note(frame.packet)

    def tell(self, packet: Packet, when: str = "") -> None:
        """Write down a packet from the guest; the flow that it belongs to takes note of it."""
        for flow in self.flows:
            if flow.owns(packet):
                self.say(f"< {flow.label}{packet_text(packet, flow.numbers)}{when}")
                flow.note(packet)
                return
        self.say(f"< {packet_text(packet, self.numbers)}{when}")

    def wait(self, count: int = 1, seconds: float = 2.0, *, timed: bool = False, alone: bool = False) -> list[Packet]:
        """Wait until the guest has sent `count` packets by itself; fewer if it does not within `seconds` each. If
        `timed`, the time that each took is recorded, by class. If `alone`, no other scenario may act meanwhile: what
        the peer does next must not be late.
        """
        packets = []
        before = time.monotonic()
        for _ in range(count):
            with nullcontext() if alone else self._waiting():
                frame = self._inbox.take(seconds * PATIENCE)
            if frame is None:
                self.say("< nothing more")
                break
            self.lateness.note(time.monotonic() - max(before, frame.seconds))
            self.tell(frame.packet, f" after {time_class(frame.seconds - before):g} s" if timed else "")
            before = frame.seconds
            packets.append(frame.packet)
        self.lateness.resume(time.monotonic())
        return packets

    def flow(
        self, name: str = "", *, port: int | None = None, peer_port: int = PEER_PORT, start: int = PEER_START
    ) -> Flow:
        """The peer's side of a TCP connection with the session's port, or another one."""
        flow = Flow(self, name, self.port if port is None else port, peer_port, start)
        self.flows.append(flow)
        return flow

    def wait_for(self, one: Socket, event: str, seconds: float = 2.0) -> None:
        """Wait until poll(2) of a socket says HUP, IN or another of its events; then tell all that it says."""
        deadline = time.monotonic() + seconds * PATIENCE
        while event not in one.events().split() and time.monotonic() < deadline:
            with self._waiting():
                time.sleep(0.02)
        one.poll()

    def pause(self, seconds: float) -> None:
        """Let time pass: for what takes a time of its own in the guest."""
        self.say(f"… {seconds:g} s")
        with self._waiting():
            time.sleep(seconds)

    def hesitate(self, seconds: float) -> None:
        """Let a short time pass that the guest measures; nobody else acts meanwhile."""
        self.say(f"… {seconds:g} s")
        self._act()
        time.sleep(seconds)
        self.lateness.resume(time.monotonic())

    # ---- The guest's program ------------------------------------------------------------------------------------

    def socket(self, family: int = constants.AF_INET, kind: int = constants.SOCK_STREAM, protocol: int = 0) -> Socket:
        """A new socket of the guest."""
        new = self._new_socket()
        result, code, _ = self.ask(f"socket {new.slot} {int(family)} {int(kind)} {protocol}")
        if result != 0:
            self.say(f"$ socket: {errno_name(code)}")
        return new

    def _new_socket(self) -> Socket:
        number = len(self._sockets)
        assert number < SLOTS, "too many sockets"
        self._sockets.append(self._first_slot + number)
        return Socket(self, number, self._first_slot + number)

    def listener(self, backlog: int = 8) -> Socket:
        """A socket that listens at the session's port."""
        listener = self.socket()
        listener.bind(GUEST, self.port)
        listener.listen(backlog)
        return listener

    def setting(self, name: str, value: str) -> None:
        """Set /proc/sys/NAME until the scenario ends."""
        path = f"/proc/sys/{name}"
        result, code, before = self.ask(f"getfile {path}")
        if result < 0:
            raise AssertionError(f"{path}: {errno_name(code)}")
        self._settings.append((path, bytes.fromhex(before).decode()))
        result, code, _ = self.boot.ask(f"putfile {path} {value.encode().hex()}")
        if result < 0:
            raise AssertionError(f"{path}: {errno_name(code)}")
        self.say(f"$ {name} = {value}")


class Socket:
    """A socket of the guest. Each method is a call, non-blocking, which the transcript tells with its result."""

    def __init__(self, session: Session, number: int, slot: int) -> None:
        self.session = session
        self.number = number  # in the transcript
        self.slot = slot  # in the agent

    def call(self, name: str, arguments: str = "", told: str = "", text: str | None = None) -> tuple[int, str]:
        """A call with this socket as its first argument: its result and what it gave. `text` stands for the result."""
        result, code, given = self.session.ask(f"{name} {self.slot} {arguments}".rstrip())
        shown = errno_name(code) if code != 0 else str(result) if text is None else text
        self.session.say(f"$ {name} {self.number}{' ' + told if told else ''}: {shown}")
        return result, given

    def bind(self, address: str, port: int) -> int:
        result, code, _ = self.session.ask(f"bind {self.slot} {address} {port}")
        if code != 0:
            self.session.say(f"$ bind {self.number}: {errno_name(code)}")
        return result

    def listen(self, backlog: int) -> int:
        return self.call("listen", str(backlog), f"backlog {backlog}")[0]

    def connect(self, port: int = PEER_PORT, address: str = "") -> int:
        return self.call("connect", f"{address or self.session.address} {port}", address)[0]

    def accept(self) -> Socket:
        """The accepted socket; whether there was one is in the transcript."""
        new = self.session._new_socket()
        self.call("accept", str(new.slot))
        return new

    def write(self, data: bytes | int, flags: int = 0) -> int:
        """send(2) bytes, or that many letters."""
        word = f"@{data}" if isinstance(data, int) else data.hex() or "-"
        told = f"{data} bytes" if isinstance(data, int) else repr(data.decode("latin-1"))
        return self.call("write", f"{word} {int(flags)}", told + (f" flags {int(flags):#x}" if flags else ""))[0]

    def read(self, count: int = 65536, flags: int = 0) -> bytes:
        """recv(2). Many bytes are recorded by their number and a hash."""
        result, code, given = self.session.ask(f"read {self.slot} {count} {int(flags)}")
        data = b""
        shown = errno_name(code) if code != 0 else str(result)
        if given.startswith("#"):
            shown += f" {given}"
        elif given:
            data = bytes.fromhex(given)
            shown = data_text(data).strip() if len(data) <= 24 else f"{result} {data.decode('latin-1')!r}"
        self.session.say(f"$ read {self.number}{f' flags {int(flags):#x}' if flags else ''}: {shown}")
        return data

    def quietly_read(self) -> int:
        """recv(2) of as much as there is, not told: its result."""
        return self.session.ask(f"read {self.slot} 65536 0")[0]

    def set(self, level: int, name: int, value: int | bytes, told: str) -> None:
        """setsockopt(2) of an int, or bytes; `told` names the option."""
        data = value if isinstance(value, bytes) else value.to_bytes(4, "little", signed=True)
        self.call("set", f"{int(level)} {int(name)} {data.hex()}", f"{told} {value if isinstance(value, int) else ''}")

    def get(self, level: int, name: int, told: str) -> int:
        """getsockopt(2) of an int."""
        result, code, given = self.session.ask(f"get {self.slot} {int(level)} {int(name)} 4")
        value = int.from_bytes(bytes.fromhex(given), "little", signed=True) if result == 0 else -1
        self.session.say(f"$ get {self.number} {told}: {errno_name(code) if code else value}")
        return value

    def error(self) -> None:
        """SO_ERROR, by name."""
        _, code, given = self.session.ask(
            f"get {self.slot} {constants.SOL_SOCKET} {constants.SO_ERROR} 4"
        )
        value = int.from_bytes(bytes.fromhex(given), "little") if given else code
        self.session.say(f"$ error {self.number}: {errno_name(value)}")

    def poll(self) -> None:
        """What poll(2) says is possible, by the names of its bits."""
        self.session.say(f"$ poll {self.number}: {self.events()}")

    def events(self) -> str:
        """The same, without a word in the transcript."""
        result, _, _ = self.session.ask(f"poll {self.slot}")
        names = {1: "IN", 2: "PRI", 4: "OUT", 8: "ERR", 16: "HUP", 32: "NVAL", 0x2000: "RDHUP"}
        return " ".join(name for bit, name in names.items() if result & bit) or "nothing"

    def state(self) -> None:
        """The state of a TCP connection, by TCP_INFO."""
        names = (
            "none", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
            "LAST_ACK", "LISTEN", "CLOSING",
        )
        _, code, given = self.session.ask(f"get {self.slot} {constants.IPPROTO_TCP} {constants.TCP_INFO} 1")
        self.session.say(f"$ state {self.number}: {names[int(given, 16)] if given else errno_name(code)}")

    def shutdown(self, how: int) -> None:
        self.call("shutdown", str(how), ("read", "write", "both")[how])

    def ioctl(self, request: int, told: str) -> int:
        """ioctl(2) that gives an int."""
        return self.call("ioctl", f"{request:#x}", told)[0]

    def close(self) -> None:
        self.call("close")

    def drop(self) -> None:
        """Close with a linger time of 0: by a reset, if there is a connection."""
        self.call("drop")


def errno_name(code: int) -> str:
    return errno.errorcode.get(code, str(code)) if code else "0"


def time_class(seconds: float) -> float:
    """The nearest of TIMES by ratio."""
    if seconds < 0.07:
        return 0.0
    return min(TIMES[1:], key=lambda each: max(each / seconds, seconds / each))
