"""Escape analysis on functions in IR: which objects get places in frames. What that is worth, whole programs show:
`tests/language/cases/escape.py` and `tools/fuzz_objects.py`.
"""

from __future__ import annotations

import re
import textwrap

from compiler.escape.check import Misplaced, check_places
from compiler.escape.flow import Summary, solve_all
from compiler.escape.lifetimes import Lifetimes
from compiler.escape.placement import Made, Plan, TypeFacts
from compiler.escape.program import make_plans
from compiler.escape.regions import Ways, holders
from compiler.escape.rewrite import BufferLayout, Rewriter
from compiler.escape.text import Body, Reader

TYPES = {
    "krait.type.Node": TypeFacts(0, (8,)),
    "krait.type.kernel.lang.runtime.containers.ByteArray": TypeFacts(0, (8,)),
    "krait.type.Plain": TypeFacts(0, ()),
    "krait.type.RawArray[u8]": TypeFacts(2, ()),
}
ALLOCATION = """
    {register} = call ptr @krait_allocate(ptr @"krait.type.{kind}", i64 24)
    {register}.null = icmp eq ptr {register}, null
    br i1 {register}.null, label %memory{number}, label %go{number}
    memory{number}:
    ret {failed}
    go{number}:
"""


def new(register: str, number: int, failed: str = "void", kind: str = "Node") -> str:
    return ALLOCATION.format(register=register, number=number, failed=failed, kind=kind)


def function(name: str, parameters: str, body: str, result: str = "void") -> tuple[str, str]:
    lines = [line.strip() for line in textwrap.dedent(body).splitlines() if line.strip()]
    lines = [line if line.endswith(":") else f"  {line}" for line in lines]
    header = f'define LINKAGE {result} @"{name}"({parameters}) #0 {{'
    slots = [line for line in lines if " = alloca " in line]
    rest = [line for line in lines if " = alloca " not in line]
    return name, "\n".join([header, "entry:", *slots, "  br label %begin", "begin:", *rest, "}"])


def plans_of(
    *functions: tuple[str, str], fixed: frozenset[str] = frozenset(), sets: dict[str, tuple[str, ...]] | None = None
) -> tuple[dict[str, Plan], dict[str, Body], dict[str, str]]:
    bodies = {name: Reader(sets or {}).read(name, text) for name, text in functions}
    return make_plans(bodies, TYPES, set(fixed)), bodies, dict(functions)


def places(name: str, *functions: tuple[str, str], fixed: frozenset[str] = frozenset()) -> int:
    """How many objects of a function have places in its frame."""
    plan = plans_of(*functions, fixed=fixed)[0].get(name)
    return len(plan.places) if plan is not None else 0


LOOK = function("look", "ptr %p1", "%t1 = load i64, ptr %p1\nret i64 %t1", "i64")
KEEP = function("keep", "ptr %p1", 'call void @krait.store_reference(ptr @"global", ptr %p1)\nret void')


