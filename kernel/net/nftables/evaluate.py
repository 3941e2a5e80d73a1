"""Sending a packet through a base chain: its rules in turn, and the chains that they jump to.

Work is bounded: jumps go at most sixteen deep, and batches that would create a cycle are refused. But each of the
sixteen may be taken many times, so the cost of rules and look-ups is spent as it arises, wherever the packet is on its
path. A packet is dropped when the running thread has gone `MOST_BEHIND` instructions past where it should have had a
safe point. `ethernet.drain` ensures that packets sent late are received later, by the network thread.

Context: thread context; nothing sleeps. May raise MemoryError: the packet is dropped.
"""

from typing import Final

from kernel.lang import final
from kernel.lib.pace import PACE, spend
from kernel.net.link.hooks import OUTPUT, Hook, Place, Verdict
from kernel.net.link.packet import Packet
from kernel.net.nftables.expression import BREAK, CONTINUE, GOTO, MOST_BEHIND, RETURN, Run
from kernel.net.nftables.model import ACCEPT, DROP, TYPE_ROUTE, Chain, Firewall, RuleList
from kernel.time import monotonic_ns

DEPTH: Final = 16  # NFT_JUMP_STACK_SIZE
_STOLEN: Final = 2
_EXPRESSION_COST: Final = 80  # instructions, besides what one spends itself
_RULE_COST: Final = 40
_SKIP_COST: Final = 20
_CHAIN_COST: Final = 600
_NOWHERE: Final = 256  # more than a rule has expressions
_VERDICT_MASK: Final = 0xFF


@final
class Frame:
    """Where a chain continues when the one that it jumped to returns."""

    def __init__(self, active: RuleList, at: int, below: "Frame | None") -> None:
        self.active: RuleList = active
        self.at: int = at
        self.below: Frame | None = below


def run_chain(chain: Chain, run: Run) -> None:
    """Send a packet through a base chain; `run.verdict` is CONTINUE if its policy is to decide."""
    active = chain.rules_in(run.generation)
    at = 0
    ended = _NOWHERE  # the expression that failed in the rule before
    frames: Frame | None = None
    depth = 0
    while True:
        if PACE.left < -MOST_BEHIND:
            run.verdict = DROP
            return
        if at >= len(active.rules):
            if frames is None:
                return
            active = frames.active
            at = frames.at
            frames = frames.below
            ended = _NOWHERE
            depth -= 1
            continue
        if active.alike[at] > ended:
            at += 1
            spend(_SKIP_COST)
            continue
        rule = active.rules[at]
        at += 1
        run.verdict = CONTINUE
        ended = 0
        for expression in rule.expressions:
            expression.evaluate(run)
            if run.verdict != CONTINUE:
                break
            ended += 1
        spend(_RULE_COST + (ended + 1) * _EXPRESSION_COST)
        verdict = run.verdict
        if verdict == BREAK:
            run.verdict = CONTINUE
            continue
        ended = _NOWHERE
        if verdict == CONTINUE:
            continue
        if verdict >= 0:
            return
        target = run.target
        run.verdict = CONTINUE
        if verdict == RETURN or target is None:
            at = len(active.rules)
            continue
        if verdict != GOTO:
            if depth == DEPTH:
                run.verdict = DROP  # a batch that made this possible was refused
                return
            frames = Frame(active, at, frames)
            depth += 1
        active = target.rules_in(run.generation)
        at = 0


@final
class ChainHook(Hook):
    """A base chain as a hook."""

    def __init__(self, chain: Chain, firewall: Firewall, priority: int) -> None:
        super().__init__(priority)
        self.chain: Chain = chain
        self.firewall: Firewall = firewall
        self.is_awake: bool = False  # set at the end of the batch that registers it

    def look(self, packet: Packet, place: Place) -> Verdict:
        chain = self.chain
        firewall = self.firewall
        if not self.is_awake or not chain.is_in(firewall.cursor):
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
