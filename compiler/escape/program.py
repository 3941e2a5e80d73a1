"""Escape analysis over a whole program: reads every function, solves all together, and rewrites those that gain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from compiler.escape.check import check_places
from compiler.escape.flow import Summary, left_in_heap, post_order, solve_all
from compiler.escape.placement import Plan, Planner, TypeFacts
from compiler.escape.releases import RELEASE
from compiler.escape.rewrite import BYTES_TYPE, RELEASE_GIVEN, BufferLayout, Rewriter
from compiler.escape.text import Body, Reader
from compiler.lower.interfaces import BYTE_ARRAY, PERSONALITY, PERSONALITY_DECLARATION
from compiler.lower.layout import descriptor_symbol
from compiler.lower.module import Module
from compiler.lower.world import World
from compiler.types import ClassType, Type

COPY = "define available_externally"
LONGEST = 8_000  # lines of a function whose objects get places: sets grow with it, and so does the work for each step


Check = Callable[[dict[str, Body], set[str]], None]


def place_objects(
    world: World, modules: dict[str, Module], entries: Iterable[str], check: Check = check_places
) -> dict[str, Plan]:
    """Move objects that do not outlive a function into its frame, or its caller's; returns what was moved, by function.

    `entries` are the symbols of functions that the outside calls; `check` gets what was made of the functions.
    """
    bodies: dict[str, Body] = {}
    readers: dict[str, Reader] = {}
    for name, module in modules.items():
        sets = {str(number): tuple(world.call_sets[key]) for key, number in module.call_sets()}
        reader = readers[name] = Reader(sets)
        for symbol, text in functions(module):
            if not text.startswith(COPY):
                body = bodies[symbol] = reader.read(symbol, text)
                body.is_long = body.count > LONGEST
    types = {descriptor_symbol(t): type_facts(world, t) for t in world.instantiated}
    plans = make_plans(bodies, types, fixed_symbols(world) | set(entries))
    rewriter = Rewriter(plans, types, buffer_layout(world))
    changed: dict[str, Body] = {}
    for name, module in modules.items():
        for symbol, text in functions(module):
            if symbol in bodies and rewriter.concerns(bodies[symbol]):
                new = module.definitions[symbol] = rewriter.rewrite(bodies[symbol], text)
                if not text.startswith(COPY):
                    changed[symbol] = readers[name].read(symbol, new)
                    changed[symbol].is_long = bodies[symbol].is_long
                module.helper(RELEASE)
                module.helper(RELEASE_GIVEN)
                module.intrinsic("llvm.memset")
                module.declare(PERSONALITY, PERSONALITY_DECLARATION)
                if plans.get(symbol, Plan()).places:
                    module.declare(BYTES_TYPE, f'@"{BYTES_TYPE}" = external dso_local constant i8')
        for symbol in rewriter.widened & module.declarations.keys():
            module.declarations[symbol] = rewriter.declaration(symbol, module.declarations[symbol])
    bodies.update(changed)
    check(bodies, set(changed))
    return plans


def make_plans(bodies: dict[str, Body], types: dict[str, TypeFacts], fixed: set[str]) -> dict[str, Plan]:
    """Callees first, since their callers provide the places for results. Intermediate results are dropped, because they
    are large.
    """
    summaries: dict[str, Summary] = {}
    flows = solve_all(bodies, summaries)
    planner = Planner(summaries, types, fixed, left_in_heap(flows))
    for symbol in post_order(bodies):
        planner.plan(flows[symbol])
    return planner.plans


def fixed_symbols(world: World) -> set[str]:
    """Functions that are called by tables, by address or from outside: their parameters stay as they are."""
    found = {i for members in world.function_values.values() for i in members}
    found |= set(world.from_outside) | set(world.thunks) | set(world.addressed)
    for t in world.instantiated:
        if isinstance(t, ClassType):
            found |= {target for target in world.virtual_table(t) if target is not None}
    found |= {i for i in world.instances.values() if "export" in i.function.decorators}
    return {instance.symbol for instance in found}.union(*world.call_sets.values())


def buffer_layout(world: World) -> BufferLayout | None:
    """Where a bytearray has its fields, if the program has bytearrays."""
    t = ClassType(BYTE_ARRAY)
    if t not in world.instantiated or BYTES_TYPE not in {descriptor_symbol(u) for u in world.instantiated}:
        return None
    fields = {name: world.layouts.field(t, f"_{name}")[0] for name in ("items", "length", "capacity")}
    return BufferLayout(**fields)


def functions(module: Module) -> Iterator[tuple[str, str]]:
    """The functions that a module defines: symbols and text."""
    for symbol, text in list(module.definitions.items()):
        if text.startswith("define "):
            yield symbol, text


def type_facts(world: World, t: Type) -> TypeFacts:
    facts = world.layouts.descriptor(t)
    return TypeFacts(facts.kind, tuple(facts.pointers))