def test_an_object_that_is_only_looked_at_has_a_place() -> None:
    user = function("f", "", new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void')
    assert places("f", LOOK, user) == 1


def test_what_a_callee_stores_for_others_has_none() -> None:
    user = function("f", "", new("%t1", 1) + 'call void @"keep"(ptr %t1)\nret void')
    assert places("f", KEEP, user) == 0


def test_what_is_passed_to_an_unknown_function_has_none() -> None:
    user = function("f", "", new("%t1", 1) + "call void @assembly(ptr %t1)\nret void")
    assert places("f", user) == 0


def test_an_address_that_becomes_a_number_is_known_everywhere() -> None:
    user = function("f", "", new("%t1", 1) + "%t2 = ptrtoint ptr %t1 to i64\nret void")
    assert places("f", user) == 0


def test_an_unknown_operation_lets_its_operands_escape() -> None:
    user = function("f", "", new("%t1", 1) + "%t2 = addrspacecast ptr %t1 to ptr addrspace(1)\nret void")
    assert places("f", user) == 0


def test_what_an_argument_stores_in_another_counts() -> None:
    """A list from elsewhere takes the object; one of the function's own too, and that has a place as well."""
    push = function("push", "ptr %p1, ptr %p2", "call void @krait.store_reference(ptr %p1, ptr %p2)\nret void")
    given = function("f", "ptr %p1", new("%t1", 1) + 'call void @"push"(ptr %p1, ptr %t1)\nret void')
    own = function("f", "", new("%t1", 1) + new("%t2", 2) + 'call void @"push"(ptr %t1, ptr %t2)\nret void')
    assert places("f", push, given) == 0
    assert places("f", push, own) == 2


def test_a_fresh_object_of_the_callee_may_hold_it() -> None:
    """The callee puts an array of its own into its argument; what is stored through that is in the heap's hands."""
    grow = function("grow", "ptr %p1", new("%t1", 1) + "call void @krait.store_reference(ptr %p1, ptr %t1)\nret void")
    push = function(
        "push",
        "ptr %p1, ptr %p2",
        "%t1 = load atomic ptr, ptr %p1 unordered, align 8\n"
        "call void @krait.store_reference(ptr %t1, ptr %p2)\nret void",
    )
    user = function(
        "f",
        "",
        new("%t1", 1) + new("%t2", 2) + 'call void @"grow"(ptr %t1)\ncall void @"push"(ptr %t1, ptr %t2)\nret void',
    )
    assert places("f", grow, push, user) == 1


def holder(kind: str) -> tuple[str, str]:
    """A function that makes an object, lets it refer to an argument, and forgets it."""
    body = new("%t1", 1, kind=kind) + "call void @krait.store_reference(ptr %t1, ptr %p1)\nret void"
    return function("hold", "ptr %p1", body)


def test_what_a_callee_leaves_in_the_heap_may_not_refer_to_a_frame() -> None:
    """It is freed later, and counts down then. What lies in the callee's own frame is gone when that returns."""
    user = function("f", "", new("%t1", 1) + 'call void @"hold"(ptr %t1)\nret void')
    assert places("f", holder("Node"), user) == 1
    assert places("f", holder("RawArray[u8]"), user) == 0
    between = function("between", "i64 %p1, ptr %p2", 'call void @"hold"(ptr %p2)\nret void')
    far = function("f", "", new("%t1", 1) + 'call void @"between"(i64 1, ptr %t1)\nret void')
    assert places("f", holder("RawArray[u8]"), between, far) == 0
    again = function(
        "between", "i64 %p1, ptr %p2", 'call void @"between"(i64 %p1, ptr %p2)\n' + between[1].split("begin:\n")[1]
    )
    assert places("f", holder("RawArray[u8]"), again, far) == 0
    inside = function("f", "", new("%t1", 1) + new("%t2", 2)
                      + "call void @krait.store_reference(ptr %t1, ptr %t2)\n"
                      + '%t3 = load ptr, ptr %t1\ncall void @"hold"(ptr %t3)\nret void')  # fmt: skip
    assert places("f", holder("RawArray[u8]"), inside) == 1


def test_the_targets_of_an_indirect_call_are_joined() -> None:
    user = function("f", "ptr %p1", new("%t1", 1) + "call void %p1(ptr %t1) #9\nret void")
    for targets, count in ((("look",), 1), (("look", "keep"), 0)):
        plan = plans_of(LOOK, KEEP, user, sets={"9": targets})[0].get("f")
        assert (len(plan.places) if plan else 0) == count


def landing(number: int) -> str:
    return f"landing{number}:\n%pad{number} = landingpad {{ ptr, i32 }} cleanup\nresume {{ ptr, i32 }} %pad{number}\n"


def guarded(register: str, number: int, failed: str = "void") -> str:
    """An allocation with a clean-up around it."""
    test = f"\n    {register}.null"
    call = new(register, number, failed).replace("call", "invoke")
    return call.replace(test, f" to label %went{number} unwind label %landing{number}\nwent{number}:{test}", 1)


def test_a_place_needs_no_landing() -> None:
    """What made the object is gone, and the way goes on where the call would have come back to."""
    look = 'invoke i64 @"look"(ptr %t1) to label %after unwind label %landing1\nafter:\nret void\n'
    user = function("f", "", guarded("%t1", 1) + look + landing(1))
    plans, bodies, texts = plans_of(LOOK, user)
    rewriter = Rewriter(plans, TYPES, None)
    text = rewriter.rewrite(bodies["f"], texts["f"])
    assert "krait_allocate" not in text
    assert "getelementptr inbounds i8, ptr %place4, i64 0\n  br label %went1\nwent1:\n" in text


def test_a_callee_with_a_landing_makes_its_result_where_it_is_told() -> None:
    make = function("make", "", guarded("%t1", 1, "ptr null") + "ret ptr %t1\n" + landing(1), "ptr")
    user = function("f", "", '%t1 = call ptr @"make"()\nret void')
    plans, bodies, texts = plans_of(make, user)
    text = Rewriter(plans, TYPES, None).rewrite(bodies["make"], texts["make"])
    assert " to label %place4.got unwind label %landing1\nplace4.got:\n  br label %place4.made\n" in text
    assert "[ %place4.new, %place4.got ]\n  br label %went1\n" in text


def rewritten(*functions: tuple[str, str]) -> str:
    """The text of the function `f`, with names that do not depend on lines."""
    plans, bodies, texts = plans_of(*functions)
    return re.sub(r"(guarded|leaving|place)\d+", r"\1", Rewriter(plans, TYPES, None).rewrite(bodies["f"], texts["f"]))


def block(text: str, label: str) -> list[str]:
    """The lines of a block."""
    lines = text.split("\n")
    start = lines.index(f"{label}:") + 1
    end = next(number for number in range(start, len(lines)) if lines[number].endswith((":", "}")))
    return [line.strip() for line in lines[start:end]]


DROP = "call void @krait.release_reference(ptr %place.8)"
CHOICE = "%t0 = icmp eq i64 %p1, 0\nbr i1 %t0, label %without, label %with\nwith:\n"


def test_ways_without_the_object_pay_nothing() -> None:
    """Neither is its place cleared at the entry, nor is anything dropped where it has not been made."""
    body = CHOICE + new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void\nwithout:\nret void'
    text = rewritten(LOOK, function("f", "i64 %p1", body))
    assert "store ptr null" not in text
    assert block(text, "without") == ["ret void"]
    assert block(text, "guarded") == [DROP, "ret void"]


def test_references_are_dropped_where_ways_meet() -> None:
    """On the edge from the object's way, of which the phi hears; the block with the call has been split."""
    body = CHOICE + new("%t1", 1) + '%t2 = call i64 @"look"(ptr %t1)\nbr label %end\nwithout:\nbr label %end\n'
    body += "end:\n%t3 = phi i64 [ %t2, %go1 ], [ 0, %without ]\nret i64 %t3"
    body = body.replace("ret void", "ret i64 0")
    text = rewritten(LOOK, function("f", "i64 %p1", body, "i64"))
    assert block(text, "guarded") == ["br label %leaving.0.end"]
    assert block(text, "leaving.0.end") == [DROP, "br label %end"]
    assert block(text, "end") == ["%t3 = phi i64 [ %t2, %leaving.0.end ], [ 0, %without ]", "ret i64 %t3"]


def test_an_object_that_is_looked_at_where_ways_meet_is_kept_till_the_end() -> None:
    body = "%s1 = alloca ptr\nstore ptr null, ptr %s1\n" + CHOICE + new("%t1", 1) + "store ptr %t1, ptr %s1\n"
    body += "br label %without\nwithout:\n%t2 = load ptr, ptr %s1\nret void"
    text = rewritten(function("f", "i64 %p1", body))
    assert text.index("store ptr null, ptr %place.8") < text.index("begin:")
    assert block(text, "without") == ["%t2 = load ptr, ptr %s1", DROP, "ret void"]


def test_a_trap_drops_what_the_frame_holds() -> None:
    body = (
        CHOICE + new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void\nwithout:\ncall i64 @"look"(ptr null)\nret void'
    )
    text = rewritten(LOOK, function("f", "i64 %p1", body))
    assert 'invoke i64 @"look"(ptr %t1) to label %guarded unwind label %dropping0' in text
    assert block(text, "dropping0") == [
        "%dropping0.pad = landingpad { ptr, i32 } cleanup",
        DROP,
        "resume { ptr, i32 } %dropping0.pad",
    ]
    assert block(text, "without") == ['call i64 @"look"(ptr null)', "ret void"]


def test_a_trap_with_a_clean_up_drops_before_it_what_that_does_not_need() -> None:
    look = 'invoke i64 @"look"(ptr %t1) to label %after unwind label %landing1\nafter:\nret void\n'
    body = 'invoke i64 @"look"(ptr null) to label %with unwind label %landing1\nwith:\n' + new("%t1", 1) + look
    text = rewritten(LOOK, function("f", "", body + landing(1)))
    assert 'invoke i64 @"look"(ptr %t1) to label %after unwind label %dropping0' in text
    assert 'invoke i64 @"look"(ptr null) to label %with unwind label %landing1' in text
    assert block(text, "dropping0") == [
        "%dropping0.pad = landingpad { ptr, i32 } cleanup",
        DROP,
        "resume { ptr, i32 } %dropping0.pad",
    ]


LOOP = """
    %s1 = alloca ptr
    %s2 = alloca ptr
    store ptr null, ptr %s1
    br label %head
    head:
    {before}
    {allocation}
    {after}
    br i1 %p1, label %head, label %end
    end:
    ret void
"""


def loop(before: str, after: str) -> tuple[str, str]:
    return function("f", "i1 %p1", LOOP.format(before=before, after=after, allocation=new("%t1", 1)))


def test_a_loop_uses_one_place_if_the_last_object_is_dead() -> None:
    assert places("f", LOOK, loop("", 'call i64 @"look"(ptr %t1)')) == 1
    assert places("f", LOOK, loop("", "store ptr %t1, ptr %s1\n%t2 = load ptr, ptr %s1")) == 1


def test_a_loop_that_still_reads_the_last_object_uses_the_heap() -> None:
    later = 'store ptr %t1, ptr %s1\n%t3 = call i64 @"look"(ptr %t2)'
    assert places("f", LOOK, loop("%t2 = load ptr, ptr %s1", later)) == 0
    previous = "%t3 = load ptr, ptr %s1\nstore ptr %t1, ptr %s1"
    assert places("f", LOOK, loop("", previous)) == 0


def test_a_returned_object_has_its_place_in_the_caller() -> None:
    make = function("make", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    user = function("f", "", '%t1 = call ptr @"make"()\n%t2 = call i64 @"look"(ptr %t1)\nret void')
    plans, bodies, texts = plans_of(LOOK, make, user)
    assert [m.callee for m in plans["f"].places] == ["make"]
    rewriter = Rewriter(plans, TYPES, None)
    assert 'define LINKAGE ptr @"make"(ptr %place) #0' in rewriter.rewrite(bodies["make"], texts["make"])
    text = rewriter.rewrite(bodies["f"], texts["f"])
    assert '%t1 = invoke ptr @"make"(ptr %place4) to label' in text
    assert text.index("call void @krait.release_reference") < text.index("  ret void")


def test_results_of_several_calls_share_the_place_of_the_caller() -> None:
    """What the first one referred to is dropped before the second comes, if there is a place at all."""
    make = function("make", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    body = """
        %t1 = call ptr @"make"()
        %t2 = load i64, ptr %t1
        %t3 = icmp eq i64 %t2, 0
        br i1 %t3, label %again, label %end
        again:
        %t4 = call ptr @"make"()
        ret ptr %t4
        end:
        %t5 = call ptr @"make"()
        ret ptr %t5
    """
    user = function("f", "", body, "ptr")
    plans, bodies, texts = plans_of(make, user)
    assert [m.register for m in plans["f"].returned] == ["%t4", "%t5"]
    text = Rewriter(plans, TYPES, None).rewrite(bodies["f"], texts["f"])
    assert "call void @krait.release_given(ptr %place, i64 8)\n  %t4 = invoke" in text


def test_a_function_that_is_called_by_address_keeps_its_shape() -> None:
    make = function("make", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    user = function("f", "", '%t1 = call ptr @"make"()\nret void')
    assert plans_of(make, user, fixed=frozenset({"make"}))[0] == {}


def test_a_caller_that_keeps_the_result_gives_no_place() -> None:
    make = function("make", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    user = function("f", "", '%t1 = call ptr @"make"()\ncall void @"keep"(ptr %t1)\nret void')
    plans, bodies, texts = plans_of(KEEP, make, user)
    assert '%t1 = call ptr @"make"(ptr null)' in Rewriter(plans, TYPES, None).rewrite(bodies["f"], texts["f"])


def test_what_refers_to_a_place_may_not_be_a_result_from_the_heap() -> None:
    """`make` may return something else than what it makes in the place, and that would refer to the frame."""
    make = function("make", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    body = '%t9 = call ptr @"make"()\n' + new("%t1", 1) + "call void @krait.store_reference(ptr %t9, ptr %t1)\nret void"
    plans, _, _ = plans_of(make, function("f", "", body))
    assert [m.register for m in plans["f"].places] == ["%t9"]


def test_two_results_at_once_do_not_share_the_place() -> None:
    both = new("%t1", 1, "ptr null") + new("%t2", 2, "ptr null")
    make = function("make", "i1 %p1", both + "%t3 = select i1 %p1, ptr %t1, ptr %t2\nret ptr %t3", "ptr")
    assert plans_of(make)[0] == {}


def test_what_a_returned_object_refers_to_is_known_to_the_caller() -> None:
    """The result refers to the argument, so a caller that keeps the result's field keeps the argument."""
    wrap = function(
        "wrap",
        "ptr %p1",
        new("%t1", 1, "ptr null") + "call void @krait.store_reference(ptr %t1, ptr %p1)\nret ptr %t1",
        "ptr",
    )
    user = function(
        "f",
        "",
        new("%t1", 1)
        + '%t2 = call ptr @"wrap"(ptr %t1)\n%t3 = load ptr, ptr %t2\ncall void @"keep"(ptr %t3)\nret void',
    )
    plans, _, _ = plans_of(KEEP, wrap, user)
    assert [m.register for m in plans["f"].places] == ["%t2"]


def test_a_function_that_may_end_its_thread_keeps_counted_references_in_the_heap() -> None:
    end = function("end", "", 'call void @"schedule"()\nunreachable')
    for kind, count in (("Node", 0), ("Plain", 1)):
        user = function("f", "", new("%t1", 1, kind=kind) + 'call void @"end"()\nret void')
        assert places("f", end, user) == count


def test_bytes_of_a_bytearray_of_constant_size_have_a_place() -> None:
    kind = "kernel.lang.runtime.containers.ByteArray"
    init = function(f"{kind}.__init__", "ptr %p1, i64 %p2", "ret i64 0", "i64")
    made = new("%t1", 1, kind=kind) + f'%t2 = call i64 @"{kind}.__init__"(ptr %t1, i64 16)\n'
    user = function("f", "", made + 'call i64 @"look"(ptr %t1)\nret void')
    plans, bodies, texts = plans_of(LOOK, init, user)
    assert [m.buffer for m in plans["f"].places] == [0]
    text = Rewriter(plans, TYPES, BufferLayout(8, 24, 32)).rewrite(bodies["f"], texts["f"])
    assert "alloca [32 x i8]" in text and "__init__" not in text
    keeps = function("f", "", made + '%t3 = load ptr, ptr %t1\ncall void @"keep"(ptr %t3)\nret void')
    assert [m.buffer for m in plans_of(KEEP, init, keeps)[0]["f"].places] == [None]


# Calls that stay calls ------------------------------------------------------------------------------------------------

HEAVY = function("heavy", "", new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void')
LIGHT = function("light", "", new("%t1", 1, kind="Plain") + 'call i64 @"look"(ptr %t1)\nret void')


def apart(body: str, result: str = "void", *others: tuple[str, str]) -> list[str]:
    """The calls of a function that LLVM must not inline."""
    user = function("f", "i64 %p1, ptr %p2", body, result)
    plans, bodies, texts = plans_of(LOOK, HEAVY, LIGHT, user, *others)
    if "f" not in plans:
        return []
    text = Rewriter(plans, TYPES, None).rewrite(bodies["f"], texts["f"])
    return [line.strip() for line in text.split("\n") if " noinline" in line]


def test_a_call_aside_of_the_quick_way_is_not_inlined() -> None:
    assert apart(CHOICE + 'call void @"heavy"()\nret void\nwithout:\nret void') == ['call void @"heavy"() noinline']


def test_a_call_that_every_way_makes_may_be_inlined() -> None:
    assert apart(CHOICE + 'br label %without\nwithout:\ncall void @"heavy"()\nret void') == []


def test_ways_that_fail_are_no_quick_ways() -> None:
    failed = "%t9 = insertvalue { i64, i64 } zeroinitializer, i64 %p1, 1\nret { i64, i64 } %t9"
    done = "%t8 = insertvalue { i64, i64 } zeroinitializer, i64 %p1, 0\nret { i64, i64 } %t8"
    body = CHOICE + f'call void @"heavy"()\n{done}\nwithout:\n{failed}'
    assert apart(body, "{ i64, i64 }") == []
    assert apart(body.replace(failed, done.replace("%t8", "%t9")), "{ i64, i64 }") != []
    raised = CHOICE + 'call void @"heavy"()\nret i64 0\nwithout:\nbr label %raised1\nraised1:\nret i64 %p1'
    assert apart(raised, "i64") == []
    assert apart(raised.replace("raised1", "end1"), "i64") != []
    assert apart(raised.replace("ret i64 %p1", "ret i64 17179869184"), "i64") == []


def test_a_call_without_counted_references_may_be_inlined() -> None:
    assert apart(CHOICE + 'call void @"light"()\nret void\nwithout:\nret void') == []


def test_a_large_function_that_is_given_a_place_aside_is_not_inlined() -> None:
    """LLVM would give it a bonus for that argument."""
    body = CHOICE + new("%t1", 1) + 'call i64 @"large"(ptr %t1)\nret void\nwithout:\nret void'
    for lines, count in ((90, 0), (101, 1)):
        large = function("large", "ptr %p1", "%t1 = load i64, ptr %p1\n" * lines + "ret i64 %t1", "i64")
        assert len(apart(body, "void", large)) == count


# The check of what was rewritten --------------------------------------------------------------------------------------


def forged(user: tuple[str, str], *others: tuple[str, str], change: tuple[str, str] = ("", "")) -> str:
    """What the check finds in `f` whose first allocation was given a place whatever the analysis says; `change` is made
    in its text first.
    """
    bodies = {name: Reader({}).read(name, text) for name, text in (user, *others)}
    summaries: dict[str, Summary] = {}
    flows = solve_all(bodies, summaries)
    flow = flows["f"]
    site = flow.body.sites[0]
    made = Made(site.line, site.register, site.descriptor, site.size, flow.bit_of[site.register])
    lifetimes = Lifetimes(flow.body, flow)
    made.repeated = lifetimes.in_loop(made.line)
    made.region = Ways(lifetimes, [made.line]).region(made.line, False, holders(flow, lifetimes, made.bit, 0))
    text = Rewriter({"f": Plan([made])}, TYPES, None).rewrite(flow.body, user[1])
    assert change[0] in text
    bodies["f"] = Reader({}).read("f", text.replace(*change, 1) if change[0] else text)
    try:
        check_places(bodies, {"f"})
    except Misplaced as fault:
        return str(fault)
    return ""


def test_the_check_agrees_with_a_right_place() -> None:
    assert forged(function("f", "", new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void'), LOOK) == ""


def test_the_check_refuses_what_others_keep() -> None:
    stored = function("f", "", new("%t1", 1) + 'call void @"keep"(ptr %t1)\nret void')
    assert "is known outside" in forged(stored, KEEP)
    thrown = function("f", "", new("%t1", 1) + 'store ptr %t1, ptr @"global"\nret void')
    assert "is known outside" in forged(thrown)
    called = function("f", "ptr %p1", new("%t1", 1) + "call void %p1(ptr %t1)\nret void")
    assert "is known outside" in forged(called)


def test_the_check_refuses_what_is_returned() -> None:
    user = function("f", "", new("%t1", 1, "ptr null") + "ret ptr %t1", "ptr")
    assert "is returned" in forged(user)


def test_the_check_refuses_what_a_container_of_the_heap_refers_to() -> None:
    body = new("%t1", 1) + new("%t2", 2, kind="RawArray[u8]")
    body += "call void @krait.store_reference(ptr %t2, ptr %t1)\nret void"
    assert "what is not in the frame may refer to" in forged(function("f", "", body))
    argument = function("f", "ptr %p1", new("%t1", 1) + "call void @krait.store_reference(ptr %p1, ptr %t1)\nret void")
    assert "is known outside" in forged(argument)


def test_the_check_refuses_what_a_callee_leaves_in_the_heap() -> None:
    user = function("f", "", new("%t1", 1) + 'call void @"hold"(ptr %t1)\nret void')
    assert "what a callee leaves in the heap may refer to" in forged(user, holder("RawArray[u8]"))


def test_the_check_refuses_references_that_are_not_dropped_once() -> None:
    body = new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void'
    user = function("f", "", body)
    place = "%place4.8"
    drop = f"  call void @krait.release_reference(ptr {place})\n"
    assert "left behind" in forged(user, LOOK, change=(drop, ""))
    assert "dropped may not be there" in forged(user, LOOK, change=(drop, drop * 2))
    early = 'invoke i64 @"look"(ptr %t1)'
    assert "%t1 may be an object that is gone" in forged(user, LOOK, change=(early, f"{drop.strip()}\n  {early}"))
    assert "dropped may not be there" in forged(user, LOOK, change=("entry:\n", f"entry:\n{drop}"))


def test_the_check_refuses_a_trap_that_leaves_references() -> None:
    body = new("%t1", 1) + 'call i64 @"look"(ptr %t1)\nret void'
    landed = 'invoke i64 @"look"(ptr %t1) to label %guarded10 unwind label %dropping0\nguarded10:'
    assert "a trap may leave" in forged(function("f", "", body), LOOK, change=(landed, 'call i64 @"look"(ptr %t1)'))


def test_the_check_refuses_an_object_made_over_another() -> None:
    """The references of the last round are lost."""
    user = loop("", 'call i64 @"look"(ptr %t1)')
    jump = "  br label %head"
    drop = "  call void @krait.release_reference(ptr %place9.8)\n"
    assert "is forgotten" in forged(user, LOOK, change=(drop + jump, jump))


def test_the_check_refuses_a_place_that_is_taken_while_somebody_looks() -> None:
    later = 'store ptr %t1, ptr %s1\n%t3 = call i64 @"look"(ptr %t2)'
    assert "%t2 may be an object that is gone" in forged(loop("%t2 = load ptr, ptr %s1", later), LOOK)
    previous = "%t3 = load ptr, ptr %s1\nstore ptr %t1, ptr %s1"
    assert "%s1 may be an object that is gone" in forged(loop("", previous))
    assert forged(loop("", "store ptr %t1, ptr %s1\n%t2 = load ptr, ptr %s1")) == ""
