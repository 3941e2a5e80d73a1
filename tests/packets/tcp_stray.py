"""TCP: segments that belong to no connection, and segments that are malformed (RFC 9293 section 3.10.7)."""

from __future__ import annotations

from scapy.layers.inet import IP, TCP
from scapy.packet import Packet, Raw

from tests.packets.flow import FULL, PLAIN, Flow
from tests.packets.scenarios import scenario
from tests.packets.session import PEER_PORT, Session
from tests.packets.wire import GUEST

ODD_FLAGS = ("", "F", "P", "U", "FPU", "FS", "SR", "FSRPAU", "FSRPAUEC", "A", "FA", "PA", "SA", "R", "RA", "SU", "SP")


@scenario()
def syn_to_a_closed_port(session: Session) -> None:
    session.flow().ask("S", options=PLAIN)


@scenario()
def every_flag_to_a_closed_port(session: Session) -> None:
    for number, flags in enumerate(ODD_FLAGS):
        flow = session.flow(peer_port=41000 + number)
        flow.ask(flags, seq=0, ack=77 if "A" in flags else None)


@scenario()
def every_flag_with_data_to_a_closed_port(session: Session) -> None:
    for number, flags in enumerate(ODD_FLAGS):
        flow = session.flow(peer_port=41000 + number)
        flow.ask(flags, b"data", seq=0, ack=77 if "A" in flags else None)


@scenario()
def every_flag_to_a_listener(session: Session) -> None:
    listener = session.listener()
    for number, flags in enumerate(ODD_FLAGS):
        flow = session.flow(peer_port=41000 + number)
        flow.ask(flags, seq=0, ack=77 if "A" in flags else None)
        flow.send("R", seq=1, note="forgotten")
    listener.accept()


@scenario()
def every_flag_to_a_connection(session: Session) -> None:
    listener = session.listener()
    for number, flags in enumerate(ODD_FLAGS):
        flow = session.flow(peer_port=41000 + number)
        accepted = flow.open(listener)
        flow.send(flags)
        if flags == "FA":
            session.wait(1)
        session.answers()
        accepted.poll()
        accepted.error()
        accepted.drop()
        session.answers()


@scenario()
def port_zero(session: Session) -> None:
    session.flow("to", port=0, peer_port=41001).ask("S", options=PLAIN)
    session.listener()
    session.flow("from", peer_port=0).ask("S", options=PLAIN)


def _from(session: Session, flow: Flow, source: str, destination: str = GUEST) -> None:
    packet = flow.build("S", options=PLAIN)
    packet[IP].src = source
    packet[IP].dst = destination
    names = {GUEST: "the guest", session.address: "the peer"}
    flow.put(packet, f"S from {names.get(source, source)} to {names.get(destination, destination)}")
    session.answers()


@scenario()
def sources_that_are_no_hosts(session: Session) -> None:
    """Nobody answers to a group, to everybody, to nobody, to itself from outside."""
    session.listener()
    flow = session.flow()
    everybody = ("255.255.255.255", "10.9.255.255", "10.9.0.0")
    for source in (*everybody, "224.0.0.1", "0.0.0.0", "0.0.0.7", "127.0.0.1", GUEST):
        _from(session, flow, source)
    flow.ask("S", options=PLAIN, note="as it should be")


@scenario()
def destinations_that_are_no_hosts(session: Session) -> None:
    session.listener()
    flow = session.flow()
    for destination in ("255.255.255.255", "10.9.255.255", "224.0.0.1", "127.0.0.1"):
        _from(session, flow, session.address, destination)


@scenario()
def a_land_attack(session: Session) -> None:
    """Source and destination are the same, the port too."""
    session.listener()
    flow = session.flow()
    packet = flow.build("S", options=PLAIN)
    packet[IP].src = GUEST
    packet[TCP].sport = session.port
    flow.put(packet, "S from the listener to the listener")
    session.answers()
    flow.ask("S", options=PLAIN, note="as it should be")


