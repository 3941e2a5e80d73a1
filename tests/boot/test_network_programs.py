"""Busybox's network programs against real peers: QEMU's user network, servers on the host, servers in the guest."""

from __future__ import annotations

import http.server
import re
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.boot.network import HOST, forwards, host_ports, networked
from tests.harness import Guest, Kernel
from tests.harness.guest import PATIENCE
from tools.machine import Machine, Network

pytestmark = pytest.mark.timeout(int(200 * PATIENCE))

WAIT = 20 * PATIENCE
NAME = "www.krait.test"
LATER = 20 * 365 * 86_400  # seconds: what the clock of the time server is ahead
NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


@dataclass
class Programs:
    """A guest, and the host's port that leads to its telnet daemon."""

    guest: Guest
    telnet: int


@pytest.fixture(scope="module")
def programs(kernel: Kernel, root_image: Path) -> Iterator[Programs]:
    with networked(kernel, root_image, forwards(23)) as guest:
        deadline = time.monotonic() + WAIT
        while "fec0:" not in guest.check("ifconfig eth0"):  # by a router advertisement
            assert time.monotonic() < deadline
            time.sleep(0.5)
        yield Programs(guest, host_ports(guest, 23)[0])


@contextmanager
def datagram_server(answer: Callable[[bytes], bytes]) -> Iterator[int]:
    """A port of the host where each datagram is answered."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.2)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                try:
                    question, peer = server.recvfrom(2000)
                except TimeoutError:
                    continue
                server.sendto(answer(question), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(server.getsockname()[1])
        finally:
            is_over.set()
            thread.join()


def wait_for_ports(*ports: int) -> str:
    """A command that waits until somebody is bound to each of these ports of the guest."""
    return "; ".join(f"until netstat -tuln | grep -q ':{port} '; do sleep 0.1; done" for port in ports)


# ---- Interfaces, routes, neighbours ---------------------------------------------------------------------------


def test_ip_tells_what_there_is(programs: Programs) -> None:
    check = programs.guest.check
    check(f"ping -c 1 {HOST}")
    assert re.search(r"\d+: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500", check("ip link"))
    assert "inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0" in check("ip addr show dev eth0")
    routes = check("ip route")
    assert "default via 10.0.2.2 dev eth0" in routes
    assert "10.0.2.0/24 dev eth0" in routes
    assert re.search(rf"{HOST} dev eth0 lladdr 52:55:0a:00:02:02 .*(REACHABLE|STALE|DELAY)", check("ip neigh"))
    assert "lookup main" in check("ip rule")


def test_ifconfig_and_route(programs: Programs) -> None:
    check = programs.guest.check
    assert re.search(r"RX packets:[1-9]", check("ifconfig eth0"))
    check("ifconfig eth0:1 10.0.9.1 netmask 255.255.255.0")
    check("route add -net 10.77.0.0 netmask 255.255.0.0 gw 10.0.9.9")
    assert re.search(r"10\.77\.0\.0 +10\.0\.9\.9 +255\.255\.0\.0 +UG .* eth0", check("route -n"))
    check("route del -net 10.77.0.0 netmask 255.255.0.0")
    check("ifconfig eth0:1 down")
    assert "10.0.9.1" not in check("ip addr")
    check("arp -s 10.0.2.77 02:00:00:00:00:77")
    assert re.search(r"\(10\.0\.2\.77\) at 02:00:00:00:00:77 \[ether\] +PERM on eth0", check("arp -an"))
    check("arp -d 10.0.2.77")


def test_netstat(programs: Programs) -> None:
    check = programs.guest.check
    # What a killed one says would come after the next prompt, or before it.
    check("(nc -l -p 4444 </dev/null 2>/dev/null & nc -u -l -p 4445 </dev/null 2>/dev/null &)")
    check(wait_for_ports(4444, 4445))
    sockets = check("netstat -an")
    assert re.search(r"tcp +0 +0 \S+:4444 +\S+:\* +LISTEN", sockets)
    assert re.search(r"udp +0 +0 \S+:4445 ", sockets)
    assert "Active UNIX domain sockets" in sockets
    check("killall nc")
    assert re.search(r"0\.0\.0\.0 +10\.0\.2\.2 +0\.0\.0\.0 +UG .* eth0", check("netstat -rn"))


# ---- Reaching hosts -------------------------------------------------------------------------------------------


def test_ping_and_arping(programs: Programs) -> None:
    check = programs.guest.check
    assert "2 packets transmitted, 2 packets received" in check(f"ping -c 2 -i 0.2 {HOST}")
    assert "1 packets transmitted, 1 packets received" in check("ping6 -c 1 fec0::2")
    assert "Unicast reply from 10.0.2.2 [52:55:0a:00:02:02]" in check(f"arping -c 1 -w 5 -I eth0 {HOST}")
    assert "0 packets received" in programs.guest.run("ping -c 1 -W 1 10.0.2.99")


def test_traceroute(programs: Programs) -> None:
    check = programs.guest.check
    assert re.search(rf"^ 1 +{re.escape(HOST)} ", check(f"traceroute -n -q 1 -w 2 -m 1 {HOST}"), re.MULTILINE)
    assert re.search(r"^ 1 +::1 ", check("traceroute6 -n -q 1 -w 2 ::1"), re.MULTILINE)


# ---- Names ------------------------------------------------------------------------------------------------------


def name_answer(question: bytes) -> bytes:
    """A DNS server that knows one name, at 10.0.2.2 (RFC 1035, section 4.1)."""
    end = question.index(b"\0", 12) + 5
    name = question[12 : end - 4]
    (kind,) = struct.unpack(">H", question[end - 4 : end - 2])
    wanted = b"".join(bytes([len(part)]) + part.encode() for part in NAME.split(".")) + b"\0"
    if name.lower() != wanted:
        return question[:2] + b"\x81\x83" + question[4:6] + bytes(6) + question[12:end]
    count = 1 if kind == 1 else 0
    record = b"\xc0\x0c\0\x01\0\x01\0\0\0\x3c\0\x04" + socket.inet_aton(HOST)
    return question[:2] + struct.pack(">5H", 0x8180, 1, count, 0, 0) + question[12:end] + record * count


def test_nslookup_asks_a_server(programs: Programs) -> None:
    guest = programs.guest
    with datagram_server(name_answer) as port:
        found = guest.check(f"nslookup -type=a {NAME} {HOST}:{port}", WAIT)
        assert re.search(rf"Name:\s+{re.escape(NAME)}\s+Address: {re.escape(HOST)}", found)
        assert "NXDOMAIN" in guest.run(f"nslookup -type=a other.krait.test {HOST}:{port}", WAIT)


@contextmanager
def web_server(body: bytes) -> Iterator[int]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Tests print nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_programs_resolve_names(programs: Programs) -> None:
    """Through /etc/resolv.conf. Its server hands the questions on to the host, where port 53 is somebody else's."""
    guest = programs.guest
    with datagram_server(name_answer) as names, web_server(b"found by its name\n") as web:
        guest.check(f"(udpsvd 127.0.0.1 53 timeout 5 nc -u {HOST} {names} 2>/dev/null &); {wait_for_ports(53)}")
        guest.check("cp /etc/resolv.conf /tmp/resolv.conf && echo nameserver 127.0.0.1 >/etc/resolv.conf")
        try:
            assert f"PING {NAME} ({HOST})" in guest.check(f"ping -c 1 {NAME}", WAIT)
            assert guest.check(f"wget -q -O - http://{NAME}:{web}/", WAIT) == "found by its name\n"
            assert re.search(rf"Name:\s+{re.escape(NAME)}", guest.check(f"nslookup -type=a {NAME}", WAIT))
            assert "bad address" in guest.run("ping -c 1 nowhere.krait.test", WAIT)
        finally:
            guest.check("cp /tmp/resolv.conf /etc/resolv.conf; killall udpsvd")


