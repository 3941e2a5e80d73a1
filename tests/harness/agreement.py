"""What Linux answers, twice: one answer might be chance, or the work of a busy host.

The second may be another kernel's: where Krait gives Linux's answer, Linux is not asked again. Of many cases each boot
runs a part, which no other boot waits for: most cases wait for half of their time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.harness.batch import Batch, Case, Result
from tests.harness.kept import kept_answer
from tests.harness.kernels import LINUX
from tools.oracle import fetch_oracle

UNSTABLE = "unstable"  # the kind of a result that Linux gave only once
LINUX_RUNS = 4  # at most, until two of them agree
CASES_OF_A_BOOT = 80  # about as many


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
        results = _linux_results(wanted, open_cases)
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


def _linux_results(wanted: Batch, cases: list[Case]) -> dict[str, Result]:
    """What Linux answers once to cases of a batch. Slow cases have names alike, so that neighbours come apart."""
    count = max(1, round(len(cases) / CASES_OF_A_BOOT))
    parts = [Batch(cases[n::count], wanted.files, wanted.machine, wanted.needs_modules) for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        runs = list(pool.map(lambda part: part.run(LINUX), parts))
    return {name: result for results in runs for name, result in results.items()}


def text_of(result: Result) -> str:
    """What a case printed, and how it ended."""
    return result.output.replace("\r", "") + f"{result.ending}{result.log}"


def linux_texts(
    name: str, wanted: Batch, krait: Mapping[str, Result], text_of: Callable[[Result], str], test: Path
) -> dict[str, str]:
    """What Linux prints in each case, as `text_of` has it; kept under a name, until the cases, the kernel or the file
    with the test change. Raises AssertionError for one that never prints the same twice.
    """
    fetch_oracle()

    def answer() -> str:
        return json.dumps(_agreed_texts(wanted, krait, text_of))

    parts = [wanted.initrd(wanted.cases), LINUX.path.read_bytes(), test.read_bytes()]
    texts: dict[str, str] = json.loads(kept_answer(name, parts, answer))
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
