"""The whole program as the back end sees it: what is reached from the entry points, and what follows for classes and
functions.

Discovery lowers every reached function once and throws the text away: whatever the lowering asks for (instances of
functions, classes, virtual calls, function values, global cells) is entered here, and the freezer adds what the live
objects reach. When the queue is empty the world is closed. From then on questions have final answers: which
implementations a virtual call can reach, how classes are numbered, which signatures carry an error word.
"""

from __future__ import annotations

import enum
import sys
import types as python_types
from collections import deque
from dataclasses import dataclass, field

from compiler.lower.fresh import first_stores
from compiler.lower.guards import Access, Contract, Held, Need, Notes
from compiler.lower.interfaces import Freezer, Options
from compiler.lower.layout import (
    NOWHERE,
    Layouts,
    descriptor_symbol,
    live_object,
    module_of,
    register_type,
    type_symbol,
)
from compiler.lower.naturals import Assignments, assignments, natural_locals
from compiler.lower.own import OwnStore
from compiler.lower.values import INT_MAX, INT_MIN, Path, Range, type_bounds, widen
from compiler.tree import (
    Assign,
    AugAssign,
    Diagnostic,
    FieldTarget,
    For,
    Function,
    GlobalTarget,
    If,
    Loc,
    Match,
    NestedFunction,
    Program,
    Stmt,
    Target,
    Try,
    TupleTarget,
    While,
    With,
)
from compiler.types import (
    INT,
    BytesType,
    ClassType,
    FunctionType,
    OptionalType,
    RawArrayType,
    StrType,
    StructType,
    Type,
    UnionType,
    WeakType,
    shape,
    show,
    substitute,
    type_size,
)

MOST_GROWTH = 20  # of the range of a parameter, step by step
TYPE_LIMIT = 60  # of the type arguments of an instance: more are without end
OTHER_CODE, SAME_CODE = -1, -2  # a number that is computed; that of an exception that was caught
SLEEP, ALLOCATE, PANIC = "sleep", "allocate", "panic"  # effects
INTERRUPTS, KERNEL_LOCK = "interrupts", "kernel lock"  # lets interrupts in or touches user memory; needs that lock
READS_PROGRAM, WRITES_PROGRAM = "reads", "writes"  # a little of the running program's memory (`@gives_up`)
COPIES_OUT = "copies out"  # writes more than one word there: a fault may leave it half done
_FROM_OUTSIDE = frozenset(("export", "interrupted_by", "last_resort", "on_stack", "with_room"))
OBJECT = ClassType("builtins.object")  # of which all classes are, though none lists it among its ancestors
SYSCALL_HANDLER = FunctionType((INT,) * 6, INT)


@dataclass(eq=False, slots=True)
class Edge:
    """Something that a function does to its effects: a call of one, of any of several, a raise, an allocation.

    `caught` are the exception classes that handlers around the place catch; `cold` edges lie on the way to a panic and
    do not count.
    """

    kind: str  # "call" "virtual" "value" "raise" "allocate" "panic"
    loc: Loc
    caught: tuple[str, ...]
    instance: Instance | None = None
    site: tuple[ClassType, str] | None = None
    signature: FunctionType | None = None
    origin: object = None  # of a function value: see `World.flows`
    exception: str = ""
    code: int = OTHER_CODE  # of an exception that is raised: what is known of its number
    allocated: Type | None = None
    cold: bool = False
    held: tuple[Held, ...] = ()  # the spin locks around it
    arguments: tuple[Path | None, ...] = ()  # of a call: how the arguments are named
    takes: str = ""  # of the call that takes a spin lock for a `with`: the lock's class
    gives: bool = False  # of the call at the end of the `with`
    in_loop: bool = False


@dataclass(slots=True)
class Cleanup:
    """A `try` whose handler cleans up and raises again: the edges of its body, from `start` to `end`.

    Handlers inside it are those in `Edge.caught` from `depth` on.
    """

    loc: Loc
    start: int
    end: int
    depth: int
    exceptions: tuple[str, ...]


