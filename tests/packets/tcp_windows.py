"""TCP: windows, the receiver's and the guest's own (RFC 9293 section 3.8.6, RFC 1122 section 4.2.3.4)."""

from __future__ import annotations

import socket

from tests.packets.flow import PLAIN
from tests.packets.scenarios import scenario
from tests.packets.stage import Stage
from tests.packets.tcp_closing import connected


@scenario()
def no_more_than_the_window(stage: Stage) -> None:
    flow, accepted = connected(stage, window=3000)
    accepted.write(5000)
    stage.answers()
    flow.ask("A", window=2080)


@scenario()
def the_window_opens_without_an_acknowledgment(stage: Stage) -> None:
    flow, accepted = connected(stage, window=1460)
    accepted.write(4000)
    stage.answers()
    flow.ask("A", ack=1, window=65535)


@scenario()
def the_window_shrinks(stage: Stage) -> None:
    """What was sent beyond it was sent; nothing more goes."""
    flow, accepted = connected(stage)
    accepted.write(2000)
    stage.answers()
    flow.ask("A", ack=1461, window=100)
    accepted.write(2000)
    stage.answers()
    flow.ask("A", ack=2001, window=65535)


@scenario()
def a_smaller_window_with_the_same_numbers(stage: Stage) -> None:
    """Taken as the older of two segments, unless it is closed."""
    flow, accepted = connected(stage)
    flow.ask("A", window=1000)
    accepted.write(3000)
    stage.answers()


@scenario()
def an_old_segment_does_not_move_the_window(stage: Stage) -> None:
    """SND.WL1."""
    flow, accepted = connected(stage)
    flow.ask("PA", b"12345")
    flow.ask("PA", b"678", window=2920)
    flow.ask("PA", b"123", seq=1, window=60000, note="old")
    accepted.write(4000)
    stage.answers()


@scenario(slow=True)
def a_closed_window_is_probed(stage: Stage) -> None:
    flow, accepted = connected(stage)
    flow.ask("A", window=0)
    accepted.write(b"hello")
    stage.answers()
    stage.wait(3, timed=True)
    flow.ask("A", window=0, note="still closed")
    stage.wait(1)
    flow.ask("A", window=1000)


@scenario(slow=True)
def a_closed_window_is_probed_less_and_less(stage: Stage) -> None:
    """Although the peer answers each time."""
    flow, accepted = connected(stage)
    flow.ask("A", window=0)
    accepted.write(b"hello")
    for _ in range(4):
        stage.wait(1, timed=True)
        flow.ask("A", window=0, note="still closed")
    flow.ask("A", window=1000)


@scenario(slow=True)
def a_window_that_closes_behind_data(stage: Stage) -> None:
    flow, accepted = connected(stage)
    accepted.write(1000)
    stage.answers()
    flow.ask("A", window=0)
    accepted.write(1000)
    stage.answers()
    stage.wait(1, timed=True)
    flow.ask("A", window=5000)


@scenario(slow=True)
def a_fin_before_a_closed_window(stage: Stage) -> None:
    """A FIN has a number, which needs room."""
    flow, accepted = connected(stage)
    flow.ask("A", window=0)
    accepted.shutdown(socket.SHUT_WR)
    stage.answers()
    flow.ask("A")


@scenario(slow=True)
def a_window_smaller_than_a_segment(stage: Stage) -> None:
    """The sender's side of the silly window syndrome (RFC 9293 section 3.8.6.2.1)."""
    flow, accepted = connected(stage)
    accepted.write(1000)
    stage.answers()
    flow.ask("A", window=100)
    accepted.write(2000)
    stage.answers()
    stage.wait(1, timed=True)
    flow.ask("A", window=65535)


@scenario()
def a_window_that_was_always_small(stage: Stage) -> None:
    """Half of the largest window ever offered may be sent."""
    flow, accepted = connected(stage, window=200)
    accepted.write(1000)
    stage.answers()
    flow.ask("A")


@scenario()
def nagle(stage: Stage) -> None:
    """A short segment waits while another short one is on its way; full ones do not hold it up."""
    flow, accepted = connected(stage)
    accepted.write(b"one")
    accepted.write(b"two")
    stage.answers()
    flow.ask("A")
    stage.answers()
    flow.ask("A")
    accepted.write(1470)
    stage.answers()


@scenario()
def without_nagle(stage: Stage) -> None:
    flow, accepted = connected(stage)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1, "TCP_NODELAY")
    accepted.write(b"one")
    accepted.write(b"two")
    stage.answers()
    flow.ask("A")


@scenario()
def corked(stage: Stage) -> None:
    flow, accepted = connected(stage)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 1, "TCP_CORK")
    accepted.write(b"one")
    accepted.write(1458)
    accepted.write(b"three")
    stage.answers()
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 0, "TCP_CORK")
    stage.answers()
    flow.ask("A")


@scenario(slow=True)
def a_cork_gives_way(stage: Stage) -> None:
    """After a fifth of a second."""
    flow, accepted = connected(stage)
    accepted.set(socket.IPPROTO_TCP, socket.TCP_CORK, 1, "TCP_CORK")
    accepted.write(b"one")
    stage.wait(1, timed=True)
    flow.ask("A")


@scenario()
def more_to_come(stage: Stage) -> None:
    flow, accepted = connected(stage)
    flow.numbers.shows_push = True
    accepted.write(b"one", socket.MSG_MORE)
    stage.answers()
    accepted.write(b"two")
    stage.answers()
    flow.ask("A")


@scenario()
def the_last_segment_of_a_write_is_pushed(stage: Stage) -> None:
    flow, accepted = connected(stage)
    flow.numbers.shows_push = True
    accepted.write(4000)
    stage.answers()


@scenario()
def the_guests_window_closes_and_opens(stage: Stage) -> None:
    """Nobody reads: the window closes. The program reads: the window's update comes by itself."""
    listener = stage.listener()
    listener.set(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048, "SO_RCVBUF")
    flow = stage.flow()
    accepted = flow.open(listener, PLAIN)
    size = 0
    for _ in range(40):
        flow.stage.send(flow.build("A", b"x" * 100, seq=1 + size), "")
        stage.barrier_quietly(flow)
        size += 100
        if flow.seen[-1]["TCP"].window < 100:
            break
    stage.say(f"the window is {'closed' if flow.seen[-1]['TCP'].window < 100 else 'open'}")
    flow.stage.send(flow.build("A", b"y" * 1000, seq=1 + size), "")
    stage.barrier_quietly(flow)
    taken = flow.seen[-1]["TCP"].ack - flow.numbers.peer - 1
    flow.stage.send(flow.build("A", b"z", seq=taken), "")
    stage.barrier_quietly(flow)
    stage.say(f"a probe is answered: {len(flow.seen) > 0}")
    flow.seen.clear()
    while accepted.quietly_read() > 0:
        pass
    stage.barrier_quietly(flow)
    stage.say(f"the update came: {bool(flow.seen) and flow.seen[-1]['TCP'].window > 500}")
