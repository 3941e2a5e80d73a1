"""Expressions about sets and named objects: lookup, dynset, objref (nft(8)).

Context: as in `expression.py`.
"""

from typing import TYPE_CHECKING, Final

from kernel.lang import EBUSY, EINVAL, ENOENT, EOPNOTSUPP, Errno, final
from kernel.lib.pace import pace_or_end
from kernel.mm.keeping import has_room_to_keep
from kernel.net.netlink.messages import MessageWriter
from kernel.net.nftables.attributes import LIST_ELEMENT, Attributes, put32, put64, put_text
from kernel.net.nftables.element_order import Element
from kernel.net.nftables.expression import (
    CONTINUE,
    LOADERS,
    STATEFUL_LOADERS,
    Expression,
    Loader,
    Run,
    Stateful,
    put_register,
    read_register,
    register_loader,
    write_register,
)
from kernel.net.nftables.model import NAME_LIMIT, NOWHERE, Chain, StatefulObject
from kernel.net.nftables.sets import (
    SET_ANONYMOUS,
    SET_CONSTANT,
    SET_EVAL,
    SET_INTERVAL,
    SET_MAP,
    SET_OBJECT,
    SET_TIMEOUT,
    VERDICT_TYPE,
    DataSet,
)

if TYPE_CHECKING:
    from kernel.net.nftables.batch import Loading

_INVERTED: Final = 1
_NO_REGISTER: Final = -1
_VERDICT_REGISTER: Final = -2
_MILLISECOND_NS: Final = 1_000_000
MOST_TIMEOUT_MS: Final = 1 << 42
_ADD_COST: Final = 2000  # instructions
_LOOK_COST: Final = 30
_EXPRESSIONS_LIMIT: Final = 2  # NFT_SET_EXPR_MAX
_EXPRESSION_NAME_LIMIT: Final = 31


class SetUser(Expression):
    """Base of expressions that use a set."""

    def __init__(self, found: DataSet) -> None:
        self.found: DataSet = found

    def take(self) -> None:
        self.found.uses += 1

    def release(self) -> None:
        self.found.uses -= 1

    def bind(self) -> None:
        """Bind the set to a new rule. Raises EBUSY for an anonymous set of another rule."""
        if self.found.flags & SET_ANONYMOUS != 0 and self.found.uses > 0:
            raise Errno(EBUSY)


def _search(run: Run, found: DataSet, key: int) -> Element | None:
    """The element for a key in registers. Its cost is spent; if that is too much, the packet is dropped."""
    if not run.affords(found.effort()):
        return None
    element = found.look_up(run.span(key, found.key_length), run.generation, run.now_ns)
    return element if run.affords(0) else None


@final
class Lookup(SetUser):
    """Tests whether a set has a key; or loads a map's data for it."""

    def __init__(self, found: DataSet, key: int, target: int, flags: int) -> None:
        super().__init__(found)
        self.key: int = key
        self.destination: int = target
        self.flags: int = flags

    def name(self) -> bytes:
        return b"lookup"

    def evaluate(self, run: Run) -> None:
        element = _search(run, self.found, self.key)
        if run.verdict != CONTINUE:
            return
        if (element is None) != (self.flags & _INVERTED != 0):
            run.stop()
            return
        if element is None:
            return
        expressions = element.expressions
        if expressions is not None:
            for each in expressions:
                each.count(run)
                if run.verdict != CONTINUE:
                    return
        if self.destination >= 0:
            run.set_bytes(self.destination, element.data, (len(element.data) + 3) & ~3)
        elif self.destination == _VERDICT_REGISTER:
            decision = element.decision
            if decision is not None:
                run.verdict = decision.code
                run.target = decision.chain

    def put(self, writer: MessageWriter) -> None:
        put_text(writer, 1, self.found.name)
        put_register(writer, 2, self.key)
        if self.destination >= 0:
            put_register(writer, 3, self.destination)
        elif self.destination == _VERDICT_REGISTER:
            put32(writer, 3, 0)
        put32(writer, 5, self.flags)

    def targets(self, generation: int) -> list[Chain]:
        chains: list[Chain] = []
        if self.found.flags & SET_MAP != 0 and self.found.data_type == VERDICT_TYPE:
            for part in self.found.all_in(generation).parts:
                for element in part:
                    pace_or_end(_LOOK_COST)
                    decision = element.decision
                    chain = None if decision is None else decision.chain
                    if chain is not None:
                        chains.append(chain)
        return chains


@final
class _LookupLoader(Loader):
    def name(self) -> bytes:
        return b"lookup"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(2):
            raise Errno(EINVAL)
        found = loading.find_set(attributes, 1, 4)
        key = read_register(attributes, 2, found.key_length)
        flags = attributes.be32(5)
        if flags & ~_INVERTED != 0:
            raise Errno(EINVAL)
        target = _NO_REGISTER
        if attributes.has(3):
            if flags & _INVERTED != 0 or found.flags & SET_MAP == 0:
                raise Errno(EINVAL)
            if found.data_type == VERDICT_TYPE:
                if attributes.be32(3) != 0:
                    raise Errno(EINVAL)
                target = _VERDICT_REGISTER
            else:
                target = write_register(attributes, 3, found.data_length)
        made = Lookup(found, key, target, flags)
        made.bind()
        return made


