"""TCP: how connections begin (RFC 9293 section 3.5, RFC 7323 section 2, RFC 2018 section 2)."""

from __future__ import annotations

import socket

from tests.packets.flow import FULL, PLAIN, SACK, STAMPS, Flow, Option
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket
from tests.packets.wire import GUEST


def calling(session: Session, option: tuple[int, int, str] | None = None) -> tuple[Flow, Socket]:
    """The guest has sent a SYN."""
    caller = session.socket()
    caller.bind(GUEST, session.port)
    if option is not None:
        caller.set(socket.IPPROTO_TCP, option[0], option[1], option[2])
    caller.connect()
    flow = session.flow()
    session.answers()
    return flow, caller


@scenario()
def a_connection_with_all_options(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    accepted = flow.open(listener, FULL)
    flow.ask("PA", b"hello")
    accepted.read()
    accepted.write(b"world")
    session.answers()
    flow.ask("A")
    flow.send("FA")
    session.wait(1)
    accepted.read()
    accepted.close()
    session.answers()
    flow.ask("A")


@scenario()
def options_that_the_peer_does_not_offer(session: Session) -> None:
    session.listener()
    offers: dict[str, tuple[Option, ...]] = {
        "nothing": (), "mss": PLAIN, "sack": SACK, "stamps": STAMPS, "scale": (("WScale", 3),),
        "all": FULL,
    }
    for number, (name, options) in enumerate(offers.items()):
        flow = session.flow(name, peer_port=41000 + number)
        flow.ask("S", options=options)
        flow.send("R", ack=0, seq=1)


@scenario()
def a_window_scale_that_is_too_large(session: Session) -> None:
    """RFC 7323 section 2.3: taken as 14."""
    listener = session.listener()
    flow = session.flow()
    flow.window = 1
    accepted = flow.open(listener, (("MSS", 1000), ("WScale", 200)))
    accepted.write(12000)
    session.answers()


@scenario()
def the_window_of_a_syn_is_not_scaled(session: Session) -> None:
    session.listener()
    flow = session.flow()
    flow.ask("S", window=3, options=(("MSS", 1000), ("WScale", 4)))
    flow.ask("A", window=3)


@scenario()
def the_guest_calls(session: Session) -> None:
    flow, caller = calling(session)
    flow.answer_call(FULL)
    caller.error()
    caller.state()
    caller.poll()


@scenario()
def the_guest_calls_one_without_options(session: Session) -> None:
    flow, caller = calling(session)
    flow.answer_call(())
    caller.write(1200)
    session.answers()
    caller.state()


@scenario()
def a_call_is_refused(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("RA", seq=0, ack=1)
    caller.poll()
    caller.error()
    caller.error()
    caller.connect(40001)


@scenario()
def resets_that_do_not_refuse_a_call(session: Session) -> None:
    """RFC 9293 section 3.10.7.3: a reset needs the acknowledgment of our SYN."""
    flow, caller = calling(session)
    flow.ask("R", seq=0)
    flow.send("RA", seq=0, ack=0)
    session.wait(1)
    flow.ask("RA", seq=0, ack=2)
    caller.state()
    flow.answer_call(PLAIN)
    caller.state()


@scenario()
def wrong_acknowledgments_of_a_call(session: Session) -> None:
    flow, caller = calling(session)
    flow.send("SA", seq=0, ack=0, options=PLAIN)
    session.wait(2)
    flow.ask("SA", seq=0, ack=2, options=PLAIN)
    flow.ask("A", seq=1, ack=1)
    flow.ask("A", seq=1, ack=7)
    flow.ask("FA", seq=1, ack=1)
    flow.ask("PA", b"data", seq=1, ack=1)
    caller.state()
    flow.answer_call(PLAIN)
    caller.state()


@scenario()
def other_flags_while_calling(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("", seq=0)
    flow.ask("F", seq=0)
    flow.ask("P", b"data", seq=0)
    flow.send("FSRPAU", seq=0, ack=7)
    session.wait(1)
    flow.ask("FPU", seq=0)
    caller.state()


@scenario(unlike_linux="RFC 9293 section 3.10.7.3 takes such data; Linux drops them, and they must be sent again")
def a_syn_ack_with_data(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("SA", b"early", seq=0, ack=1, options=PLAIN)
    caller.read()
    flow.seq = 1
    flow.ask("PA", b"early")
    caller.read()


@scenario(unlike_linux="RFC 9293 section 3.10.7.3 takes the FIN; Linux drops it, and it must be sent again")
def a_syn_ack_with_fin(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("SFA", seq=0, ack=1, options=PLAIN)
    caller.state()
    caller.read()


@scenario(unlike_linux="RFC 7323 sections 1.3, 2.2: a SYN-ACK has the options that the SYN has; Linux's has all")
def both_call(session: Session) -> None:
    """Simultaneous open (RFC 9293, figure 8)."""
    flow, caller = calling(session)
    flow.ask("S", options=PLAIN)
    caller.state()
    caller.error()
    flow.ask("SA", seq=0, ack=1, options=PLAIN)
    caller.state()
    flow.ask("PA", b"hello")
    caller.read()
    caller.write(b"world")
    session.answers()


@scenario()
def both_call_and_an_ack_ends_it(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("S", options=FULL)
    flow.stamp = 1001
    flow.ask("A")
    caller.state()


@scenario(unlike_linux="RFC 7323 sections 1.3, 2.2: a SYN-ACK has the options that the SYN has; Linux's has all")
def both_call_and_the_peer_resets(session: Session) -> None:
    flow, caller = calling(session)
    flow.ask("S", options=PLAIN)
    flow.ask("R", seq=1)
    caller.poll()
    caller.error()


@scenario()
def a_syn_with_data(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.send("S", b"early", options=PLAIN)
    session.answers()
    flow.seq = 1
    flow.ask("PA", b"early")
    accepted = listener.accept()
    accepted.read()


@scenario()
def the_last_ack_carries_data(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("PA", b"hello")
    accepted = listener.accept()
    accepted.read()


@scenario()
def the_last_ack_carries_a_fin(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.send("PFA", b"hello")
    session.wait(1)
    accepted = listener.accept()
    accepted.read()
    accepted.read()
    accepted.state()


@scenario()
def a_syn_again(session: Session) -> None:
    """The SYN-ACK was lost: it comes again, at once."""
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("S", seq=0, options=PLAIN)
    flow.ask("A")
    listener.accept()
    flow.ask("S", seq=0, options=PLAIN, note="established")


@scenario()
def another_syn_while_half_open(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("S", seq=5000, options=PLAIN)
    flow.ask("S", seq=-5000, options=PLAIN)
    flow.ask("A")
    listener.accept()


@scenario()
def wrong_numbers_while_half_open(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("A", ack=0)
    flow.ask("A", ack=2)
    flow.ask("A", seq=100_000)
    flow.ask("A", seq=-10)
    flow.ask("SA", seq=0)
    flow.ask("R", seq=5)
    flow.ask("", seq=1)
    flow.ask("A")
    listener.accept()


@scenario()
def a_reset_while_half_open(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("R", seq=1)
    flow.ask("A", seq=1)
    listener.accept()


@scenario()
def data_before_the_last_ack(session: Session) -> None:
    """A segment out of order in SYN_RECEIVED acknowledges our SYN, too."""
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    flow.ask("PA", b"world", seq=6)
    accepted = listener.accept()
    accepted.state()
    flow.ask("PA", b"hello", seq=1)
    accepted.read()


@scenario()
def numbers_that_wrap(session: Session) -> None:
    listener = session.listener()
    flow = session.flow(start=0xFFFF_FFFD)
    accepted = flow.open(listener, SACK)
    flow.ask("PA", b"world", seq=6)
    flow.ask("PA", b"hello", seq=1)
    accepted.read()
    flow.ask("FA", seq=11)
    accepted.read()


@scenario()
def mss_of_the_peer(session: Session) -> None:
    """Zero and tiny ones are not taken at their word: headers would be all of the traffic."""
    listener = session.listener()
    for number, mss in enumerate((0, 1, 47, 48, 100, 536, 1460, 9000, 65535)):
        flow = session.flow(f"mss {mss}", peer_port=42000 + number)
        accepted = flow.open(listener, (("MSS", mss),))
        accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
        accepted.write(200)
        session.answers()
        accepted.drop()
        session.answers()


@scenario()
def mss_with_timestamps(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    accepted = flow.open(listener, (("MSS", 1000), ("Timestamp", (1000, 0))))
    accepted.get(socket.IPPROTO_TCP, socket.TCP_MAXSEG, "TCP_MAXSEG")
    accepted.write(2000)
    session.answers()


@scenario()
def mss_set_by_the_program(session: Session) -> None:
    flow, caller = calling(session, (socket.TCP_MAXSEG, 700, "TCP_MAXSEG"))
    flow.answer_call(PLAIN)
    caller.write(1500)
    session.answers()


@scenario(slow=True)
def a_call_that_nobody_answers(session: Session) -> None:
    """RFC 6298: one second, then twice as long each time."""
    _, caller = calling(session, (socket.TCP_SYNCNT, 1, "TCP_SYNCNT"))
    session.wait(1, timed=True)
    session.wait_for(caller, "HUP", 4.0)
    caller.error()


@scenario(slow=True)
def a_syn_ack_that_nobody_answers(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    flow.ask("S", options=FULL)
    session.wait(1, timed=True)
    flow.ask("A")
    listener.accept()


@scenario()
def settings_turn_options_off(session: Session) -> None:
    session.setting("net/ipv4/tcp_sack", "0")
    session.setting("net/ipv4/tcp_timestamps", "0")
    session.setting("net/ipv4/tcp_window_scaling", "0")
    session.listener()
    flow = session.flow(peer_port=41000)
    flow.ask("S", options=FULL)
    caller = session.socket()
    caller.connect()
    session.answers()


@scenario(slow=True)
def a_call_that_is_given_up(session: Session) -> None:
    """The listener's side, without a word."""
    session.setting("net/ipv4/tcp_synack_retries", "0")
    session.listener()
    flow = session.flow()
    flow.ask("S", options=PLAIN)
    session.pause(2.5)
    flow.ask("A")
