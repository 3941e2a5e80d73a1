"""Every conformance case must end and print on Krait as it does on Linux."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.cases import Both, answers, both_answers, linux_answers, names, scripts
from tests.conformance.compare import difference
from tests.harness import KRAIT, Result
from tests.harness.agreement import UNSTABLE
from tests.harness.guest import PATIENCE
from tests.harness.repeats import record_repeat
from userland.busybox import build_busybox

LONG = pytest.mark.timeout(int(600 * PATIENCE))  # the first one waits for all the answers
PENDING = Path(__file__).parent / "pending.txt"


def pending() -> dict[str, str]:
    """Cases that Krait is known not to pass yet, with the reason: `NAME: reason` a line."""
    lines = (line.split("#")[0].strip() for line in PENDING.read_text().splitlines())
    return {name.strip(): reason.strip() for name, _, reason in (line.partition(":") for line in lines if line)}


@pytest.fixture(scope="module")
def both() -> Both:
    return both_answers()


def _parameters() -> list[object]:
    reasons = pending()
    return [
        pytest.param(name, marks=pytest.mark.xfail(reason=reasons[name], strict=True) if name in reasons else ())
        for name in names()
    ]


def test_cases_that_mount_a_disk_unmount_it() -> None:
    """The next case in the same boot wants it, too."""
    texts = {path.name: path.read_text() for path in (Path(__file__).parent / "c").glob("*.c")}
    assert [name for name, text in texts.items() if 'mount("/dev/vd' in text and "umount" not in text] == []


@LONG
@pytest.mark.parametrize("name", _parameters())
def test_answers_as_linux_does(
    name: str, both: Both, request: pytest.FixtureRequest
) -> None:
    krait, linux = both
    compare(linux[name], krait[name], request)


def compare(linux: Result, krait: Result, request: pytest.FixtureRequest, processors: int = 1) -> None:
    """Fail unless the two answered alike, on that many processors."""
    name = linux.name
    text = difference(linux, krait)
    if text is not None:
        # Once more, both alone: some cases wait for moments, and a busy host may upset them, on Linux even twice.
        record_repeat(request, text)
        again = linux_answers([name], processors)[name]
        if again.kind == UNSTABLE:
            pytest.fail(again.output, pytrace=False)
        text = difference(again, answers(KRAIT, [name], processors)[name])
    if text is not None:
        words = name if processors == 1 else f"--processors {processors} {name}"
        pytest.fail(f"{text}\n\nrun it alone: .venv/bin/python -m tests.conformance {words}", pytrace=False)


@LONG
def test_linux_ends_every_case(both: Both) -> None:
    """A case that Linux does not finish tests nothing, or not all of it: 99 is the status of one that cannot go on."""
    assert [name for name, result in both[1].items() if result.kind != "exit" or result.code == 99] == []


@LONG
def test_every_answer_is_whole(both: Both) -> None:
    """What the runner cuts is not compared."""
    krait, linux = both
    results = [*krait.items(), *linux.items()]
    assert [name for name, result in results if "runner: cut after" in result.output] == []


def test_pending_cases_exist() -> None:
    assert set(pending()) <= set(names())


def test_scripts_use_many_commands() -> None:
    """The shell scripts name at least sixty different applets of busybox."""
    applets = {Path(path).name for path in (build_busybox() / "busybox.links").read_text().split()}
    words = {word for script in scripts() for word in re.findall(r"[\w.-]+", script.read_text())}
    assert len(applets & words) >= 60