_OP_ADD: Final = 0
_OP_UPDATE: Final = 1
_OP_DELETE: Final = 2
_HAS_EXPRESSIONS: Final = 2


@final
class DynamicSet(SetUser):
    """A packet adds its key to a set, or removes it."""

    def __init__(self, found: DataSet, operation: int, key: int) -> None:
        super().__init__(found)
        self.operation: int = operation
        self.key: int = key
        self.data: int = _NO_REGISTER
        self.timeout_ms: int = 0
        self.flags: int = 0
        self.templates: list[Stateful] = []

    def name(self) -> bytes:
        return b"dynset"

    def evaluate(self, run: Run) -> None:
        found = self.found
        if not run.affords(found.effort()):
            return
        key = run.span(self.key, found.key_length)
        element = found.look_up_own(key, run.generation, run.now_ns)
        if self.operation == _OP_DELETE:
            if element is None or element.absent != 0 or found.absent != 0:
                run.stop()
            elif run.affords(_ADD_COST):
                found.remove(element)
                found.count -= 1
                element.absent = NOWHERE
                element.release()
            return
        timeout_ms = self.timeout_ms if self.timeout_ms != 0 else found.timeout_ms
        if element is None:
            element = self._add(run, key.to_bytes(), timeout_ms)
            if element is None:
                if self.flags & _INVERTED == 0 and run.verdict == CONTINUE:
                    run.stop()
                return
        elif self.operation == _OP_UPDATE and element.timeout_ms != 0:
            element.expires_ns = run.now_ns + timeout_ms * _MILLISECOND_NS
        expressions = element.expressions
        if expressions is not None:
            for each in expressions:
                each.count(run)
                if run.verdict != CONTINUE:
                    return
        if self.flags & _INVERTED != 0:
            run.stop()

    def _add(self, run: Run, key: bytes, timeout_ms: int) -> Element | None:
        """A new element, which is visible at once; None if there is no room. An expired one is renewed: so
        there are no more elements than keys, however often they expire before they are collected.
        """
        found = self.found
        if not run.affords(_ADD_COST):
            return None
        element = found.by_key.get(key)
        is_again = element is not None and element.absent == 0 and element.is_expired(run.now_ns)
        if not is_again and ((found.size != 0 and found.count >= found.size) or not has_room_to_keep()):
            return None
        expressions = self._new_expressions()
        data = run.span(self.data, found.data_length).to_bytes() if self.data >= 0 else b""
        if element is None or not is_again:
            element = Element(key, 0)
        element.timeout_ms = timeout_ms
        element.expires_ns = run.now_ns + timeout_ms * _MILLISECOND_NS if timeout_ms != 0 else 0
        element.expressions = expressions
        element.userdata = b""
        if self.data >= 0:
            element.data = data
        if not is_again:
            found.add(element)
            try:
                found.watch_time(element, run.now_ns)
            except MemoryError:
                found.remove(element)  # it would never be collected
                found.count -= 1
                raise
        return element

    def _new_expressions(self) -> list[Stateful] | None:
        """The element's counting expressions. Raises MemoryError."""
        templates = self.templates if len(self.templates) > 0 else self.found.templates
        if len(templates) == 0:
            return None
        expressions: list[Stateful] = []
        for template in templates:
            expressions.append(template.copy())
        return expressions

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 4, self.key)
        if self.data >= 0:
            put_register(writer, 5, self.data)
        put32(writer, 3, self.operation)
        put_text(writer, 1, self.found.name)
        if self.timeout_ms != 0:
            put64(writer, 6, self.timeout_ms)
        put_expressions(writer, self.templates, 7, 10)
        put32(writer, 9, self.flags)


@final
class _DynamicLoader(Loader):
    def name(self) -> bytes:
        return b"dynset"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if not attributes.has(1) or not attributes.has(3) or not attributes.has(4):
            raise Errno(EINVAL)
        flags = attributes.be32(9)
        if flags & ~(_INVERTED | _HAS_EXPRESSIONS) != 0:
            raise Errno(EOPNOTSUPP)
        found = loading.find_set(attributes, 1, 2)
        if found.flags & SET_OBJECT != 0 or found.flags & SET_INTERVAL != 0:
            raise Errno(EOPNOTSUPP)
        if found.flags & SET_CONSTANT != 0:
            raise Errno(EBUSY)
        operation = attributes.be32(3)
        if operation > _OP_DELETE:
            raise Errno(EOPNOTSUPP)
        if attributes.has(6) and found.flags & SET_TIMEOUT == 0:
            raise Errno(EOPNOTSUPP)
        made = DynamicSet(found, operation, read_register(attributes, 4, found.key_length))
        made.flags = flags
        made.timeout_ms = attributes.be64(6)
        if made.timeout_ms > MOST_TIMEOUT_MS:
            raise Errno(EINVAL)
        if attributes.has(5):
            if found.flags & SET_MAP == 0:
                raise Errno(EOPNOTSUPP)
            if found.data_type == VERDICT_TYPE:
                raise Errno(EOPNOTSUPP)
            made.data = read_register(attributes, 5, found.data_length)
        elif found.flags & SET_MAP != 0 and operation != _OP_DELETE:
            raise Errno(EINVAL)
        made.templates = load_expressions(attributes, 7, 10)
        if len(made.templates) > 0 and found.flags & SET_EVAL == 0:
            raise Errno(EINVAL)
        if found.fixed_templates and 0 < len(made.templates) != len(found.templates):
            raise Errno(EOPNOTSUPP)
        made.bind()
        return made


