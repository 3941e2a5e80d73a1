"""TCP: how connections begin (RFC 9293 section 3.5, RFC 7323, RFC 2018)."""

from __future__ import annotations

from tests.packets.flow import FULL, PLAIN
from tests.packets.scenarios import scenario
from tests.packets.stage import Stage


@scenario()
def syn_to_a_closed_port(stage: Stage) -> None:
    stage.flow().ask("S", options=PLAIN)


@scenario()
def a_connection_with_all_options(stage: Stage) -> None:
    listener = stage.listener()
    flow = stage.flow()
    accepted = flow.open(listener, FULL)
    flow.ask("PA", b"hello")
    accepted.read()
    accepted.write(b"world")
    stage.answers()
    flow.ask("A")
    flow.ask("FA")
    stage.wait(1)
    accepted.read()
    accepted.close()
    stage.answers()
    flow.ask("A")


@scenario()
def the_guest_calls(stage: Stage) -> None:
    caller = stage.socket()
    caller.bind("10.9.0.1", stage.port)
    caller.connect()
    flow = stage.flow()
    stage.answers()
    flow.answer_call(FULL)
    caller.error()
    caller.state()
