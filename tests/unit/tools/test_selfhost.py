"""`krait self-build` and `krait self-test`: bad command lines, how builds and tests are compared, what starts anew."""

from __future__ import annotations

import io
import json
import os
import py_compile
import re
import subprocess
import sys
from argparse import Namespace
from pathlib import Path
from typing import ClassVar

import pytest

from compiler.backend import TARGETS, object_name, with_target
from compiler.driver import Timings
from tests.harness.outcomes import Outcomes
from tools import front_end
from tools.errors import KraitError, UsageError
from tools.images.root import Configuration
from tools.images.store import Kept
from tools.paths import ROOT
from tools.selfhost import build as self_build
from tools.selfhost import disks, inside, tests
from tools.selfhost.build import COMPLETE, begin_afresh, first_difference, keep_objects
from tools.selfhost.disks import installed_packages, package_status, same_bytes
from tools.selfhost.machine import ANSWER, MARK, Done, Setup
from tools.selfhost.phases import Watch


def fault(monkeypatch: pytest.MonkeyPatch, *words: str) -> str:
    """What the command says to these words; its status is 2."""
    monkeypatch.setattr("sys.argv", ["krait", *words])
    with pytest.raises(UsageError) as raised:
        front_end.main()
    assert raised.value.status == 2
    return str(raised.value)


