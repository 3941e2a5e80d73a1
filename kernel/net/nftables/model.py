"""The parts of a network's firewall: tables, with chains of rules, sets and named objects.

All changes of a batch take effect at once when it is complete. Until then both states exist: each
object says in which of two generations it is `absent`, and the firewall's `cursor` says which one packets see. Objects
that a batch adds are absent in the present one, objects that it deletes in the next.

Invariants: `uses` of a chain, a set or an object counts the references to it in the next generation; an object with
users is not deleted. A chain's `active` rules are those that packets see; they change only at the end of a batch.
Context: batches and listings hold the firewall's lock, and may sleep; so names do not change while one walks
them. Packets take no lock, and nothing sleeps there.
"""

from typing import Final, Generic, TypeVar

from kernel.lang import final
from kernel.lib.pace import pace, pace_or_end
from kernel.net.link.hooks import FAMILY_IP4, FAMILY_IP6, Hook
from kernel.net.link.network import Network, PartMaker, register_part
from kernel.net.link.part import Part
from kernel.net.nftables.expression import Expression, Stateful
from kernel.sched import Mutex

# Families (NFPROTO_*).
FAMILY_INET: Final = 1
FAMILY_ARP: Final = 3
FAMILY_NETDEV: Final = 5
FAMILY_BRIDGE: Final = 7

DROP: Final = 0  # NF_DROP, NF_ACCEPT: verdicts and policies
ACCEPT: Final = 1

NAME_LIMIT: Final = 255  # bytes
_LOOK_COST: Final = 30  # instructions
_RENAME_COST: Final = 300

NOWHERE: Final = 3  # absent from both generations

TABLE_DORMANT: Final = 1
TABLE_OWNER: Final = 2
TABLE_PERSIST: Final = 4

TYPE_FILTER: Final = 0
TYPE_ROUTE: Final = 1
TYPE_NAT: Final = 2

T = TypeVar("T", bound="Named")


class Versioned:
    """An object that a batch may add or delete."""

    def __init__(self) -> None:
        self.absent: int = 0  # generations from which it is absent, a bit each

    def is_in(self, generation: int) -> bool:
        """Whether it is present in a generation (a bit)."""
        return self.absent & generation == 0

    def settle(self) -> None:
        """The batch that added it has taken effect; if it deleted it as well, it stays absent."""
        if self.absent != NOWHERE:
            self.absent = 0


class Named(Versioned):
    """An object with a name in its table, and a number."""

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self.name: bytes = name
        self.handle: int = 0
        self.uses: int = 0
        self.userdata: bytes = b""


class Names(Generic[T]):
    """Objects of one kind by name, in the order of creation. A deleted one may exist beside another of
    the same name until the batch ends.
    """

    def __init__(self) -> None:
        self.by_name: dict[bytes, list[T]] = {}
        self.count: int = 0

    def find(self, name: bytes, generation: int) -> T | None:
        """The object with a name in a generation."""
        found = self.by_name.get(name)
        if found is not None:
            for each in found:
                if each.absent & generation == 0:
                    return each
        return None

    def find_handle(self, handle: int, generation: int) -> T | None:
        """The object with a number. Sleeps."""
        for found in self.by_name.values():
            pace_or_end(_LOOK_COST)
            for each in found:
                if each.handle == handle and each.absent & generation == 0:
                    return each
        return None

    def add(self, item: T) -> None:
        """Add an object. Raises MemoryError, with nothing done."""
        found = self.by_name.get(item.name)
        if found is None:
            self.by_name[item.name] = [item]
        else:
            found.append(item)
        self.count += 1

    def remove(self, item: T) -> None:
        """Remove an object that is there."""
        found = self.by_name.get(item.name)
        if found is None:
            return
        found.remove(item)
        self.count -= 1
        if len(found) == 0:
            del self.by_name[item.name]

    def rename(self, item: T, name: bytes) -> None:
        """Give an object a name that no other has in its generation; it keeps its place. Sleeps; raises MemoryError,
        with nothing done.
        """
        by_name: dict[bytes, list[T]] = {}
        named: list[T] = [item]
        for other in self.by_name.get(name, []):
            named.append(other)
        for old, found in self.by_name.items():
            pace_or_end(_RENAME_COST)
            if old == name:
                continue  # those are deleted, and stay with the new one until then
            if old != item.name:
                by_name[old] = found
                continue
            by_name[name] = named
            if len(found) > 1:
                by_name[old] = [each for each in found if each is not item]
        self.by_name = by_name
        item.name = name

    def all_in(self, generation: int) -> list[T]:
        """The objects of a generation. Sleeps; raises MemoryError."""
        listed: list[T] = []
        for found in self.by_name.values():
            pace_or_end(_LOOK_COST)
            for each in found:
                if each.absent & generation == 0:
                    listed.append(each)
        return listed

    def count_in(self, generation: int) -> int:
        """The number of objects in a generation. Sleeps."""
        count = 0
        for found in self.by_name.values():
            pace(_LOOK_COST)
            for each in found:
                if each.absent & generation == 0:
                    count += 1
        return count

    def any_one(self) -> T | None:
        """Any object, whatever its generation."""
        for found in self.by_name.values():
            return found[0]
        return None


@final
class Rule(Versioned):
    """A rule: expressions that are evaluated in turn until one fails."""

    def __init__(self, handle: int) -> None:
        super().__init__()
        self.handle: int = handle
        self.number: int = 0  # by which a batch refers to it (NFTA_RULE_ID)
        self.expressions: list[Expression] = []
        self.userdata: bytes = b""