def test_the_host_name(programs: Programs) -> None:
    check = programs.guest.check
    before = check("hostname").strip()
    check("hostname another")
    assert check("hostname && uname -n") == "another\nanother\n"
    check(f"hostname {before}")


# ---- Configuration ----------------------------------------------------------------------------------------------


def test_udhcpc_configures_the_interface(programs: Programs) -> None:
    check = programs.guest.check
    check("rm /etc/resolv.conf; ifconfig eth0 0.0.0.0")
    assert "10.0.2.15" not in check("ip addr")
    assert "lease of 10.0.2.15 obtained" in check("udhcpc -i eth0 -n -q -t 5 -T 1 2>&1", WAIT)
    assert "nameserver 10.0.2.3" in check("cat /etc/resolv.conf")
    assert "default via 10.0.2.2 dev eth0" in check("ip route")


def test_ip_dhcp_names_the_servers(kernel: Kernel, root_image: Path) -> None:
    """With ip=dhcp on the command line the kernel is the client, and programs can resolve names all the same."""
    if kernel.name == "linux":
        pytest.skip("Debian's kernel has no client of its own")
    with Guest(kernel.boot(root_image, "quiet ip=dhcp"), Machine(network=Network())) as guest:
        guest.expect_prompt(60)
        assert "inet addr:10.0.2.15" in guest.check("ifconfig eth0")
        assert "nameserver 10.0.2.3" in guest.check("cat /etc/resolv.conf")
        assert "default via 10.0.2.2 dev eth0" in guest.check("ip route")


