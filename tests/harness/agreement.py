"""What Linux answers, twice: one answer might be chance, or the work of a busy host.

The second may be another kernel's: where Krait gives Linux's answer, Linux is not asked again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.harness.batch import Batch, Result
from tests.harness.kept import kept_answer, sum_of
from tests.harness.kernels import LINUX
from tests.harness.records import Records, linux_sum
from tools.oracle import fetch_oracle

UNSTABLE = "unstable"  # the kind of a result that Linux gave only once
LINUX_RUNS = 4  # at most, until two of them agree


def agreed_answers(
    wanted: Batch, others: Callable[[], Mapping[str, Result]], difference: Callable[[Result, Result], str | None]
) -> dict[str, Result]:
    """Linux's answers to the cases of a batch. Those that it gives only once are `UNSTABLE`, and their output says how
    the first two differ. `others` gives the other kernel's when Linux has answered once. `difference` is None for equal
    ones.
    """
    seen: dict[str, list[Result]] = {case.name: [] for case in wanted.cases}
    agreed: dict[str, Result] = {}
    for _ in range(LINUX_RUNS):
        open_cases = [case for case in wanted.cases if case.name not in agreed]
        if not open_cases:
            break
        results = Batch(open_cases, wanted.files, wanted.machine, wanted.needs_modules).run(LINUX)
        of_other = others()
        for name, result in results.items():
            known = [*seen[name], *([of_other[name]] if name in of_other else [])]
            if any(difference(earlier, result) is None for earlier in known):
                agreed[name] = result
            seen[name].append(result)
    for name, answers in seen.items():
        if name not in agreed:
            text = difference(answers[0], answers[1]) or name
            agreed[name] = Result(name, UNSTABLE, 0, 0.0, f"Linux answers differently from run to run:\n{text}")
    return {name: agreed[name] for name in seen}


def text_of(result: Result) -> str:
    """What a case printed, and how it ended."""
    return result.output.replace("\r", "") + f"{result.ending}{result.log}"


def linux_texts(
    name: str, wanted: Batch, krait: Mapping[str, Result], text_of: Callable[[Result], str], test: Path
) -> dict[str, str]:
    """What Linux prints in each case, as `text_of` has it. Where Krait prints what is recorded in `recorded.txt` beside
    the test, Linux is not asked; else its answers are kept under a name, until the cases, the kernel or the file with
    the test change. Raises AssertionError for one that never prints the same twice.
    """
    fetch_oracle()
    records = Records(test.with_name("recorded.txt"))
    key = sum_of([linux_sum(), test.read_bytes()])
    of_krait = {case.name: text_of(krait[case.name]) for case in wanted.cases}
    if all(records.holds(f"{test.stem}:{case}", key, text) for case, text in of_krait.items()):
        return of_krait

    def answer() -> str:
        return json.dumps(_agreed_texts(wanted, krait, text_of))

    parts = [wanted.initrd(wanted.cases), LINUX.path.read_bytes(), test.read_bytes()]
    texts: dict[str, str] = json.loads(kept_answer(name, parts, answer))
    if records.writes:
        for case, text in texts.items():
            records.note(f"{test.stem}:{case}", key, text)
        records.save()
    return texts


def _agreed_texts(wanted: Batch, others: Mapping[str, Result], text_of: Callable[[Result], str]) -> dict[str, str]:
    """What Linux prints in each case, as `text_of` has it. Raises AssertionError for one that never prints the same
    twice.
    """

    def difference(once: Result, again: Result) -> str | None:
        first, second = text_of(once), text_of(again)
        return None if first == second else f"{first}\n---\n{second}"

    results = agreed_answers(wanted, lambda: others, difference)
    assert [result.output for result in results.values() if result.kind == UNSTABLE] == []
    return {name: text_of(result) for name, result in results.items()}
