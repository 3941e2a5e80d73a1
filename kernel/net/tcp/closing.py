"""How connections end: by FIN in order, by reset, by giving up (RFC 9293, sections 3.6 and 3.10.4 to 3.10.5)."""

from kernel.net.tcp import memory, output
from kernel.net.tcp.connection import (
    EVENT_CLOSED,
    EVENT_READABLE,
    EVENT_STATE,
    EVENT_WRITABLE,
    FOREVER,
    Connection,
    State,
)
from kernel.net.tcp.memory import MEMORY
from kernel.net.tcp.parts import Timeout


def finish(c: Connection, error: int) -> None:
    """End the connection; `error` (an errno, or 0) is for the program. Received data stay readable."""
    state = c.state
    if state == State.CLOSED:
        return
    if state == State.SYN_SENT or state == State.SYN_RECEIVED:
        c.network.tcp.attempt_fails += 1
    elif state == State.ESTABLISHED or state == State.CLOSE_WAIT:
        c.network.tcp.established_resets += 1
    c.state = State.CLOSED
    if error != 0 and c.error == 0:
        c.error = error
    c.timers.timeout = Timeout.NONE
    c.timers.timeout_ns = FOREVER
    c.timers.resume_ns = FOREVER
    c.timers.delayed_ack_ns = FOREVER
    c.timers.keepalive_ns = FOREVER
    c.queue.clear()
    c.scoreboard.clear()
    c.receive.drop_early()
    c.receiver.ack_now = False
    c.receiver.ack_wanted = False
    memory.end_orphan(c)
    if c.is_orphan:
        c.receive.clear()
    c.events |= EVENT_CLOSED | EVENT_STATE | EVENT_READABLE | EVENT_WRITABLE


def enter_time_wait(c: Connection) -> None:
    """Both sides have closed and we closed first: the pair of ports rests for a while, kept by the stack."""
    c.rests_in_time_wait = True
    finish(c, 0)


def shut_send(c: Connection, now_ns: int) -> None:
    """No more data will be written: a FIN follows the queued data."""
    if c.state == State.ESTABLISHED:
        c.state = State.FIN_WAIT_1
    elif c.state == State.CLOSE_WAIT:
        c.state = State.LAST_ACK
    elif c.state == State.SYN_RECEIVED:
        pass  # the FIN goes once the peer has acknowledged our SYN
    elif c.state == State.SYN_SENT:
        finish(c, 0)
        return
    else:
        return
    c.sender.fin_queued = True
    c.events |= EVENT_STATE
    output.transmit(c, now_ns)


def abort(c: Connection, error: int, now_ns: int) -> None:
    """End it at once, and notify the peer by a reset; but not a peer that has closed, too, or that we called and that
    knows of nothing yet.
    """
    state = c.state
    has_closed = state == State.CLOSING or state == State.LAST_ACK
    if (c.is_synchronized() and not has_closed) or (state == State.SYN_RECEIVED and not c.is_passive):
        output.send_reset(c, now_ns)
    finish(c, error)


def make_room(c: Connection, now_ns: int) -> None:
    """End an orphan, because others need what it holds (memory.py)."""
    c.network.tcp_events.aborts_on_memory.count += 1
    abort(c, 0, now_ns)


def close(c: Connection, now_ns: int) -> None:
    """The program has closed its last descriptor. Unread data are lost data: a reset reports that
    (RFC 2525, section 2.17). If there are too many such connections, or no memory, it ends at once.
    """
    c.is_orphan = True
    c.receive_shut = True
    unread = c.receive.bytes
    c.receive.clear()
    if c.state == State.CLOSED:
        return
    if unread > 0:
        c.network.tcp_events.aborts_on_close.count += 1
        abort(c, 0, now_ns)
        return
    if not MEMORY.has_room_for_orphan(c):
        make_room(c, now_ns)
        return
    memory.count_orphan(c)
    shut_send(c, now_ns)
    if c.state == State.FIN_WAIT_2:
        # No one will ever read what the peer sends: it gets a limited time to close, or none.
        if c.timers.fin_wait_ns == 0:
            c.network.tcp_events.aborts_on_linger.count += 1
            abort(c, 0, now_ns)
            return
        c.timers.keepalive_ns = now_ns + c.timers.fin_wait_ns
