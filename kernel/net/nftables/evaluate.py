"""A packet goes through a base chain: its rules in turn, and the chains that they jump to.

Work is bounded: jumps go sixteen deep at most, and batches that would make a circle are refused. But each of the
sixteen may be taken many times, so what rules and look-ups take is counted as well, and a packet that costs more than
`MOST_WORK` at one point is dropped. Whoever sends much takes its safe points sooner (`spend`).

Context: thread context; nothing sleeps. May raise MemoryError: the packet is dropped.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import spend
from kernel.net.link.hooks import OUTPUT, Hook, Place, Verdict
from kernel.net.link.packet import Packet
from kernel.net.nftables.expression import BREAK, CONTINUE, GOTO, RETURN, Run
from kernel.net.nftables.model import ACCEPT, DROP, TYPE_ROUTE, Chain, Firewall, Rule
from kernel.time import monotonic_ns

DEPTH: Final = 16  # NFT_JUMP_STACK_SIZE
MOST_WORK: Final = 20_000_000  # instructions, at one point: more than 80,000 rules
_STOLEN: Final = 2
_EXPRESSION_COST: Final = 60  # instructions
_RULE_COST: Final = 30
_CHAIN_COST: Final = 600
_VERDICT_MASK: Final = 0xFF


@final
class Frame:
    """Where a chain goes on when the one that it jumped to returns."""

    def __init__(self, rules: list[Rule], at: int, below: "Frame | None") -> None:
        self.rules: list[Rule] = rules
        self.at: int = at
        self.below: Frame | None = below


def run_chain(chain: Chain, run: Run) -> None:
    """Have a packet go through a base chain; `run.verdict` is CONTINUE where its policy is to decide."""
    rules = chain.active
    at = 0
    frames: Frame | None = None
    depth = 0
    place = run.place
    before = place.work
    while True:
        if at >= len(rules):
            if frames is None:
                break
            rules = frames.rules
            at = frames.at
            frames = frames.below
            depth -= 1
            continue
        rule = rules[at]
        at += 1
        run.verdict = CONTINUE
        work = _RULE_COST
        for expression in rule.expressions:
            work += _EXPRESSION_COST
            expression.evaluate(run)
            if run.verdict != CONTINUE:
                break
        place.work += work
        if place.work > MOST_WORK:
            run.verdict = DROP
            break
        verdict = run.verdict
        if verdict == CONTINUE or verdict == BREAK:
            run.verdict = CONTINUE
            continue
        if verdict >= 0:
            break
        target = run.target
        if verdict == RETURN or target is None:
            at = len(rules)
        elif verdict == GOTO:
            rules = target.active
            at = 0
        else:
            if depth == DEPTH:
                run.verdict = DROP  # a batch that made this possible was refused
                break
            frames = Frame(rules, at, frames)
            depth += 1
            rules = target.active
            at = 0
        run.verdict = CONTINUE
    spend(place.work - before)


@final
class ChainHook(Hook):
    """A base chain as a hook."""

    def __init__(self, chain: Chain, firewall: Firewall, priority: int) -> None:
        super().__init__(priority)
        self.chain: Chain = chain
        self.firewall: Firewall = firewall

    def look(self, packet: Packet, place: Place) -> Verdict:
        chain = self.chain
        firewall = self.firewall
        if not chain.is_in(firewall.cursor):
            return Verdict.ACCEPT
        spend(_CHAIN_COST)
        run = Run(packet, place, firewall.cursor, monotonic_ns())
        run_chain(chain, run)
        verdict = run.verdict
        if verdict == CONTINUE:
            verdict = chain.policy
            if chain.has_counters:
                chain.packets = (chain.packets & 0x3FFF_FFFF_FFFF_FFFF) + 1
                chain.bytes = (chain.bytes & 0x3FFF_FFFF_FFFF_FFFF) + packet.end - packet.network_start
        base = chain.base
        if base is not None and base.kind == TYPE_ROUTE and place.point == OUTPUT and run.reroutes:
            place.reroute = True
        if verdict & _VERDICT_MASK == ACCEPT:
            return Verdict.ACCEPT
        return Verdict.STOLEN if verdict & _VERDICT_MASK == _STOLEN else Verdict.DROP