@dataclass(eq=False, slots=True)
class Instance:
    """A function with its type variables bound: the unit of code."""

    function: Function
    env: dict[str, Type]
    symbol: str
    extern: bool
    package: str
    edges: list[Edge] = field(default_factory=list)
    cleanups: list[Cleanup] = field(default_factory=list)
    accesses: dict[Access, Loc] = field(default_factory=dict)
    needs: dict[Need, Loc] = field(default_factory=dict)
    unfit: dict[str, Loc] = field(default_factory=dict)  # what it does that no section may (lower/unlocked.py)
    own_stores: list[OwnStore] = field(default_factory=list)
    late_returns: list[Loc] = field(default_factory=list)  # after such a store: of what may be TAKE_LOCK
    other_stores: dict[str, Loc] = field(default_factory=dict)  # of such words, but not surely of the running thread
    contracts: list[Contract] = field(default_factory=list)
    raises_word: bool = True  # whether the signature carries an error word; final after `effects`

    _parameters: tuple[Type, ...] | None = None

    @property
    def parameters(self) -> tuple[Type, ...]:
        if self._parameters is None:
            self._parameters = tuple(substitute(p.type, self.env) for p in self.function.params)
        return self._parameters

    @property
    def result(self) -> Type:
        return substitute(self.function.result, self.env)

    @property
    def is_known_outside(self) -> bool:
        """Whether somebody may call it who is not compiled."""
        return self.extern or not _FROM_OUTSIDE.isdisjoint(self.function.decorators)

    @property
    def view(self) -> bool:
        """Whether the result is a struct or Array that lives elsewhere: its address is returned."""
        return self.function.returns_view


@dataclass(slots=True)
class Passed:
    """What calls pass, of ints, by the numbers of the arguments: ranges; and what the caller was given itself, within a
    range: by the number, the caller, and the number among what that was given.
    """

    ranges: dict[int, Range] = field(default_factory=dict)
    along: dict[tuple[int, Instance, int], Range] = field(default_factory=dict)


