"""`match` on ints, enums, strings, classes: cases are tried in order; a subject that no case takes traps if the cases
are meant to be all.
"""

from __future__ import annotations

from compiler.lower.classes import is_instance, is_number, refuse_member, specific
from compiler.lower.comparison import equal, identical
from compiler.lower.convert import is_present, narrow
from compiler.lower.dispatch import STATEMENTS, lower, lower_body
from compiler.lower.expressions import lower_truth
from compiler.lower.function import FunctionLowerer, Slot
from compiler.lower.guards import note_access
from compiler.lower.layout import is_pointer
from compiler.lower.objects import exception_code, field_place, is_atomic, load_field
from compiler.lower.values import Value
from compiler.tree import BoolLit, CapturePattern, ClassPattern, Match, NoneLit, OrPattern, Pattern, ValuePattern
from compiler.types import BoolType, IntType, OptionalType

Captures = list[tuple[Slot, Value]]

def lower_match(fn: FunctionLowerer, s: Match) -> None:
    """Python falls through a match without a fitting case; so does this."""
    subject = lower(fn, s.subject)
    end = fn.label("matched")
    for case in s.cases:
        if not fn.live:
            break
        following = fn.label("case")
        fn.set_loc(case.pattern.loc)
        captured: Captures = []
        test_pattern(fn, case.pattern, subject, following, captured)
        for slot, value in captured if fn.live else ():
            fn.write(slot, value)
        if case.guard is not None:
            accepted = fn.label("guarded")
            fn.branch_if(lower_truth(fn, case.guard), accepted, following)
            fn.start(accepted)
        lower_body(fn, case.body)
        fn.branch(end)
        fn.start(following)
    fn.branch(end)
    fn.start(end)


def test_pattern(fn: FunctionLowerer, pattern: Pattern, subject: Value, failure: str, captured: Captures) -> None:
    """Go on if the subject fits, with what names are then bound to; else jump to `failure`. Python binds no name before
    the whole pattern fits.
    """
    match pattern:
        case ValuePattern():
            proceed(fn, value_matches(fn, pattern, subject), failure)
        case ClassPattern():
            class_pattern(fn, pattern, subject, failure, captured)
        case OrPattern():
            or_pattern(fn, pattern, subject, failure, captured)
        case CapturePattern():
            if pattern.pattern is not None:
                test_pattern(fn, pattern.pattern, subject, failure, captured)
            if pattern.name is not None and fn.live:
                slot = fn.slot(pattern.name, pattern.type or subject.type)
                captured.append((slot, narrow(fn, subject, slot.type, stable=True)))
        case _:
            raise fn.error("KP985", f"{type(pattern).__name__} is not supported", loc=pattern.loc)


def proceed(fn: FunctionLowerer, bit: str, failure: str) -> None:
    """Go on if an i1 holds."""
    go = fn.label("fits")
    fn.branch_if(bit, go, failure)
    fn.start(go)


def value_matches(fn: FunctionLowerer, pattern: ValuePattern, subject: Value) -> str:
    """Whether the subject equals a value (is it, for None, True and False)."""
    t = subject.type.inner if isinstance(subject.type, OptionalType) else subject.type
    if isinstance(pattern.value, BoolLit) and not isinstance(t, BoolType):
        return "false"  # 1 equals True, and is another object
    value = lower(fn, pattern.value)
    fn.set_loc(pattern.loc)
    if isinstance(pattern.value, NoneLit | BoolLit):
        return identical(fn, subject, value)
    return equal(fn, subject, value)


def class_pattern(
    fn: FunctionLowerer, pattern: ClassPattern, subject: Value, failure: str, captured: Captures
) -> None:
    """`case C(field=…)`."""
    cls = fn.type(pattern.cls)
    t = subject.type.inner if isinstance(subject.type, OptionalType) else subject.type
    if isinstance(cls, IntType | BoolType) or not is_pointer(subject.type):
        if isinstance(subject.type, OptionalType):
            proceed(fn, is_present(fn, subject), failure)
        refuse_member(fn, t, cls)
        if type(t) is not type(cls) and not is_number(fn, t, cls):
            proceed(fn, "false", failure)
        return
    cls = specific(fn, t, cls)
    proceed(fn, is_instance(fn, subject, cls), failure)
    receiver = subject.of_type(cls)
    for name, part in pattern.fields.items():
        if fn.is_exception(cls):
            test_pattern(fn, part, exception_code(fn, receiver, name), failure, captured)
            continue
        address, field_type, aligned = field_place(fn, receiver, name)
        note_access(fn, receiver, name, write=False)
        atomic = is_atomic(fn, receiver, name)
        value = load_field(fn, cls, name, address, field_type, aligned, atomic)
        test_pattern(fn, part, value, failure, captured)


def or_pattern(fn: FunctionLowerer, pattern: OrPattern, subject: Value, failure: str, captured: Captures) -> None:
    """`a | b`. All of them bind the same names, which are merged."""
    found = fn.label("found")
    slots: dict[str, Slot] = {}
    arms: list[tuple[str, dict[str, Value]]] = []
    for number, item in enumerate(pattern.items):
        following = failure if number + 1 == len(pattern.items) else fn.label("or")
        own: Captures = []
        test_pattern(fn, item, subject, following, own)
        if fn.live:
            slots.update((slot.address, slot) for slot, _ in own if slot.address)
            arms.append((fn.block, {slot.address: value for slot, value in own}))
        fn.branch(found)
        if following is not failure:
            fn.start(following)
    fn.start(found)
    for address, slot in slots.items():
        merged = fn.phi(fn.kind(slot.type), [(values[address].operand, block) for block, values in arms])
        captured.append((slot, Value(merged, slot.type)))


STATEMENTS[Match] = lower_match