@pytest.mark.parametrize(("words", "said"), [
    (["--memory", "1G"], "krait self-build: 1G of memory is too little: it takes 1536M"),
    (["--memory", "much"], "argument --memory: 'much' is not a size like 256M or 2G"),
    (["--cpus", "0"], "argument --cpus: '0' is not a number from 1 to 255"),
    (["--cpus", "two"], "argument --cpus: 'two' is not a number from 1 to 255"),
    (["--generations", "0"], "argument --generations: '0' is no number from 1 on"),
    (["--generations", "-1"], "argument --generations: "),
    (["--profile", "fast"], "argument --profile: invalid choice: 'fast'"),
    (["--short", "--generations", "2"], "krait self-build: --short builds no kernel, so it has no --generations"),
    (["kernel"], "unrecognized arguments: kernel"),
])  # fmt: skip
def test_what_self_build_refuses(monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    assert said in fault(monkeypatch, "self-build", *words)


@pytest.mark.parametrize(("words", "said"), [
    (["--memory", "512M"], "krait self-test: 512M of memory is too little: it takes 1536M"),
    (["--cpus", "1.5"], "argument --cpus: '1.5' is not a number from 1 to 255"),
    (["tests/boot"], "krait self-test: tests/boot is no test of tests/unit or tests/language"),
    (["tests/unit/none.py"], "krait self-test: tests/unit/none.py is no test of tests/unit or tests/language"),
    (["--short", "tests/unit"], "krait self-test: --short says which tests, so PATHS have no place"),
])  # fmt: skip
def test_what_self_test_refuses(monkeypatch: pytest.MonkeyPatch, words: list[str], said: str) -> None:
    assert said in fault(monkeypatch, "self-test", *words)


def build(place: Path) -> None:
    """As if two packages had been compiled and linked, profile dev."""
    (place / "ir").mkdir(parents=True)
    (place / "cache").mkdir()
    for name in ("a.ll", "b.ll"):
        (place / "ir" / name).write_text(name)
        target = TARGETS["kernel"]
        (place / "cache" / object_name(with_target(name, target), target, "dev")).write_text(f"object of {name}")
    (place / "krait.elf").write_bytes(b"kernel")
    keep_objects(place, place / "cache", "dev")


def test_differences_of_builds_are_found(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    build(here)
    build(there)
    assert first_difference(here, there) is None
    (there / "krait.elf").write_bytes(b"another")
    assert first_difference(here, there) == "krait.elf"
    (there / "objects" / "a.o").write_text("object of b.ll")
    assert first_difference(here, there) == "objects/a.o"
    (there / "ir" / "b.ll").write_text("other")
    assert first_difference(here, there) == "ir/b.ll"
    (there / "ir" / "a.ll").unlink()
    assert first_difference(here, there) == "ir/a.ll, which is only here"


def test_a_missing_object_is_a_difference(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    build(here)
    build(there)
    for path in (there / "cache").iterdir():
        path.unlink()
    keep_objects(there, there / "cache", "dev")
    assert first_difference(here, there) == "objects/a.o, which is only here"


def test_only_a_build_that_was_interrupted_goes_on(tmp_path: Path) -> None:
    build(tmp_path / "built")
    begin_afresh(tmp_path / "built")
    assert (tmp_path / "built" / "krait.elf").exists()
    (tmp_path / "built" / COMPLETE).touch()
    begin_afresh(tmp_path / "built")
    assert not (tmp_path / "built").exists()
    begin_afresh(tmp_path / "built")


class RecordedMachine:
    """Takes the place of SelfMachine and notes what is asked of it."""

    noted: ClassVar[list[str]] = []
    version = "6.12"

    def __init__(self, setup: Setup) -> None:
        self.generation = setup.generation
        self.noted.append(f"boot {setup.kernel.name}")

    def __enter__(self) -> RecordedMachine:
        return self

    def __exit__(self, *_: object) -> None:
        self.noted.append("stop")

    def start(self, kernel: str, generation: int) -> None:
        self.generation = generation
        self.noted.append(f"start {kernel} as {generation}")


def recorded(monkeypatch: pytest.MonkeyPatch, place: Path) -> list[str]:
    """What is done with machines from now on. This machine's build gives b"kernel"."""
    noted: list[str] = []
    monkeypatch.setattr(RecordedMachine, "noted", noted)
    monkeypatch.setattr(self_build, "SelfMachine", RecordedMachine)
    monkeypatch.setattr(self_build, "build_generation", lambda _1, _2, number: noted.append(f"build {number}"))
    for name in ("HOSTS", "CHECKOUT"):
        monkeypatch.setattr(self_build, name, place / name)
        (place / name / "build").mkdir(parents=True)
    (place / "HOSTS" / "krait.elf").write_bytes(b"kernel")
    return noted


@pytest.mark.parametrize(("generations", "boot", "answers", "expected"), [
    (1, False, "", ["boot krait.elf", "build 1", "stop"]),
    (2, False, "", ["boot krait.elf", "build 1", "stop", "boot generation-1.elf", "build 2", "stop"]),
    (1, True, "no\n", ["boot krait.elf", "build 1", "start build/krait.elf as 1", "stop"]),
    (1, True, "y\n\n", ["boot krait.elf", "build 1", "start build/krait.elf as 1", "build 2",
                        "start build/krait.elf as 2", "stop"]),
])  # fmt: skip
def test_generations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, generations: int, boot: bool, answers: str, expected: list[str]
) -> None:
    """Each in a machine of its own, or all in one that goes on; there somebody at a terminal may ask for more."""
    noted = recorded(monkeypatch, tmp_path)
    monkeypatch.setattr("os.isatty", lambda _: bool(answers))
    monkeypatch.setattr("sys.stdin", io.StringIO(answers))
    options = Namespace(generations=generations, boot=boot, memory="2G", cpus=1)
    self_build.build_whole(options, setup_in(tmp_path).disk)
    assert noted == expected


@pytest.mark.parametrize(("kernels", "expected"), [
    ([b"kernel"], ["boot generation-1.elf", "build 2", "stop", "boot generation-2.elf", "build 3", "stop"]),
    ([b"kernel", b"kernel", b"kernel"], ["boot generation-2.elf", "build 3", "stop"]),
    ([b"of other sources", b"kernel"], ["boot krait.elf", "build 1", "stop", "boot generation-1.elf", "build 2", "stop",
                                        "boot generation-2.elf", "build 3", "stop"]),
])  # fmt: skip
def test_generations_that_were_finished_are_not_built_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kernels: list[bytes], expected: list[str]
) -> None:
    """… if they are what would be built now. The last one is."""
    noted = recorded(monkeypatch, tmp_path)
    for number, kernel in enumerate(kernels, 1):
        self_build.kernel_of(number).write_bytes(kernel)
    options = Namespace(generations=3, boot=False, memory="2G", cpus=1)
    self_build.build_whole(options, setup_in(tmp_path).disk)
    assert noted == expected


def test_what_dpkg_knows_of_packages_goes_along() -> None:
    """Tests ask whether a package is installed, in the machine too."""
    names = installed_packages(["libc6-dev", "no-such-package"])
    status = package_status(names).decode()
    assert "libc6" in names and "no-such-package" not in names
    assert set(re.findall(r"^Package: (.*)$", status, re.MULTILINE)) == set(names)


def test_a_copy_keeps_what_was_made_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that the checkout has no more go; what was built stays, and bytecode."""
    monkeypatch.setattr(disks, "names_in_checkout", lambda: {"linker.ld"})
    made = ["build/krait.elf", "kernel/gone.py", "kernel/__pycache__/gone.cpython-311.pyc"]
    for name in made:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    disks.copy_checkout(tmp_path)
    assert {name for name in made if (tmp_path / name).exists()} == {made[0], made[2]}
    assert same_bytes(ROOT / "linker.ld", tmp_path / "linker.ld")


def test_bytecode_goes_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that finds it takes it: it holds for the copy, whose times are those of the original."""
    monkeypatch.setattr(disks, "ROOT", tmp_path / "here")
    monkeypatch.setattr(disks, "names_in_checkout", lambda: {"module.py"})
    monkeypatch.setattr("sys.pycache_prefix", str(tmp_path / "compiled"))
    source = tmp_path / "here" / "module.py"
    source.parent.mkdir()
    source.write_text("print(__cached__, 6 * 7)")
    compiled = Path(py_compile.compile(str(source), doraise=True) or "")
    disks.copy_checkout(tmp_path / "copy")
    (found,) = (tmp_path / "copy" / "__pycache__").iterdir()
    assert same_bytes(found, compiled)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, "-v", "-c", "import module"]
    done = subprocess.run(command, check=True, cwd=tmp_path / "copy", env=environment, capture_output=True, text=True)
    assert f"matches {tmp_path / 'copy' / 'module.py'}" in done.stderr and done.stdout == f"{found} 42\n"


