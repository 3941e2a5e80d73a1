"""Interfaces, addresses and routes: made, listed, moved to other namespaces and removed by all."""

from __future__ import annotations

import struct
from typing import Final

from tests.races.actor import Actor
from tests.races.kinds.kind import Kind

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


def link_name(actor: Actor) -> bytes:
    return actor.random.choice(LINKS)


def prepare(actor: Actor) -> None:
    actor.call("mkdir", "/dev/net", 0o755)
    open_netlink(actor)
    add_link(actor)


def open_netlink(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 16, 3 | NONBLOCK, 0), "netlink")
    if actor.decides(0.5):
        groups = actor.random.choice((0, 1, 0x7FF))
        actor.call("bind", descriptor, struct.pack("<HHII", 16, 0, 0, groups), 12)


def send(actor: Actor, kind: int, flags: int, body: bytes) -> None:
    data = struct.pack("<IHHII", 16 + len(body), kind, flags | REQUEST, 1, 0) + body
    actor.call("sendto", actor.descriptor("netlink"), data, len(data), DONT_WAIT, None, 0)


def receive(actor: Actor) -> None:
    size = actor.random.choice((200, 4096))
    actor.call("recvfrom", actor.descriptor("netlink"), bytearray(size), size, DONT_WAIT, None, None)


def add_link(actor: Actor) -> None:
    name, kind = actor.random.choice(((b"v0", b"veth"), (b"br0", b"bridge"), (b"d0", b"dummy"), (b"mv0", b"macvlan")))
    information = attribute(1, kind)
    if kind == b"veth":
        peer = bytes(16) + attribute(3, b"v1\0")
        information += attribute(2, attribute(1, peer))
    body = bytes(16) + attribute(3, name + b"\0") + attribute(18, information)
    if kind == b"macvlan":
        body += attribute(5, struct.pack("<I", actor.random.randrange(1, 4)))
    send(actor, NEW_LINK, CREATE | EXCLUSIVE | actor.random.choice((0, ACKNOWLEDGE)), body)


def remove_link(actor: Actor) -> None:
    send(actor, DELETE_LINK, ACKNOWLEDGE, bytes(16) + attribute(3, link_name(actor) + b"\0"))


def change_link(actor: Actor) -> None:
    up = actor.random.choice((0, 1))
    body = struct.pack("<BxHiII", 0, 0, 0, up, 1) + attribute(3, link_name(actor) + b"\0")
    what = actor.random.choice((
        attribute(10, struct.pack("<I", actor.random.choice((0, 2, 3)))),
        attribute(4, struct.pack("<I", actor.random.choice((68, 1500, 9000)))),
        attribute(19, struct.pack("<I", max(1, actor.other()))),  # IFLA_NET_NS_PID
        b"",
    ))  # fmt: skip
    send(actor, actor.random.choice((NEW_LINK, SET_LINK)), ACKNOWLEDGE, body + what)


def change_address(actor: Actor) -> None:
    address = attribute(2, bytes((10, 0, 0, actor.random.randrange(1, 4))))
    body = struct.pack("<BBBBI", 2, 24, 0, 0, actor.random.randrange(1, 5)) + address
    send(actor, actor.random.choice((NEW_ADDRESS, DELETE_ADDRESS)), CREATE | ACKNOWLEDGE, body)


def change_route(actor: Actor) -> None:
    body = struct.pack("<BBBBBBBBI", 2, 24, 0, 0, 254, 3, 253, 1, 0)
    body += attribute(1, bytes((10, 1, actor.random.randrange(2), 0)))
    body += attribute(4, struct.pack("<I", actor.random.randrange(1, 5)))
    send(actor, actor.random.choice((NEW_ROUTE, DELETE_ROUTE)), CREATE | ACKNOWLEDGE, body)


def change_neighbour(actor: Actor) -> None:
    body = struct.pack("<BxxxIHBB", 2, actor.random.randrange(1, 5), 0x80, 0, 0)
    body += attribute(1, bytes((10, 0, 0, 9))) + attribute(2, b"\2\0\0\0\0\7")
    send(actor, actor.random.choice((NEW_NEIGHBOUR, DELETE_NEIGHBOUR)), CREATE | ACKNOWLEDGE, body)