@scenario()
def checksums_that_are_wrong(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    packet = flow.build("S", options=PLAIN)
    packet[TCP].chksum = 0x1234
    flow.put(packet, "S, bad checksum")
    session.answers()
    packet = flow.build("S", options=PLAIN)
    packet[TCP].chksum = 0
    flow.put(packet, "S, checksum 0")
    session.answers()
    accepted = flow.open(listener)
    packet = flow.build("PA", b"wrong")
    packet[TCP].chksum = 0x4321
    flow.put(packet, "PA data 5, bad checksum")
    session.answers()
    packet = flow.build("R")
    packet[TCP].chksum = 0x4321
    flow.put(packet, "R, bad checksum")
    session.answers()
    accepted.read()
    flow.ask("PA", b"right")
    accepted.read()


@scenario()
def header_lengths_that_are_wrong(session: Session) -> None:
    session.listener()
    flow = session.flow()
    for words in (0, 1, 4, 7, 15):
        packet = flow.build("S", options=PLAIN)
        packet[TCP].dataofs = words
        flow.put(packet, f"S, header of {words} words")
        session.answers()


def _raw(session: Session, header: bytes) -> Packet:
    return IP(src=session.address, dst=GUEST, proto=6) / Raw(header)


@scenario()
def segments_that_are_too_short(session: Session) -> None:
    session.listener()
    flow = session.flow()
    whole = bytes(flow.build("S")[TCP])
    for length in (0, 1, 4, 13, 19):
        flow.put(_raw(session, whole[:length]), f"the first {length} bytes of a SYN")
        session.answers()
    packet = flow.build("S")
    packet[IP].len = 30
    flow.put(packet, "S, IP length 30")
    session.answers()


@scenario()
def option_lengths_that_are_wrong(session: Session) -> None:
    """What cannot be read ends the options; what was read before counts. RFC 9293 section 3.1."""
    session.listener()
    cases = {
        "mss of length 0": b"\x02\x00\x05\xb4",
        "mss of length 1": b"\x02\x01\x05\xb4",
        "mss of length 3": b"\x02\x03\x05\x01\x04\x02\x01\x01",
        "mss of length 5": b"\x02\x05\x05\xb4\x00\x01\x04\x02",
        "mss beyond the header": b"\x01\x01\x01\x02",
        "mss half beyond the header": b"\x01\x02\x04\x05",
        "scale of length 4": b"\x03\x04\x07\x00",
        "scale of length 2": b"\x03\x02\x07\x01",
        "sackok of length 3": b"\x04\x03\x00\x01",
        "timestamp of length 8": b"\x08\x08\x00\x00\x00\x01\x00\x00",
        "timestamp beyond the header": b"\x01\x01\x08\x0a\x00\x00\x00\x01",
        "an unknown option": b"\x63\x04\x00\x00\x02\x04\x02\x00",
        "an unknown option of length 0": b"\x63\x00\x00\x00\x02\x04\x02\x00",
        "an unknown option of length 255": b"\x63\xff\x00\x00\x02\x04\x02\x00",
        "nothing past the end": b"\x00\x02\x04\x02\x00\x04\x02\x00",
        "an option twice": b"\x02\x04\x02\x00\x02\x04\x04\x00",
        "only padding": b"\x01\x01\x01\x01\x00\x00\x00\x00",
        "sack in a SYN": b"\x05\x0a\x00\x00\x00\x01\x00\x00\x00\x02\x01\x01",
    }
    for number, (name, options) in enumerate(cases.items()):
        flow = session.flow(peer_port=41000 + number)
        packet = flow.build("S")
        packet[TCP].remove_payload()
        header = bytearray(bytes(packet[TCP]))
        header[12] = (5 + len(options) // 4) << 4
        header[16:18] = bytes(2)
        raw = IP(src=session.address, dst=GUEST, proto=6) / TCP(bytes(header) + options)
        del raw[TCP].chksum
        data = bytearray(bytes(raw))
        flow.put(_checksummed(data, bytes(header) + options), f"S, {name}")
        session.answers()
        flow.send("R", seq=1)


def _checksummed(datagram: bytearray, segment: bytes) -> Packet:
    """The datagram of a segment that is given byte by byte, with the right checksum."""
    pseudo = bytes(datagram[12:20]) + b"\x00\x06" + len(segment).to_bytes(2, "big")
    data = pseudo + segment + bytes(len(segment) % 2)
    total = sum(int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    whole = segment[:16] + (total ^ 0xFFFF).to_bytes(2, "big") + segment[18:]
    return IP(bytes(datagram[:20])) / Raw(whole)


@scenario()
def options_in_data_segments_that_are_wrong(session: Session) -> None:
    """A connection survives them."""
    listener = session.listener()
    flow = session.flow()
    accepted = flow.open(listener, FULL)
    for name, options in {
        "timestamp of length 0": b"\x08\x00\x00\x00",
        "sack of length 2": b"\x05\x02\x01\x01",
        "sack of length 9": b"\x05\x09\x00\x00\x00\x01\x00\x00\x00\x02\x01\x01"[:12],
        "sack beyond the header": b"\x01\x01\x05\x12",
        "no timestamp": b"",
        "mss": b"\x02\x04\x00\x30",
    }.items():
        packet = flow.build("PA", b"x", options=())
        header = bytearray(bytes(packet[TCP])[:20])
        header[12] = (5 + len(options) // 4) << 4
        header[16:18] = bytes(2)
        flow.put(_checksummed(bytearray(bytes(packet)), bytes(header) + options + b"x"), f"PA data 1, {name}")
        flow.seq += 1
        session.answers()
    accepted.read()


@scenario()
def the_source_port_decides(session: Session) -> None:
    """Four numbers name a connection: a neighbour of it is another one."""
    listener = session.listener()
    flow = session.flow()
    flow.open(listener)
    session.flow("other", peer_port=PEER_PORT + 1).ask("PA", b"data", seq=1, ack=1)