def test_differences_of_tests_are_named() -> None:
    here = {"a": "passed", "b": "passed", "c": "skipped"}
    there = {"a": "passed", "b": "failed", "d": "passed"}
    assert tests.differences(here, here) == []
    assert tests.differences(here, there) == [
        "b: passed here, failed on Krait", "c: skipped here, not run on Krait", "d: not run here, passed on Krait"]
    assert tests.counts(here) == "2 passed, 0 failed, 1 skipped"


def test_outcomes_are_written_as_tests_end(tmp_path: Path) -> None:
    path = tmp_path / "outcomes"
    outcomes = Outcomes(path)
    for name, reports in {
        "a::one[x y]": ("passed", "passed", "passed"), "a::two": ("passed", "failed", "passed"),
        "a::three": ("skipped", "passed"), "a::four": ("passed", "passed", "failed"),
    }.items():  # fmt: skip
        for when, outcome in zip(("setup", "call", "teardown") if len(reports) == 3 else ("setup", "teardown"),
                                 reports, strict=True):  # fmt: skip
            outcomes.pytest_runtest_logreport(
                pytest.TestReport(name, ("a", 1, name), {}, outcome, None, when)  # type: ignore[arg-type]  # Literals
            )
    assert tests.read_outcomes(path) == {
        "a::one[x y]": "passed", "a::two": "failed", "a::three": "skipped", "a::four": "failed"}
    with pytest.raises(KraitError, match="no tests were run"):
        tests.read_outcomes(tmp_path / "none")


@pytest.mark.parametrize(("line", "number"), [
    ("console=ttyS0 quiet", 0), ("generation=2 quiet", 2), ("generation=1 generation=3", 3), ("generation=", 0),
    ("generation=x", 0), ("regeneration=4", 0),
])  # fmt: skip
def test_the_generation_of_a_command_line(line: str, number: int) -> None:
    assert inside.generation(line) == number


def setup_in(place: Path) -> Setup:
    disk = Kept("key", "", 0.0, place / "disk", Configuration(environment={"PATH": "/bin", "LANG": "C UTF"}))
    return Setup(kernel=place / "kernel", disk=disk, checkout=place, memory="2G", processors=2)


def test_parameters_of_a_generation(tmp_path: Path) -> None:
    setup = setup_in(tmp_path)
    assert setup.parameter_line(0) == "console=ttyS0 panic=-1 quiet maxcpus=2"
    assert setup.parameter_line(3) == "console=ttyS0 panic=-1 quiet maxcpus=2 generation=3"
    assert "'LANG=C UTF'" in setup.preparation() and "-t 9p" in setup.preparation()
    setup.checkout = tmp_path / "image"
    assert "/dev/vdb /mnt/krait" in setup.preparation()


def test_answers_are_found_among_what_the_kernel_says() -> None:
    found = ANSWER.search(f'[    1.5] a message{MARK}{{"status": 0}}')
    assert found and json.loads(found[1]) == {"status": 0}
    assert ANSWER.search("@self-made") is None


def test_the_kernels_share() -> None:
    assert Done(0, 12.0, 9.0, 1.0).kernel_share == 0.1
    assert Done(0, 0.0, 0.0, 0.0).kernel_share == 0.0


def test_phases_of_a_build_are_told_by_its_lines() -> None:
    clock = iter([1_000_000_000, 3_000_000_000, 3_500_000_000, 6_000_000_000])
    watch = Watch(lambda: next(clock))
    assert watch.see("krait: check the kernel's types: 10 s so far") is None
    assert watch.see("krait: check the kernel's types: 12.5 s") == "krait: front end: 2.0 s of QEMU's processors"
    assert watch.see("krait: link the kernel: 1.5 s") == "krait: link: 0.5 s of QEMU's processors"
    assert watch.see("front end                  12.50 s, 9.00 user, 1.00 system") is None
    phases = watch.end(Done(0, 15.0, 97.0, 3.0))
    assert phases.host == {"front end": 2.0, "link": 0.5, "total": 5.0}
    assert (phases.share("front end"), phases.share("total"), phases.share("link")) == (0.1, 0.03, 0.0)


def test_timings_tell_processor_time() -> None:
    timings = Timings()
    for _ in range(2):
        with timings.phase("one"):
            sum(range(100_000))
    stream = io.StringIO()
    timings.show(stream)
    first, total = stream.getvalue().splitlines()
    assert first.startswith("one ") and total.startswith("total ")
    assert first.split(" s, ")[1] == total.split(" s, ")[1] and first.endswith(" system")