@final
class RuleList:
    """The rules of a chain that packets see. The list never changes.

    Consecutive rules often begin alike: with a test for the same protocol, for example. If the first fails at an
    expression that the next one begins with too, that one cannot match either.
    """

    def __init__(self, rules: list[Rule], alike: bytearray) -> None:
        self.rules: list[Rule] = rules
        self.alike: bytearray = alike  # for each: how many of its first expressions equal those of the one before


def count_alike(rule: Rule, before: Rule | None) -> int:
    """How many of a rule's first expressions equal those of the one before."""
    if before is None:
        return 0
    most = min(len(rule.expressions), len(before.expressions))
    count = 0
    while count < most and rule.expressions[count].is_like(before.expressions[count]):
        count += 1
    return count


class BasePart:
    """The registration of a base chain."""

    def __init__(self, point: int, priority: int, kind: int) -> None:
        self.point: int = point
        self.priority: int = priority
        self.kind: int = kind  # TYPE_*


@final
class Chain(Named):
    """A chain of rules. Base chains see the packets of a hook."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.flags: int = 0
        self.number: int = 0  # by which a batch refers to it (NFTA_CHAIN_ID)
        self.rules: list[Rule] = []  # of both generations
        self.by_handle: dict[int, Rule] = {}
        self.active: RuleList = RuleList([], bytearray())
        self.prepared: RuleList | None = None  # the new `active` when the batch ends …
        self.prepared_for: int = 0  # … in this generation, a bit …
        self.kept: list[Rule] | None = None  # … and `rules`
        self.policy: int = ACCEPT
        self.next_policy: int = ACCEPT
        self.table: Table | None = None  # until it is removed: each refers to the other
        self.families: list[int] = []  # where it is registered
        self.base: BasePart | None = None
        self.hook: Hook | None = None  # of a registered base chain; it refers to the chain
        self.has_counters: bool = False
        self.packets: int = 0  # that reached the policy
        self.bytes: int = 0
        self.checked_for: int = 0  # the number of the check that saw it last …
        self.checked_depth: int = 0  # … and its depth of jumps

    def rules_in(self, generation: int) -> RuleList:
        """The rules that packets see in a generation."""
        prepared = self.prepared
        return self.active if prepared is None or self.prepared_for != generation else prepared

    def settle_rules(self) -> None:
        """The generation for which rules were prepared is now the present one."""
        prepared = self.prepared
        if prepared is not None:
            self.active = prepared
            self.prepared = None
        kept = self.kept
        if kept is not None:
            self.rules = kept
            self.kept = None


class NamedSet(Named):
    """Base of sets (`sets.py`)."""

    def __init__(self, name: bytes) -> None:
        super().__init__(name)
        self.table: Table | None = None  # until it is removed: each refers to the other


class StatefulObject(Named):
    """A named counter, quota, limit …: an expression that rules share. Objects of different kinds may share a name,
    so the kind is the last byte of the table's internal name for it.
    """

    def __init__(self, title: bytes, kind: int, expression: Stateful) -> None:
        super().__init__(title + bytes([kind & 0xFF]))
        self.title: bytes = title
        self.kind: int = kind  # NFT_OBJECT_*
        self.expression: Stateful = expression


@final
class Table(Versioned):
    """A table of one family."""

    def __init__(self, family: int, name: bytes, handle: int) -> None:
        super().__init__()
        self.family: int = family
        self.name: bytes = name
        self.handle: int = handle
        self.flags: int = 0
        self.next_flags: int = 0
        self.owner_port: int = 0
        self.userdata: bytes = b""
        self.last_handle: int = 0
        self.next_anonymous: int = 0  # the number in the name of the next set without one
        self.chains: Names[Chain] = Names()
        self.sets: Names[NamedSet] = Names()
        self.objects: Names[StatefulObject] = Names()

    def take_handle(self) -> int:
        """A number for a new chain, rule, set or object."""
        self.last_handle += 1
        return self.last_handle

    def uses(self, generation: int) -> int:
        """The number of its chains, sets and objects. Sleeps."""
        return self.chains.count_in(generation) + self.sets.count_in(generation) + self.objects.count_in(generation)


@final
class Firewall(Part):
    """The firewall of a network."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: list[Table] = []
        self.last_table: int = 0  # the number of the last one
        self.cursor: int = 1  # the generation that packets see, a bit: 1 or 2
        self.generation: int = 1  # the number that programs know
        self.lock: Mutex = Mutex()
        self.has_changed: bool = False  # there was a table at some time
        self.answers: int = 0  # answers to refused packets that wait for the network thread (`answers.py`)

    def next_cursor(self) -> int:
        """The generation that a batch creates."""
        return 3 - self.cursor

    def find_table(self, family: int, name: bytes, generation: int) -> Table | None:
        """A table by name."""
        for table in self.tables:
            if table.family == family and table.absent & generation == 0 and table.name == name:
                return table
        return None


@final
class _Maker(PartMaker):
    def make(self, network: Network) -> None:
        network.firewall = Firewall()


register_part(_Maker())


def firewall_of(network: Network) -> Firewall:
    """A network's firewall."""
    part = network.firewall
    assert isinstance(part, Firewall)
    return part


def families_of(family: int) -> list[int]:
    """The versions of IP that base chains of a family see."""
    if family == FAMILY_INET:
        return [FAMILY_IP4, FAMILY_IP6]
    if family == FAMILY_IP4 or family == FAMILY_IP6:
        return [family]
    return []
