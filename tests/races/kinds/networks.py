"""Interfaces, addresses and routes: made, listed, moved to other namespaces and removed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.kinds.kind import Kind
from tests.races.worker import Worker

LINKS: Final = (b"v0", b"v1", b"br0", b"d0", b"tun0", b"lo")
NONBLOCK: Final = 0o4000
DONT_WAIT: Final = 0x40
NEW_LINK, DELETE_LINK, GET_LINK, SET_LINK, NEW_ADDRESS, DELETE_ADDRESS, GET_ADDRESS = 16, 17, 18, 19, 20, 21, 22
NEW_ROUTE, DELETE_ROUTE, GET_ROUTE, NEW_NEIGHBOUR, DELETE_NEIGHBOUR, GET_NEIGHBOUR, NEW_RULE, GET_RULE = (
    24, 25, 26, 28, 29, 30, 32, 34,
)  # fmt: skip
REQUEST, ACKNOWLEDGE, EXCLUSIVE, CREATE, DUMP = 1, 4, 0x200, 0x400, 0x300


def attribute(kind: int, data: bytes) -> bytes:
    size = 4 + len(data)
    return struct.pack("<HH", size, kind) + data + bytes(-size % 4)


def link_name(worker: Worker) -> bytes:
    return worker.random.choice(LINKS)


def prepare(worker: Worker) -> None:
    worker.call("mkdir", "/dev/net", 0o755)
    open_netlink(worker)
    add_link(worker)


def open_netlink(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 16, 3 | NONBLOCK, 0), "netlink")
    if worker.decides(0.5):
        groups = worker.random.choice((0, 1, 0x7FF))
        worker.call("bind", descriptor, struct.pack("<HHII", 16, 0, 0, groups), 12)


def send(worker: Worker, kind: int, flags: int, body: bytes) -> None:
    data = struct.pack("<IHHII", 16 + len(body), kind, flags | REQUEST, 1, 0) + body
    worker.call("sendto", worker.descriptor("netlink"), data, len(data), DONT_WAIT, None, 0)


def receive(worker: Worker) -> None:
    size = worker.random.choice((200, 4096))
    worker.call("recvfrom", worker.descriptor("netlink"), bytearray(size), size, DONT_WAIT, None, None)


def add_link(worker: Worker) -> None:
    name, kind = worker.random.choice(((b"v0", b"veth"), (b"br0", b"bridge"), (b"d0", b"dummy"), (b"mv0", b"macvlan")))
    information = attribute(1, kind)
    if kind == b"veth":
        peer = bytes(16) + attribute(3, b"v1\0")
        information += attribute(2, attribute(1, peer))
    body = bytes(16) + attribute(3, name + b"\0") + attribute(18, information)
    if kind == b"macvlan":
        body += attribute(5, struct.pack("<I", worker.random.randrange(1, 4)))
    send(worker, NEW_LINK, CREATE | EXCLUSIVE | worker.random.choice((0, ACKNOWLEDGE)), body)


def remove_link(worker: Worker) -> None:
    send(worker, DELETE_LINK, ACKNOWLEDGE, bytes(16) + attribute(3, link_name(worker) + b"\0"))


def change_link(worker: Worker) -> None:
    up = worker.random.choice((0, 1))
    body = struct.pack("<BxHiII", 0, 0, 0, up, 1) + attribute(3, link_name(worker) + b"\0")
    what = worker.random.choice((
        attribute(10, struct.pack("<I", worker.random.choice((0, 2, 3)))),
        attribute(4, struct.pack("<I", worker.random.choice((68, 1500, 9000)))),
        attribute(19, struct.pack("<I", max(1, worker.other()))),  # IFLA_NET_NS_PID
        b"",
    ))  # fmt: skip
    send(worker, worker.random.choice((NEW_LINK, SET_LINK)), ACKNOWLEDGE, body + what)


def change_address(worker: Worker) -> None:
    address = attribute(2, bytes((10, 0, 0, worker.random.randrange(1, 4))))
    body = struct.pack("<BBBBI", 2, 24, 0, 0, worker.random.randrange(1, 5)) + address
    send(worker, worker.random.choice((NEW_ADDRESS, DELETE_ADDRESS)), CREATE | ACKNOWLEDGE, body)


def change_route(worker: Worker) -> None:
    body = struct.pack("<BBBBBBBBI", 2, 24, 0, 0, 254, 3, 253, 1, 0)
    body += attribute(1, bytes((10, 1, worker.random.randrange(2), 0)))
    body += attribute(4, struct.pack("<I", worker.random.randrange(1, 5)))
    send(worker, worker.random.choice((NEW_ROUTE, DELETE_ROUTE)), CREATE | ACKNOWLEDGE, body)


def change_neighbour(worker: Worker) -> None:
    body = struct.pack("<BxxxIHBB", 2, worker.random.randrange(1, 5), 0x80, 0, 0)
    body += attribute(1, bytes((10, 0, 0, 9))) + attribute(2, b"\2\0\0\0\0\7")
    send(worker, worker.random.choice((NEW_NEIGHBOUR, DELETE_NEIGHBOUR)), CREATE | ACKNOWLEDGE, body)


def dump(worker: Worker) -> None:
    kind = worker.random.choice((GET_LINK, GET_ADDRESS, GET_ROUTE, GET_NEIGHBOUR, GET_RULE))
    send(worker, kind, DUMP, struct.pack("<B15x", worker.random.choice((0, 2, 7, 10))))


def command(worker: Worker) -> None:
    descriptor = worker.call("socket", 2, 2, 0)
    request = worker.random.choice(
        (0x8914, 0x8914, 0x8916, 0x891C, 0x8922, 0x8913, 0x8912, 0x89A0, 0x89A1, 0x89A2, 0x89A3)
    )
    value = worker.random.choice((struct.pack("<H", 0x41), struct.pack("<H", 0), struct.pack("<i", 2),
                                 struct.pack("<HHBBBB", 2, 0, 10, 0, 0, 1)))  # fmt: skip
    data = bytearray(link_name(worker).ljust(16, b"\0") + value.ljust(24, b"\0"))
    worker.call("ioctl", descriptor, request, data)
    worker.keep(descriptor, "socket")


def open_tunnel(worker: Worker) -> None:
    descriptor = worker.open("/dev/net/tun", 2 | NONBLOCK, "tunnel")
    if descriptor >= 0:
        flags = worker.random.choice((0x1001, 0x1002, 0x1101))
        worker.call("ioctl", descriptor, 0x400454CA, bytearray(b"tun0".ljust(16, b"\0") + struct.pack("<H22x", flags)))


def use_tunnel(worker: Worker) -> None:
    tunnel = worker.descriptor("tunnel")
    if worker.decides(0.5):
        packet = bytes.fromhex("4500001c00010000401166ce0a0000020a000001") + bytes((27, 89, 27, 89, 0, 8, 0, 0))
        worker.call("write", tunnel, packet, len(packet))
    else:
        worker.call("read", tunnel, bytearray(2000), 2000)


def send_packet(worker: Worker) -> None:
    descriptor = worker.call("socket", 2, 2 | NONBLOCK, 0)
    where = struct.pack("<H", 2) + (7001).to_bytes(2, "big") + bytes((10, 0, worker.random.randrange(2), 3)) + bytes(8)
    worker.call("sendto", descriptor, b"p" * 100, 100, DONT_WAIT, where, 16)
    worker.call("close", descriptor)


def watch_packets(worker: Worker) -> None:
    descriptor = worker.keep(worker.call("socket", 17, 3 | NONBLOCK, 0x300), "packet")
    if worker.decides(0.5):
        worker.call("bind", descriptor, struct.pack("<HHiHBB8x", 17, 0x300, worker.random.randrange(1, 5), 0, 0, 0), 20)
    worker.call("recvfrom", worker.descriptor("packet"), bytearray(300), 300, DONT_WAIT, None, None)


def leave(worker: Worker) -> None:
    if worker.decides(0.2):
        worker.call("unshare", 0x40000000)
        open_netlink(worker)


def look(worker: Worker) -> None:
    name = worker.random.choice(
        ("dev", "route", "arp", "igmp", "if_inet6", "ipv6_route", "packet", "netlink", "fib_trie")
    )
    descriptor = worker.open(f"/proc/self/net/{name}", 0)
    if descriptor >= 0:
        worker.call("read", descriptor, bytearray(200), 200)


def change_setting(worker: Worker) -> None:
    link = link_name(worker).decode()
    name = worker.random.choice(("forwarding", "proxy_arp", "rp_filter"))
    worker.write_text(f"/proc/sys/net/ipv4/conf/{link}/{name}", worker.random.choice((b"0", b"1")))


KIND: Final = Kind(
    "networks",
    (open_netlink, receive, receive, add_link, add_link, remove_link, change_link, change_link, change_address,
     change_route, change_neighbour, dump, dump, command, command, open_tunnel, use_tunnel, use_tunnel, send_packet,
     watch_packets, leave, look, change_setting, Worker.close_one),
    prepare,
)  # fmt: skip
