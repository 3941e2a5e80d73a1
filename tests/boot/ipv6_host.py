"""The host's side of test_ipv6.py, run in a network namespace of its own: a guest at the other end of a tap device, and
clients of its servers by IPv6. Prints a line for each that got what it should.

`python -m tests.boot.ipv6_host {krait|linux} INITRD`
"""

from __future__ import annotations

import hashlib
import random
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

from tests.boot.test_servers import echoes, receive_all
from tests.harness import KRAIT, LINUX, Guest
from tests.harness.guest import PATIENCE
from tools.machine import Machine

TAP = "krait0"
# The flags of an address of which the others have not been asked yet (RFC 4862, section 5.4), in /proc/net/if_inet6.
TENTATIVE = " [4-7c-f][0-9a-f]"
HOST, GUEST = "fd77::1", "fd77::2"
FILE_BYTES = 20_000_000
CARD = (
    "-netdev", f"tap,id=net0,ifname={TAP},script=no,downscript=no,vhost=off",
    "-device", "virtio-net-pci,netdev=net0",
)  # fmt: skip


def connect(address: str, port: int) -> socket.socket:
    return socket.create_connection((address, port), timeout=30 * PATIENCE)


def echo_by_tcp(address: str) -> None:
    with connect(address, 7) as connection:
        echoes(connection, random.Random(1).randbytes(200_000))


def echo_by_udp(address: str) -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.settimeout(10 * PATIENCE)
        client.connect(socket.getaddrinfo(address, 7, socket.AF_INET6, socket.SOCK_DGRAM)[0][4])
        for size in (0, 1, 1452, 9000):  # the last in fragments, in both directions
            data = random.Random(size).randbytes(size)
            client.send(data)
            assert client.recv(65536) == data


def file_by_http(guest: Guest) -> None:
    digest = guest.check("sha256sum /tmp/www/big", 60).split()[0]
    with connect(GUEST, 80) as connection:
        connection.sendall(b"GET /big HTTP/1.0\r\n\r\n")
        _, _, body = receive_all(connection).partition(b"\r\n\r\n")
    assert len(body) == FILE_BYTES and hashlib.sha256(body).hexdigest() == digest


def link_local(guest: Guest) -> str:
    """The guest's address that it made itself, with the host's zone."""
    words = guest.check("ifconfig eth0").split()
    found = next(word for word in words if word.startswith("fe80:"))
    return f"{found.partition('/')[0]}%{TAP}"


def main() -> int:
    for command in ("tuntap add dev {} mode tap vnet_hdr", f"addr add {HOST}/64 dev {{}} nodad", "link set {} up"):
        subprocess.run(["ip", *command.format(TAP).split()], check=True)
    kernel = LINUX if sys.argv[1] == "linux" else KRAIT
    with Guest(kernel.boot(Path(sys.argv[2]), "quiet"), Machine(extra=CARD)) as guest:
        guest.expect_prompt(60)
        guest.run("stty columns 500")
        guest.check(f"ifconfig eth0 up; ifconfig eth0 add {GUEST}/64")
        guest.check(f"mkdir /tmp/www; head -c {FILE_BYTES} /dev/urandom >/tmp/www/big; httpd -h /tmp/www")
        guest.check("(echo_server 7 >/tmp/ready 2>&1 &)")
        guest.check("until grep ready /tmp/ready; do sleep 0.1; done", 30)
        guest.check(f"while grep -E '{TENTATIVE} +eth0$' /proc/net/if_inet6; do sleep 0.1; done", 30)
        while re.search(f"{TENTATIVE} +{TAP}$", Path("/proc/net/if_inet6").read_text(), re.MULTILINE):
            time.sleep(0.1)
        assert "2 packets received" in guest.check(f"ping -6 -c 2 -s 3000 {HOST}", 30)
        print("ping")
        for name, address in (("global", GUEST), ("link-local", link_local(guest))):
            echo_by_tcp(address)
            echo_by_udp(address)
            print(f"echo {name}")
        file_by_http(guest)
        print("http")
    return 0


if __name__ == "__main__":
    sys.exit(main())
