"""TCP: how connections end (RFC 9293 sections 3.6 and 3.10.4, RFC 1122 section 4.2.2.13, RFC 6191, RFC 2525)."""

from __future__ import annotations

import socket

from tests.packets.flow import FULL, PLAIN, SACK, Flow, Option
from tests.packets.scenarios import scenario
from tests.packets.session import Session, Socket

SIOCOUTQ = 0x5411
LINGER_NOW = (1).to_bytes(4, "little") + bytes(4)


def connected(session: Session, options: tuple[Option, ...] = PLAIN, window: int = 65535) -> tuple[Flow, Socket]:
    """A connection that the guest has accepted."""
    listener = session.listener()
    flow = session.flow()
    flow.window = window
    return flow, flow.open(listener, options)


def in_fin_wait_2(session: Session, options: tuple[Option, ...] = PLAIN) -> tuple[Flow, Socket]:
    """The guest has shut its half, and the peer has acknowledged that."""
    flow, accepted = connected(session, options)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("A")
    return flow, accepted


def in_time_wait(session: Session, options: tuple[Option, ...] = PLAIN) -> Flow:
    """Both have closed, the guest first."""
    flow, accepted = in_fin_wait_2(session, options)
    flow.ask("FA")
    accepted.close()
    session.answers()
    return flow