# ---- Sessions, files, time ----------------------------------------------------------------------------------


def read_until(connection: socket.socket, pattern: bytes) -> bytes:
    """What a telnet server sends, up to a pattern. Its offers of options are refused (RFC 854)."""
    text = b""
    deadline = time.monotonic() + WAIT
    while not re.search(pattern, text):
        assert time.monotonic() < deadline, text
        part = connection.recv(4096)
        assert part, text
        while (at := part.find(b"\xff")) >= 0:
            verb, option = part[at + 1], part[at + 2]
            if verb in (0xFB, 0xFD):
                connection.sendall(bytes([0xFF, 0xFE if verb == 0xFB else 0xFC, option]))
            part = part[:at] + part[at + 3 :]
        text += part
    return text


def test_a_session_by_telnet(programs: Programs) -> None:
    programs.guest.check(f"telnetd -p 23 -l /bin/sh; {wait_for_ports(23)}")
    try:
        with socket.create_connection(("127.0.0.1", programs.telnet), timeout=WAIT) as connection:
            read_until(connection, rb"# $")
            connection.sendall(b"echo $((6 * 7)) answers; tty\r\n")
            assert b"/dev/pts/" in read_until(connection, rb"\n42 answers[^#]*# $")
            connection.sendall(b"exit\r\n")
            while connection.recv(4096):
                pass
        # The prompt of the session must not be taken for that of the console.
        programs.guest.check(">/tmp/said")
        typed = "(echo 'echo $((7 * 8)) too'; until grep -q ^56 /tmp/said; do sleep 0.1; done)"
        said = programs.guest.check(f"{typed} | telnet 127.0.0.1 | tee /tmp/said | grep ^56", WAIT)
        assert "56 too" in said
    finally:
        programs.guest.check("killall telnetd")


def test_files_by_tftp_and_ftp(programs: Programs) -> None:
    guest = programs.guest
    guest.check("mkdir -p /tmp/files && seq 20000 >/tmp/files/numbers")
    guest.check("(udpsvd -E 127.0.0.1 69 tftpd -c /tmp/files & tcpsvd 127.0.0.1 21 ftpd -A -w /tmp/files &)")
    guest.check(wait_for_ports(69, 21))
    try:
        guest.check("cd /tmp && tftp -g -r numbers -l got 127.0.0.1 && cmp got files/numbers", WAIT)
        guest.check("cd /tmp && tftp -p -l got -r sent 127.0.0.1 && cmp got files/sent", WAIT)
        guest.check("cd /tmp && ftpget 127.0.0.1 fetched numbers && cmp fetched files/numbers", WAIT)
        guest.check("cd /tmp && ftpput 127.0.0.1 stored fetched && cmp fetched files/stored", WAIT)
    finally:
        guest.check("killall udpsvd tcpsvd; cd /")


def test_ntpd_sets_the_clock(programs: Programs) -> None:
    def answer(question: bytes) -> bytes:
        now = time.time() + LATER + NTP_EPOCH
        stamp = struct.pack(">II", int(now) & 0xFFFF_FFFF, int(now % 1 * 2**32))
        head = bytes([0x24, 1, 4, 0xEC]) + struct.pack(">II4s", 0, 0, b"TEST")
        return head + stamp + question[40:48] + stamp + stamp

    before = int(programs.guest.check("date +%s"))
    with datagram_server(answer) as port:
        programs.guest.check(f"ntpd -n -q -p {HOST}:{port}", WAIT)
    after = int(programs.guest.check("date +%s"))
    programs.guest.check(f"date -s @{before}")
    assert abs(after - before - LATER) < 300