def load_expressions(attributes: Attributes, one: int, many: int) -> list[Stateful]:
    """Read stateful expressions in an attribute for one, or in one for several. Raises EINVAL, ENOENT, EOPNOTSUPP."""
    loaded: list[Stateful] = []
    if attributes.has(one):
        loaded.append(_load_stateful(attributes.nested(one)))
    elif attributes.has(many):
        for each in attributes.nested(many).elements():
            loaded.append(_load_stateful(each))
            if len(loaded) > _EXPRESSIONS_LIMIT:
                raise Errno(EINVAL)
    return loaded


def _load_stateful(attributes: Attributes) -> Stateful:
    if not attributes.has(1):
        raise Errno(EINVAL)
    name = attributes.text(1, _EXPRESSION_NAME_LIMIT)
    loader = STATEFUL_LOADERS.get(name)
    if loader is None:
        raise Errno(EOPNOTSUPP if name in LOADERS else ENOENT)
    return loader.load_state(attributes.nested(2))


def put_expressions(writer: MessageWriter, expressions: list[Stateful], one: int, many: int) -> None:
    """The reverse."""
    if len(expressions) == 1:
        _put_stateful(writer, one, expressions[0])
    elif len(expressions) > 1:
        outer = writer.begin_attribute(many)
        for each in expressions:
            _put_stateful(writer, LIST_ELEMENT, each)
        writer.end_attribute(outer)


def _put_stateful(writer: MessageWriter, kind: int, expression: Stateful) -> None:
    outer = writer.begin_attribute(kind)
    put_text(writer, 1, expression.name())
    inner = writer.begin_attribute(2)
    expression.put_state(writer)
    writer.end_attribute(inner)
    writer.end_attribute(outer)


def put_expression(writer: MessageWriter, kind: int, expression: Expression) -> None:
    """Write an expression: its name, and its attributes."""
    outer = writer.begin_attribute(kind)
    put_text(writer, 1, expression.name())
    if expression.has_attributes():
        inner = writer.begin_attribute(2)
        expression.put(writer)
        writer.end_attribute(inner)
    writer.end_attribute(outer)


@final
class ObjectUse(Expression):
    """Uses a named counter, quota or limit."""

    def __init__(self, found: StatefulObject) -> None:
        self.found: StatefulObject = found

    def name(self) -> bytes:
        return b"objref"

    def evaluate(self, run: Run) -> None:
        self.found.expression.count(run)

    def put(self, writer: MessageWriter) -> None:
        put_text(writer, 2, self.found.title)
        put32(writer, 1, self.found.kind)

    def take(self) -> None:
        self.found.uses += 1

    def release(self) -> None:
        self.found.uses -= 1


@final
class ObjectMap(SetUser):
    """Uses the named object that a map gives for a key."""

    def __init__(self, found: DataSet, key: int) -> None:
        super().__init__(found)
        self.key: int = key

    def name(self) -> bytes:
        return b"objref"

    def evaluate(self, run: Run) -> None:
        element = _search(run, self.found, self.key)
        if run.verdict != CONTINUE:
            return
        named = None if element is None else element.object
        if named is None:
            run.stop()
        else:
            named.expression.count(run)

    def put(self, writer: MessageWriter) -> None:
        put_register(writer, 3, self.key)
        put_text(writer, 4, self.found.name)


@final
class _ObjectLoader(Loader):
    def name(self) -> bytes:
        return b"objref"

    def load(self, attributes: Attributes, loading: "Loading") -> Expression:
        if attributes.has(3) and (attributes.has(4) or attributes.has(5)):
            found = loading.find_set(attributes, 4, 5)
            if found.flags & SET_OBJECT == 0:
                raise Errno(EINVAL)
            made = ObjectMap(found, read_register(attributes, 3, found.key_length))
            made.bind()
            return made
        if not attributes.has(1) or not attributes.has(2):
            raise Errno(EOPNOTSUPP)
        named = loading.find_object(attributes.text(2, NAME_LIMIT), attributes.be32(1))
        if named is None:
            attributes.blame(2)
            raise Errno(ENOENT)
        return ObjectUse(named)


register_loader(_LookupLoader())
register_loader(_DynamicLoader())
register_loader(_ObjectLoader())