class World:
    """Reached functions, classes, globals; see the module's docstring."""

    def __init__(self, program: Program, options: Options, layouts: Layouts | None = None) -> None:
        self.program = program
        self.options = options
        self.layouts = layouts or Layouts(program)
        self.freezer: Freezer | None = None
        self.discovering = True
        self.instances: dict[tuple[str, tuple[Type, ...]], Instance] = {}
        self.queue: deque[Instance] = deque()
        self.instantiated: dict[Type, None] = {}
        self.virtual_sites: dict[tuple[ClassType, str], None] = {}
        self.cells: dict[str, tuple[str, str, Type]] = {}  # symbol -> module, name, type
        # How large locals of a function are at the end of turns of a `while` (by its node), as discovery found.
        self.loop_bounds: dict[tuple[str, int], dict[str, int]] = {}
        self.written: dict[tuple[str, int], dict[str, Range]] = {}  # and what it writes to each
        self.tiny: dict[int, bool] = {}  # by the identity of a method: whether it is short (lower/objects.py)
        self.places: dict[int, int] = {}  # by the identity of a function: its places `[i + k]`
        # The ranges of the int arguments that discovery saw, by their numbers: of calls by a function's name, of calls
        # through a class, and of all calls of a function that is called in no other way; and of int results.
        self.passed: dict[Instance, Passed] = {}
        self.passed_on: dict[tuple[ClassType, str], Passed] = {}
        self.taken: dict[Instance, dict[int, Range]] = {}
        self.returned: dict[Instance, Range] = {}
        self.is_believed = True  # emission makes something of what discovery saw of ranges
        self.entered: set[Instance] = set()  # entry points
        self.leaving: set[str] = set()  # after `effects`: the exceptions that these may raise
        self._naturals: dict[int, set[str]] = {}
        self._assigned: dict[int, frozenset[str]] = {}
        self._assignments: dict[int, Assignments] = {}
        self.function_values: dict[FunctionType, dict[Instance, None]] = {}
        self.value_group: dict[FunctionType, FunctionType] = {}
        # Which function values reach which places: fields, globals, parameters, locals. A place maps to where its
        # values come from: an Instance, another place, or a FunctionType for any function of that type.
        self.flows: dict[object, dict[object, None]] = {}
        self.thunks: dict[Instance, str] = {}
        self.from_outside: dict[Instance, Loc] = {}  # functions whose address assembly or hardware gets
        self.call_sets: dict[str, list[str]] = {}  # the symbols that the indirect calls of a name may reach
        self.addressed: dict[Instance, None] = {}  # functions that the data mentions
        self.notes = Notes(program)
        self.borrowers: dict[int, Function] = {}  # functions that read guarded containers, or parts of guarded objects
        self.table_users: dict[int, Function] = {}  # functions that name a container which a global holds
        self.changed: set[int] = set()  # the identities of live containers that are known by other names than globals
        self.exposed: set[str] = set()  # classes whose objects raw memory or assembly may write
        self.external: set[str] = set()  # symbols of functions that another module or the data mentions
        self.rebound_types = rebound_globals(program)
        self.rebound = set(self.rebound_types)
        self.exception_numbers = number_exceptions(program)
        self._ancestors: dict[Type, tuple[Type, ...]] = {}
        self._heirs: dict[Type, list[ClassType]] = {}  # instantiated classes by each of their ancestors
        self._called_on: dict[Type, list[str]] = {}  # the methods of `virtual_sites` by their receivers' types
        self._called_widely: dict[Type, list[str]] = {}  # the same for receivers that `is_wide`
        self._implementations: dict[tuple[ClassType, str], list[tuple[ClassType, Instance]]] = {}
        self._class_numbers: dict[Type, tuple[int, int]] = {}
        self.tested: set[tuple[int, int]] = set()  # intervals of classes that some code compares an object's with
        self._slots: dict[tuple[Type, str], int] = {}
        self._families: dict[Type, list[tuple[Type, str]]] = {}  # by receiver: the families of its virtual calls
        self._tables: dict[ClassType, list[Instance | None]] = {}  # what `virtual_table` has found
        self._first_stores: dict[str, set[int]] = {}
        self._declaring: dict[tuple[str, str], str] = {}
        self._hidden: dict[tuple[ClassType, tuple[str, ...]], ClassType | None] = {}
        self._methods: dict[tuple[Type, str], tuple[Function, ClassType | StructType] | None] = {}

    def assignments(self, loop: For | While) -> Assignments:
        """What a loop assigns to each local."""
        found = self._assignments.get(id(loop))
        if found is None:
            found = self._assignments[id(loop)] = assignments(loop)
        return found

    def assigned_names(self, function: Function) -> frozenset[str]:
        """The locals of a function that its statements assign."""
        found = self._assigned.get(id(function))
        if found is None:
            found = self._assigned[id(function)] = frozenset(assignments(function))
        return found

    def natural_locals(self, function: Function) -> set[str]:
        """The int locals of a function that are never negative."""
        found = self._naturals.get(id(function))
        if found is None:
            found = self._naturals[id(function)] = natural_locals(function)
        return found

    def is_first_store(self, function: Function, target: FieldTarget) -> bool:
        """Whether a target of a constructor is known to be empty so far."""
        known = self._first_stores.get(function.name)
        if known is None:
            known = first_stores(self.program, function)
            self._first_stores[function.name] = known
        return id(target) in known

    # Functions --------------------------------------------------------------------------------------------------------

    def function(self, name: str, loc: Loc) -> Function:
        """The declaration of a function by its full name."""
        function = self.program.functions.get(name)
        if function is None:
            ours = name.startswith("kernel.")
            hint = "" if ours else "call what is written in Kernel Python, or compute it at import"
            raise Diagnostic("KP910", loc, f"{name} is not a function that can be compiled", hint)
        return function

    def class_parameters(self, function: Function) -> list[str]:
        """The type variables of the class that a function is defined in."""
        owner = function.cls or function.name.rpartition(".")[0]
        decl = self.program.classes.get(owner)
        return decl.type_params if decl is not None else []

    def instance(self, function: Function, env: dict[str, Type]) -> Instance:
        """The instance of a function for what `env` binds its (and its class's) type variables to; lowered if it is
        new.
        """
        names = self.class_parameters(function) + function.type_params
        args = tuple(env[name] for name in names if name in env)
        key = (function.name, args)
        known = self.instances.get(key)
        if known is not None:
            return known
        if sum(map(type_size, args)) > TYPE_LIMIT:
            hint = "a generic function must not call itself for ever larger types"
            shown = f"{', '.join(map(show, args)):.60}…"
            raise Diagnostic("KP703", function.loc, f"{function.name} is needed for ever larger types: {shown}", hint)
        suffix = f"[{','.join(type_symbol(a) for a in args)}]" if args else ""
        extern = function.decorators.get("extern")
        package = package_of(module_of(self.program, function.name))
        symbol = extern if extern is not None else function.name + suffix
        own = {name: env[name] for name in names if name in env}
        made = Instance(function, own, symbol, extern is not None, package)
        if extern is not None:
            made.raises_word = False
        self.instances[key] = made
        if not self.discovering:
            raise Diagnostic("KP911", function.loc, f"{symbol} was not discovered (a mistake in the compiler)")
        if extern is None:
            self.queue.append(made)
        return made

    def live_function(self, function: object) -> Function:
        """The declaration of a live function object (or of a full name)."""
        if isinstance(function, str):
            return self.function(function, NOWHERE)
        if isinstance(function, staticmethod):
            function = function.__func__
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        if not isinstance(function, python_types.FunctionType):
            raise Diagnostic("KP912", NOWHERE, f"{function!r} is not a plain function")
        return self.function(f"{function.__module__}.{function.__qualname__}", NOWHERE)

    def function_value(self, instance: Instance, t: FunctionType) -> str:
        """The symbol of an instance that is used as a value where `t` is expected."""
        own = FunctionType(instance.parameters, instance.result)
        self.check_shapes(own, t, instance.function.loc)
        group = self.join_groups(own, t)
        self.function_values.setdefault(group, {})[instance] = None
        return instance.symbol

    def check_shapes(self, own: FunctionType, t: FunctionType, loc: Loc) -> None:
        """A function is called as its place says: with as many arguments, of the same shapes, for a result of one."""
        if [shape(p) for p in (*own.params, own.result)] != [shape(p) for p in (*t.params, t.result)]:
            hint = "write a function with exactly these parameters and this result"
            raise Diagnostic("KP257", loc, f"{show(own)} where {show(t)} is wanted", hint)

    def group_of(self, t: FunctionType) -> FunctionType:
        """The representative of all function types that values of `t` may have been converted between."""
        while (parent := self.value_group.get(t, t)) != t:
            t = parent
        return t

    def join_groups(self, a: FunctionType, b: FunctionType) -> FunctionType:
        """Values of one function type flow into another: they share targets and signature."""
        a, b = self.group_of(a), self.group_of(b)
        if a != b:
            self.value_group[b] = a
            self.function_values.setdefault(a, {}).update(self.function_values.pop(b, {}))
        return a

    def flow(self, source: object, place: object) -> None:
        """Function values from `source` reach `place`."""
        if self.discovering:
            self.flows.setdefault(place, {})[source] = None

    def functions_from(self, origin: object) -> list[Instance]:
        """All functions that a value of this origin may be, in the order in which they were found."""
        found: dict[Instance, None] = {}
        seen: set[object] = set()
        stack = [origin]
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if isinstance(node, Instance):
                found[node] = None
            elif isinstance(node, FunctionType):
                found.update(self.function_values.get(self.group_of(node), {}))
            else:
                stack += reversed(list(self.flows.get(node, {})))
        return list(found)

    def virtual_call_set(self, t: ClassType, method: str, targets: list[Instance]) -> str:
        """The name of the set of functions that a virtual call may reach."""
        key = f"{type_symbol(t)}.{method}"
        self.call_sets.setdefault(key, [target.symbol for target in targets])
        return key

    def value_call_set(self, t: FunctionType, origin: object) -> str:
        """The name of the set of functions that a function value of this type and origin may be."""
        place = origin if origin is not None and self.flows.get(origin) else t
        key = f"value {type_symbol(t)} {'/'.join(map(str, place)) if isinstance(place, tuple) else ''}"
        if key not in self.call_sets:
            found = [target.symbol for target in self.functions_from(place)]
            if self.group_of(t) == self.group_of(SYSCALL_HANDLER):
                found += self.thunks.values()
            self.call_sets[key] = found
        return key

    def field_place(self, t: ClassType | StructType, name: str) -> object:
        """The place of a field for `flows`: the class that declares it, and its name."""
        return ("field", self.declaring_class(t, name), name)

    def declaring_class(self, t: ClassType | StructType, name: str) -> str:
        """The class that declares a field, the topmost if several do."""
        declaring = self._declaring.get((t.name, name))
        if declaring is None:
            declaring = t.name
            for owner in self.layouts.ancestry(t):
                if any(param.name == name for param in self.layouts.declaration(owner).fields):
                    declaring = owner.name
            self._declaring[t.name, name] = declaring
        return declaring

    def require_function(self, function: object, t: Type, place: object = None) -> str:
        """See `interfaces.WorldHooks`."""
        if isinstance(t, OptionalType):
            t = t.inner
        instance = self.instance(self.live_function(function), {})
        if t == SYSCALL_HANDLER:
            return self.thunks.setdefault(instance, f"krait.syscall.{instance.symbol}")
        self.external.add(instance.symbol)
        self.addressed[instance] = None
        if place is not None:
            self.flow(instance, place)
        if isinstance(t, FunctionType):
            return self.function_value(instance, t)
        return instance.symbol

    # Classes ----------------------------------------------------------------------------------------------------------

    def expose(self, t: Type) -> None:
        """Somebody gets the address of an object of a class."""
        t = t.inner if isinstance(t, OptionalType) else t
        for item in t.items if isinstance(t, UnionType) else (t,):
            self.exposed |= {owner.name for owner in self.ancestors(item) if isinstance(owner, ClassType)}

    def is_guarded(self, t: ClassType, name: str) -> bool:
        """See `interfaces.WorldHooks`."""
        return self.notes.guard(self.declaring_class(t, name), name) is not None

    def require_class(self, t: Type) -> str:
        """See `interfaces.WorldHooks`."""
        if isinstance(t, OptionalType):
            t = t.inner
        if t not in self.instantiated and isinstance(t, ClassType | StrType | BytesType | RawArrayType | WeakType):
            if not self.discovering:
                raise Diagnostic("KP913", NOWHERE, f"class {show(t)} was not discovered (a mistake in the compiler)")
            self.instantiated[t] = None
            if isinstance(t, ClassType):
                for ancestor in self.ancestors(t):
                    self._heirs.setdefault(ancestor, []).append(t)
                for site in self.ancestors(t):
                    for method in list(self._called_on.get(site, ())):
                        self._require_implementation(t, method)
                for site in [site for site in self._called_widely if self.is_subclass(t, site)]:
                    for method in list(self._called_widely[site]):
                        self._require_implementation(t, method)
        return descriptor_symbol(t)

    def ancestors(self, t: Type) -> tuple[Type, ...]:
        """A class and its bases, itself first."""
        known = self._ancestors.get(t)
        if known is None:
            known = tuple(self.layouts.ancestry(t)) if isinstance(t, ClassType) else (t,)
            self._ancestors[t] = known
        return known

    def is_subclass(self, t: Type, base: Type) -> bool:
        """Whether instances of `t` are instances of `base` (a class, a union of classes, a protocol)."""
        if isinstance(base, UnionType):
            return any(self.is_subclass(t, item) for item in base.items)
        if base in self.ancestors(t):
            return True
        if isinstance(base, ClassType) and isinstance(t, ClassType):
            if base == OBJECT:
                return True
            if self.layouts.is_polymorphic_root(base):
                return self.satisfies(t, base)
        return False

    def is_wide(self, base: ClassType) -> bool:
        """Whether instances of `base` may be of classes that do not have it among their ancestors."""
        return base == OBJECT or self.layouts.is_polymorphic_root(base)

    def subclasses(self, base: ClassType) -> list[ClassType]:
        """The classes whose instances a receiver of type `base` may be, in the order of their discovery."""
        if self.is_wide(base):
            return [t for t in self.instantiated if isinstance(t, ClassType) and self.is_subclass(t, base)]
        return list(self._heirs.get(base, ()))

    def satisfies(self, t: ClassType, protocol: ClassType) -> bool:
        """Whether a class has all methods of a protocol."""
        names = [name.rpartition(".")[2] for name in self.layouts.declaration(protocol).methods]
        return all(self.find_method(t, name) is not None for name in names)

    def find_method(self, t: Type, method: str) -> tuple[Function, ClassType | StructType] | None:
        """The method that instances of exactly `t` have, and the class that defines it."""
        key = (t, method)
        if key not in self._methods:
            found = None
            if isinstance(t, ClassType | StructType):
                for owner in self.layouts.ancestry(t):
                    function = self.program.functions.get(f"{owner.name}.{method}")
                    if function is not None:
                        found = (function, owner)
                        break
            self._methods[key] = found
        return self._methods[key]

    def method_instance(self, t: Type, method: str, loc: Loc, type_args: dict[str, Type] | None = None) -> Instance:
        """The instance of the method that instances of exactly `t` have."""
        found = self.find_method(t, method)
        if found is None:
            raise Diagnostic("KP914", loc, f"{show(t)} has no method {method} that can be compiled")
        function, owner = found
        return self.instance(function, {**self.layouts.binding(owner), **(type_args or {})})

    def virtual_site(self, t: ClassType, method: str) -> None:
        """A virtual call through a receiver of static type `t`."""
        if (t, method) in self.virtual_sites:
            return
        self.virtual_sites[(t, method)] = None
        (self._called_widely if self.is_wide(t) else self._called_on).setdefault(t, []).append(method)
        for known in self.subclasses(t):
            self._require_implementation(known, method)

    def _require_implementation(self, t: ClassType, method: str) -> None:
        if self.find_method(t, method) is not None:
            self.method_instance(t, method, NOWHERE)

    def implementations(self, t: ClassType, method: str) -> list[tuple[ClassType, Instance]]:
        """After discovery: the classes whose instances a receiver of type `t` may be, each with its method."""
        key = (t, method)
        known = self._implementations.get(key)
        if known is None:
            known = [
                (c, self.method_instance(c, method, NOWHERE))
                for c in self.subclasses(t)
                if self.find_method(c, method) is not None
            ]
            if not self.discovering:
                self._implementations[key] = known
        return known

    def family(self, t: ClassType, method: str) -> tuple[Type, str]:
        """The topmost class that declares a method, and its name: all its overriding methods share a signature and a
        slot.
        """
        top: Type = t
        for owner in self.layouts.ancestry(t):
            if f"{owner.name}.{method}" in self.program.functions:
                top = owner
        return top, method

    def close(self) -> None:
        """Discovery is over: number the classes, give families of virtual methods their slots."""
        self.discovering = False
        for t in list(self.instantiated):
            for ancestor in self.ancestors(t):
                self._class_numbers.setdefault(ancestor, (0, 0))
        children: dict[Type | None, list[Type]] = {}
        for t in self._class_numbers:
            chain = self.ancestors(t)
            children.setdefault(chain[1] if len(chain) > 1 else None, []).append(t)
        counter = 0

        def visit(t: Type) -> None:
            nonlocal counter
            counter += 1
            low = counter
            for child in sorted(children.get(t, []), key=type_symbol):
                visit(child)
            self._class_numbers[t] = (low, counter)

        for root in sorted(children.get(None, []), key=type_symbol):
            visit(root)
        families: dict[Type, dict[tuple[Type, str], None]] = {}
        for site, method in self.virtual_sites:
            if len({i for _, i in self.implementations(site, method)}) > 1 and not self.layouts.is_polymorphic_root(
                site
            ):
                family = self.family(site, method)
                families.setdefault(self.ancestors(site)[-1], {})[family] = None
                self._families.setdefault(site, []).append(family)
        for members in families.values():
            for slot, family in enumerate(sorted(members, key=lambda f: (type_symbol(f[0]), f[1]))):
                self._slots[family] = slot

    def settle_arguments(self) -> None:
        """Discovery is over: which int parameters are known to lie in a range, because all calls are known."""
        passed = {instance: [found] for instance, found in self.passed.items()}
        for (t, method), found in self.passed_on.items():
            for instance in dict.fromkeys(i for _, i in self.implementations(t, method)):
                passed.setdefault(instance, []).append(found)
        unknown = {*self.entered, *self.from_outside, *self.thunks, *self.addressed}
        unknown.update(*self.function_values.values())
        unknown.update(i for i in self.instances.values() if i not in passed or i.is_known_outside)
        taken: dict[tuple[Instance, int], Range] = {}
        along: dict[tuple[Instance, int], list[tuple[Instance, int, Range]]] = {}
        for instance, calls in passed.items():
            for found in calls if instance not in unknown else []:
                for number, known in found.ranges.items():
                    widen(taken, (instance, number), known)
                for (number, caller, own), known in found.along.items():
                    if caller in unknown:
                        widen(taken, (instance, number), known)
                    else:
                        along.setdefault((caller, own), []).append((instance, number, known))
        follow(taken, along)
        for (instance, number), known in taken.items():
            if is_within(known, instance.parameters[number]):
                self.taken.setdefault(instance, {})[number] = known
        self._take_together()

    def forget_ranges(self) -> None:
        """Let emission make nothing of what discovery saw of ranges."""
        self.is_believed = False
        for known in (self.loop_bounds, self.written, self.taken):
            known.clear()

    def _take_together(self) -> None:
        """The instances of a generic function take what any of them takes, so that they can share a body."""
        families: dict[str, list[Instance]] = {}
        for instance in self.instances.values():
            if instance.env:
                families.setdefault(instance.function.name, []).append(instance)
        for members in families.values():
            all_taken = [self.taken.pop(instance, {}) for instance in members]
            together = {
                number: (min(ranges[number][0] for ranges in all_taken), max(ranges[number][1] for ranges in all_taken))
                for number in all_taken[0]
                if all(number in ranges for ranges in all_taken)
            }
            if together:
                self.taken.update((instance, together) for instance in members)

    def class_numbers(self, t: Type) -> tuple[int, int] | None:
        """The interval of a class and its descendants; None if no instance of any can exist."""
        return self._class_numbers.get(t)

    def slot(self, t: ClassType, method: str) -> int:
        """The place of a virtual method in the virtual tables."""
        return self._slots[self.family(t, method)]

    def virtual_table(self, t: ClassType) -> list[Instance | None]:
        """The virtual table of an instantiated class: the methods that some virtual call can reach through it."""
        known = self._tables.get(t)
        if known is None:
            sites = (*self.ancestors(t), OBJECT)
            families = dict.fromkeys(family for site in sites for family in self._families.get(site, ()))
            entries = {self._slots[family]: self.method_instance(t, family[1], NOWHERE) for family in families}
            known = [entries.get(i) for i in range(max(entries) + 1)] if entries else []
            self._tables[t] = known
        return known

    def hidden(self, t: Type, methods: tuple[str, ...]) -> ClassType | None:
        """A class of which instances exist that has one of these methods, where its base class `t` has not; None while
        classes are still found.
        """
        if self.discovering or not isinstance(t, ClassType):
            return None
        key = (t, methods)
        if key not in self._hidden:
            missing = [name for name in methods if self.find_method(t, name) is None]
            below = (c for c in self.subclasses(t) if c != t)
            found = (c for c in below if any(self.find_method(c, name) is not None for name in missing))
            self._hidden[key] = next(found, None)
        return self._hidden[key]

    def may_leave(self, exception: str) -> bool:
        """Whether a value of an exception class may leave the program: it, a class above it or one below it does."""
        own = self.exception_numbers.get(exception)
        others = [self.exception_numbers.get(name) for name in self.leaving]
        if self.discovering or own is None or None in others:
            return True
        return any(other is not None and other[0] <= own[1] and own[0] <= other[1] for other in others)

    # Globals ----------------------------------------------------------------------------------------------------------

    def global_object(self, module: str, name: str, loc: Loc) -> object:
        """The live object of a module-level name."""
        live = sys.modules.get(module)
        if live is None or not hasattr(live, name):
            raise Diagnostic("KP915", loc, f"{module}.{name} does not exist when the modules have been imported")
        return getattr(live, name)

    def global_cell(self, module: str, name: str, t: Type) -> str:
        """The symbol of the storage of a global that code rebinds."""
        symbol = f"{module}.{name}"
        self.cells.setdefault(symbol, (module, name, t))
        return symbol

    def enum_members(self, name: str, loc: Loc) -> dict[str, int]:
        """Names and values of an enum's members."""
        live = live_object(self.program, name)
        assert isinstance(live, type) and issubclass(live, enum.Enum)
        return {member.name: self.enum_number(member, loc) for member in live.__members__.values()}

    def enum_number(self, member: enum.Enum, loc: Loc) -> int:
        """The value of a member, which stands for it."""
        number = member.value
        if type(number) is not int or not INT_MIN <= number <= INT_MAX:
            message = f"the value of {type(member).__name__}.{member.name} is no int of 64 bits: {number!r}"
            raise Diagnostic("KP193", loc, message, "keep what belongs to the members in a list, by value")
        if number < 0 and isinstance(member, enum.Flag):
            message = f"the value of {type(member).__name__}.{member.name} is negative: {number}"
            raise Diagnostic("KP193", loc, message, "flags are bits of a number that is not negative")
        return number

    def exception_interval(self, name: str, loc: Loc) -> tuple[int, int]:
        """The numbers of an exception class and its descendants."""
        interval = self.exception_numbers.get(name)
        if interval is None:
            raise Diagnostic("KP916", loc, f"{name} is not an exception of Kernel Python", "derive it from KernelError")
        return interval