def dump(actor: Actor) -> None:
    kind = actor.random.choice((GET_LINK, GET_ADDRESS, GET_ROUTE, GET_NEIGHBOUR, GET_RULE))
    send(actor, kind, DUMP, struct.pack("<B15x", actor.random.choice((0, 2, 7, 10))))


def command(actor: Actor) -> None:
    descriptor = actor.call("socket", 2, 2, 0)
    request = actor.random.choice(
        (0x8914, 0x8914, 0x8916, 0x891C, 0x8922, 0x8913, 0x8912, 0x89A0, 0x89A1, 0x89A2, 0x89A3)
    )
    value = actor.random.choice((struct.pack("<H", 0x41), struct.pack("<H", 0), struct.pack("<i", 2),
                                 struct.pack("<HHBBBB", 2, 0, 10, 0, 0, 1)))  # fmt: skip
    data = bytearray(link_name(actor).ljust(16, b"\0") + value.ljust(24, b"\0"))
    actor.call("ioctl", descriptor, request, data)
    actor.keep(descriptor, "socket")


def open_tunnel(actor: Actor) -> None:
    descriptor = actor.open("/dev/net/tun", 2 | NONBLOCK, "tunnel")
    if descriptor >= 0:
        flags = actor.random.choice((0x1001, 0x1002, 0x1101))
        actor.call("ioctl", descriptor, 0x400454CA, bytearray(b"tun0".ljust(16, b"\0") + struct.pack("<H22x", flags)))


def use_tunnel(actor: Actor) -> None:
    tunnel = actor.descriptor("tunnel")
    if actor.decides(0.5):
        packet = bytes.fromhex("4500001c00010000401166ce0a0000020a000001") + bytes((27, 89, 27, 89, 0, 8, 0, 0))
        actor.call("write", tunnel, packet, len(packet))
    else:
        actor.call("read", tunnel, bytearray(2000), 2000)


def send_packet(actor: Actor) -> None:
    descriptor = actor.call("socket", 2, 2 | NONBLOCK, 0)
    where = struct.pack("<H", 2) + (7001).to_bytes(2, "big") + bytes((10, 0, actor.random.randrange(2), 3)) + bytes(8)
    actor.call("sendto", descriptor, b"p" * 100, 100, DONT_WAIT, where, 16)
    actor.call("close", descriptor)


def watch_packets(actor: Actor) -> None:
    descriptor = actor.keep(actor.call("socket", 17, 3 | NONBLOCK, 0x300), "packet")
    if actor.decides(0.5):
        actor.call("bind", descriptor, struct.pack("<HHiHBB8x", 17, 0x300, actor.random.randrange(1, 5), 0, 0, 0), 20)
    actor.call("recvfrom", actor.descriptor("packet"), bytearray(300), 300, DONT_WAIT, None, None)


def leave(actor: Actor) -> None:
    if actor.decides(0.2):
        actor.call("unshare", 0x40000000)
        open_netlink(actor)


def look(actor: Actor) -> None:
    name = actor.random.choice(
        ("dev", "route", "arp", "igmp", "if_inet6", "ipv6_route", "packet", "netlink", "fib_trie")
    )
    descriptor = actor.open(f"/proc/self/net/{name}", 0)
    if descriptor >= 0:
        actor.call("read", descriptor, bytearray(200), 200)


def change_setting(actor: Actor) -> None:
    link = link_name(actor).decode()
    name = actor.random.choice(("forwarding", "proxy_arp", "rp_filter"))
    actor.write_text(f"/proc/sys/net/ipv4/conf/{link}/{name}", actor.random.choice((b"0", b"1")))


KIND: Final = Kind(
    "networks",
    (open_netlink, receive, receive, add_link, add_link, remove_link, change_link, change_link, change_address,
     change_route, change_neighbour, dump, dump, command, command, open_tunnel, use_tunnel, use_tunnel, send_packet,
     watch_packets, leave, look, change_setting, Actor.close_one),
    prepare,
)  # fmt: skip
