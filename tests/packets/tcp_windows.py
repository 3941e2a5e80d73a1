"""TCP: windows, the receiver's and the guest's own (RFC 9293 section 3.8.6, RFC 1122 section 4.2.3.4)."""

from __future__ import annotations

import socket

from tests.packets.flow import PLAIN
from tests.packets.scenarios import scenario
from tests.packets.session import Session
from tests.packets.tcp_closing import connected


@scenario()
def no_more_than_the_window(session: Session) -> None:
    flow, accepted = connected(session, window=3000)
    accepted.write(5000)
    session.answers()
    flow.ask("A", window=2080)


@scenario()
def the_window_opens_without_an_acknowledgment(session: Session) -> None:
    flow, accepted = connected(session, window=1460)
    accepted.write(4000)
    session.answers()
    flow.ask("A", ack=1, window=65535)


@scenario()
def the_window_shrinks(session: Session) -> None:
    """What was sent beyond it was sent; nothing more goes."""
    flow, accepted = connected(session)
    accepted.write(2000)
    session.answers()
    flow.ask("A", ack=1461, window=100)
    accepted.write(2000)
    session.answers()
    flow.ask("A", ack=2001, window=65535)


@scenario()
def a_smaller_window_with_the_same_numbers(session: Session) -> None:
    """Taken as the older of two segments, unless it is closed."""
    flow, accepted = connected(session)
    flow.ask("A", window=1000)
    accepted.write(3000)
    session.answers()


@scenario()
def an_old_segment_does_not_move_the_window(session: Session) -> None:
    """SND.WL1."""
    flow, accepted = connected(session)
    flow.ask("PA", b"12345")
    flow.ask("PA", b"678", window=2920)
    flow.ask("PA", b"123", seq=1, window=60000, note="old")
    accepted.write(4000)
    session.answers()


@scenario(slow=True)
def a_closed_window_is_probed(session: Session) -> None:
    flow, accepted = connected(session)
    flow.ask("A", window=0)
    accepted.write(b"hello")
    session.answers()
    session.wait(3, timed=True)
    flow.ask("A", window=0, note="still closed")
    session.wait(1)
    flow.ask("A", window=1000)


@scenario(slow=True)
def a_closed_window_is_probed_less_and_less(session: Session) -> None:
    """Although the peer answers each time."""
    flow, accepted = connected(session)
    flow.ask("A", window=0)
    accepted.write(b"hello")
    for _ in range(4):
        session.wait(1, timed=True)
        flow.ask("A", window=0, note="still closed")
    flow.ask("A", window=1000)


@scenario(slow=True)
def a_window_that_closes_after_data(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.write(1000)
    session.answers()
    flow.ask("A", window=0)
    accepted.write(1000)
    session.answers()
    session.wait(1, timed=True)
    flow.ask("A", window=5000)


@scenario(slow=True)
def a_fin_before_a_closed_window(session: Session) -> None:
    """A FIN has a number, which needs room."""
    flow, accepted = connected(session)
    flow.ask("A", window=0)
    accepted.shutdown(socket.SHUT_WR)
    session.answers()
    flow.ask("A")


@scenario(slow=True)
def a_window_smaller_than_a_segment(session: Session) -> None:
    """The sender's side of the silly window syndrome (RFC 9293 section 3.8.6.2.1)."""
    flow, accepted = connected(session)
    accepted.write(1000)
    session.answers()
    flow.ask("A", window=100)
    accepted.write(2000)
    session.answers()
    session.wait(1, timed=True)
    flow.ask("A", window=65535)


@scenario()
def a_window_that_was_always_small(session: Session) -> None:
    """Half of the largest window ever offered may be sent."""
    flow, accepted = connected(session, window=200)
    accepted.write(1000)
    session.answers()
    flow.ask("A")


@scenario()
def nagle(session: Session) -> None:
    """A short segment waits while another short one is on its way; full ones do not hold it up."""
    flow, accepted = connected(session)
    accepted.write(b"one")
    accepted.write(b"two")
    session.answers()
    flow.ask("A")
    session.answers()
    flow.ask("A")
    accepted.write(1470)
    session.answers()


@scenario()
def without_nagle(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1, "TCP_NODELAY")
    accepted.write(b"one")
    accepted.write(b"two")
    session.answers()
    flow.ask("A")


@scenario()
def corked(session: Session) -> None:
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 1, "TCP_CORK")
    accepted.write(b"one")
    accepted.write(1458)
    accepted.write(b"three")
    session.answers()
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 0, "TCP_CORK")
    session.answers()
    flow.ask("A")


@scenario(slow=True)
def a_cork_gives_way(session: Session) -> None:
    """After a fifth of a second."""
    flow, accepted = connected(session)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 1, "TCP_CORK")
    accepted.write(b"one")
    session.wait(1, timed=True)
    flow.ask("A")


@scenario()
def more_to_come(session: Session) -> None:
    flow, accepted = connected(session)
    flow.numbers.shows_push = True
    accepted.write(b"one", socket.MSG_MORE)
    session.answers()
    accepted.write(b"two")
    session.answers()
    flow.ask("A")


@scenario()
def the_last_segment_of_a_write_is_pushed(session: Session) -> None:
    flow, accepted = connected(session)
    flow.numbers.shows_push = True
    accepted.write(4000)
    session.answers()


@scenario()
def the_guests_window_closes_and_opens(session: Session) -> None:
    """Nobody reads: the window closes. The program reads: the window's update comes by itself."""
    listener = session.listener()
    listener.set(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048, "SO_RCVBUF")
    flow = session.flow()
    accepted = flow.open(listener, PLAIN)
    size = 0
    for _ in range(40):
        flow.session.send(flow.build("A", b"x" * 100, seq=1 + size), "")
        session.barrier_quietly(flow)
        size += 100
        if flow.seen[-1]["TCP"].window < 100:
            break
    session.say(f"the window is {'closed' if flow.seen[-1]['TCP'].window < 100 else 'open'}")
    flow.session.send(flow.build("A", b"y" * 1000, seq=1 + size), "")
    session.barrier_quietly(flow)
    taken = flow.seen[-1]["TCP"].ack - flow.numbers.peer - 1
    flow.session.send(flow.build("A", b"z", seq=taken), "")
    session.barrier_quietly(flow)
    session.say(f"a probe is answered: {len(flow.seen) > 0}")
    flow.seen.clear()
    while accepted.quietly_read() > 0:
        pass
    session.barrier_quietly(flow)
    session.say(f"the update came: {bool(flow.seen) and flow.seen[-1]['TCP'].window > 500}")