def is_within(known: Range, t: Type) -> bool:
    """Whether a range is one of numbers of a type: a method may take `int` where its base class takes `u64`, and what
    surely traps on its way has no numbers.
    """
    least, greatest = type_bounds(t)
    return least <= known[0] <= known[1] <= greatest


def follow(
    taken: dict[tuple[Instance, int], Range], along: dict[tuple[Instance, int], list[tuple[Instance, int, Range]]]
) -> None:
    """Add to the ranges of parameters what their functions' callers were given and pass along."""
    queue = deque(taken)
    waiting = set(queue)
    grown: dict[tuple[Instance, int], int] = {}
    while queue:
        place = queue.popleft()
        waiting.discard(place)
        for instance, number, (least, greatest) in along.get(place, ()):
            low, high = taken[place]
            if is_within((low, high), place[0].parameters[place[1]]):
                low, high = max(low, least), min(high, greatest)
            else:
                low, high = least, greatest
            target = instance, number
            old = taken.get(target)
            if low > high or (old is not None and old[0] <= low and high <= old[1]):
                continue
            grown[target] = grown.get(target, 0) + 1
            if grown[target] > MOST_GROWTH:
                low, high = type_bounds(instance.parameters[number])
            widen(taken, target, (low, high))
            if target not in waiting:
                waiting.add(target)
                queue.append(target)