@scenario()
def the_guest_closes_first(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.close()
    session.answers()
    flow.ask("A")
    flow.ask("FA")
    flow.ask("FA", seq=1, note="again")


@scenario()
def the_peer_closes_first(session: Session) -> None:
    flow, accepted = connected(session)
    flow.send("FA")
    session.wait(1)
    accepted.state()
    accepted.read()
    accepted.poll()
    accepted.write(b"still here")
    session.answers()
    flow.ask("A")
    accepted.close()
    session.answers()
    flow.ask("A")
    flow.ask("A", note="gone")


@scenario()
def both_close_at_once(session: Session) -> None:
    """Simultaneous close (RFC 9293, figure 13)."""
    flow, accepted = connected(session)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("FA", ack=1)
    accepted.state()
    flow.ask("A", ack=2)
    accepted.state()
    accepted.read()


@scenario()
def a_fin_that_acknowledges_a_fin(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.close()
    session.answers()
    flow.ask("FA")
    flow.ask("FA", seq=1, note="again")


@scenario()
def half_of_it_is_closed(session: Session) -> None:
    """Data flow on, in the other direction."""
    flow, accepted = in_fin_wait_2(session)
    accepted.state()
    flow.ask("PA", b"hello")
    accepted.read()
    accepted.poll()
    accepted.write(b"no")
    flow.ask("PFA", b"world")
    accepted.read()
    accepted.read()
    accepted.state()


@scenario()
def a_fin_with_data(session: Session) -> None:
    flow, accepted = connected(session)
    flow.send("PFA", b"the last words")
    session.wait(1)
    accepted.read()
    accepted.read()
    accepted.state()


@scenario()
def a_fin_beyond_a_gap(session: Session) -> None:
    flow, accepted = connected(session, SACK)
    flow.ask("FA", seq=6)
    accepted.state()
    flow.send("PA", b"hello", seq=1)
    session.wait(1)
    accepted.read()
    accepted.read()
    accepted.state()


@scenario()
def data_after_a_fin(session: Session) -> None:
    flow, accepted = connected(session)
    flow.send("FA")
    session.wait(1)
    flow.ask("PA", b"more")
    accepted.read()
    accepted.state()


@scenario()
def a_fin_again_in_close_wait(session: Session) -> None:
    flow, accepted = connected(session)
    flow.send("FA")
    session.wait(1)
    flow.ask("FA", seq=1)
    accepted.state()


@scenario()
def the_guest_writes_and_closes(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(b"bye")
    accepted.close()
    session.answers()
    flow.ask("A", ack=4)
    flow.ask("A", ack=5)


@scenario()
def closed_with_unread_data(session: Session) -> None:
    """RFC 2525 section 2.17: the peer must know that its data are lost."""
    flow, accepted = connected(session)
    flow.ask("PA", b"unread")
    accepted.close()
    session.answers()
    flow.ask("A")


@scenario()
def data_after_close(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.close()
    session.answers()
    flow.ask("A")
    flow.ask("PA", b"too late")
    flow.ask("A")


@scenario()
def data_after_close_before_the_fin_is_acknowledged(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.close()
    session.answers()
    flow.ask("PA", b"crossing", ack=1)
    flow.ask("A", ack=2)


@scenario()
def shut_for_reading(session: Session) -> None:
    """The kernel goes on taking data, as on Linux."""
    flow, accepted = connected(session)
    flow.ask("PA", b"before")
    accepted.shutdown(socket.SHUT_RD)
    session.answers()
    flow.ask("PA", b"after")
    accepted.read()
    accepted.read()
    accepted.poll()


@scenario()
def lingering_for_no_time(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(b"lost?")
    accepted.set(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOW, "SO_LINGER on 0")
    accepted.close()
    session.answers()
    flow.ask("A")


@scenario()
def lingering_for_no_time_in_other_states(session: Session) -> None:
    listener = session.listener()
    flow = session.flow("close wait", peer_port=41000)
    accepted = flow.open(listener)
    flow.send("FA")
    session.wait(1)
    accepted.drop()
    session.answers()
    flow = session.flow("fin wait 1", peer_port=41001)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    accepted.drop()
    session.answers()
    flow = session.flow("fin wait 2", peer_port=41002)
    accepted = flow.open(listener)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("A")
    accepted.drop()
    session.answers()
    caller = session.socket()
    caller.connect(41003)
    session.flow("syn sent", port=0, peer_port=41003)
    session.barrier()
    caller.drop()
    session.answers()


@scenario()
def a_listener_closes(session: Session) -> None:
    """Connections that nobody has accepted end by a reset; those half open without a word."""
    listener = session.listener()
    whole = session.flow("whole", peer_port=41000)
    whole.shake()
    half = session.flow("half", peer_port=41001)
    half.ask("S", options=PLAIN)
    listener.close()
    session.answers()
    whole.ask("PA", b"hello")
    half.ask("A")


@scenario()
def association_dissolved(session: Session) -> None:
    """connect(2) to AF_UNSPEC."""
    flow, accepted = connected(session)
    accepted.connect(0, "none")
    session.answers()
    accepted.state()
    flow.ask("A")


# ---- TIME_WAIT ------------------------------------------------------------------------------------------------


@scenario()
def segments_in_time_wait(session: Session) -> None:
    flow = in_time_wait(session)
    flow.ask("A", note="as expected")
    flow.ask("PA", b"new")
    flow.ask("A", seq=100)
    flow.ask("A", seq=-100)
    flow.ask("FA", seq=1)
    flow.ask("", seq=2)
    flow.ask("SA", seq=1)


@scenario()
def a_reset_in_time_wait(session: Session) -> None:
    """RFC 1337: Linux forgets the connection, unless configured otherwise."""
    flow = in_time_wait(session)
    flow.ask("R", seq=500)
    flow.ask("A", seq=2, note="still there")
    flow.ask("R", seq=2)
    flow.ask("A", seq=2)


@scenario()
def a_new_call_in_time_wait(session: Session) -> None:
    """RFC 1122: a larger number begins anew."""
    flow = in_time_wait(session)
    flow.ask("S", seq=-5, options=PLAIN, note="an old number")
    flow.ask("S", seq=100_000, options=PLAIN)
    flow.ask("A", seq=100_001)


@scenario()
def a_new_call_in_time_wait_by_timestamp(session: Session) -> None:
    """RFC 6191: a newer timestamp will do, whatever the number."""
    flow = in_time_wait(session, FULL)
    older: tuple[Option, ...] = (*PLAIN, ("Timestamp", (900, 0)))
    same: tuple[Option, ...] = (*PLAIN, ("Timestamp", (1001, 0)))
    newer: tuple[Option, ...] = (*PLAIN, ("Timestamp", (2000, 0)))
    flow.ask("S", seq=100_000, options=older)
    flow.ask("S", seq=-5000, options=same)
    flow.ask("S", seq=-5000, options=newer)


@scenario()
def a_new_call_in_time_wait_without_a_listener(session: Session) -> None:
    listener = session.listener()
    flow = session.flow()
    accepted = flow.open(listener)
    listener.close()
    accepted.close()
    session.answers()
    flow.ask("A")
    flow.ask("FA")
    flow.ask("S", seq=100_000, options=PLAIN)
    flow.ask("A", seq=2)


@scenario()
def old_timestamps_in_time_wait(session: Session) -> None:
    flow = in_time_wait(session, FULL)
    flow.stamp = 500
    flow.ask("A")
    flow.ask("FA", seq=1)
    flow.ask("R")
    flow.stamp = 2000
    flow.ask("FA", seq=1, note="still there")


@scenario(slow=True)
def fin_wait_2_ends(session: Session) -> None:
    """TCP_LINGER2: how long an abandoned connection waits for the peer's FIN."""
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_LINGER2, 1, "TCP_LINGER2")
    accepted.close()
    session.answers()
    flow.ask("A")
    session.pause(2.0)
    flow.ask("FA")


@scenario()
def linger2_below_zero(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_LINGER2, -1, "TCP_LINGER2")
    accepted.close()
    session.answers()
    flow.ask("A")
    flow.ask("FA")


@scenario(slow=True)
def a_fin_that_nobody_acknowledges(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.close()
    session.answers()
    session.wait(2, timed=True)
    flow.ask("A")


@scenario(slow=True)
def the_last_ack_is_lost(session: Session) -> None:
    flow, accepted = connected(session)
    flow.send("FA")
    session.wait(1)
    accepted.close()
    session.answers()
    session.wait(1, timed=True)
    flow.ask("R")