def package_of(module: str) -> str:
    """The package that a module is compiled with."""
    path = getattr(sys.modules.get(module), "__path__", None)
    return module if path is not None or "." not in module else module.rpartition(".")[0]


def number_exceptions(program: Program) -> dict[str, tuple[int, int]]:
    """Intervals of exception classes, in pre-order from 1; siblings in the order of their names."""
    parents = {"builtins.BaseException": "", "builtins.Exception": "builtins.BaseException"}
    parents["builtins.MemoryError"] = "builtins.Exception"
    for name, decl in program.classes.items():
        if decl.kind == "exception":
            parents[name] = decl.base.name if isinstance(decl.base, ClassType) else "builtins.Exception"
    for name, parent in list(parents.items()):
        if parent and parent not in parents:
            parents[name] = "builtins.Exception"
    children: dict[str, list[str]] = {}
    for name, parent in parents.items():
        children.setdefault(parent, []).append(name)
    numbers: dict[str, tuple[int, int]] = {}
    counter = 0

    def visit(name: str) -> None:
        nonlocal counter
        counter += 1
        low = counter
        for child in sorted(children.get(name, [])):
            visit(child)
        numbers[name] = (low, counter)

    visit("builtins.BaseException")
    return numbers


def rebound_globals(program: Program) -> dict[tuple[str, str], Type]:
    """Module-level names that some function assigns, and their declared types."""
    found: dict[tuple[str, str], Type] = {}

    def target(t: Target | None) -> None:
        if isinstance(t, GlobalTarget):
            found[(t.module, t.name)] = t.type
        elif isinstance(t, TupleTarget):
            for item in t.items:
                target(item)

    def walk(body: list[Stmt]) -> None:
        for statement in body:
            match statement:
                case Assign(targets=targets):
                    for t in targets:
                        target(t)
                case AugAssign(target=t):
                    target(t)
                case If(then=then, orelse=orelse):
                    walk(then)
                    walk(orelse)
                case While(body=inner, orelse=orelse):
                    walk(inner)
                    walk(orelse)
                case For(target=t, body=inner, orelse=orelse):
                    target(t)
                    walk(inner)
                    walk(orelse)
                case Try(body=inner, handlers=handlers, orelse=orelse, final=final):
                    walk(inner)
                    for handler in handlers:
                        walk(handler.body)
                    walk(orelse)
                    walk(final)
                case With(items=items, body=inner):
                    for item in items:
                        target(item.target)
                    walk(inner)
                case Match(cases=cases):
                    for case in cases:
                        walk(case.body)
                case NestedFunction(function=function):
                    walk(function.body)

    for function in program.functions.values():
        walk(function.body)
    return found


__all__ = ["Edge", "Instance", "World", "register_type"]
