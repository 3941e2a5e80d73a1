"""Records of what Linux answered: which hold, and which are of something that is no longer there."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conformance.cases import MANY, RECORDED, names
from tests.harness.kept import sum_of
from tests.harness.records import Records, sources_of
from tools.paths import ROOT


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("KRAIT_ASK_LINUX", "KRAIT_RECORD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "recorded.txt"


def test_a_record_holds_for_its_sources_and_its_answer(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(path)
    records.note("pipes", "key", "exit 0")
    records.save()
    again = Records(path)
    assert again.holds("pipes", "key", "exit 0")
    assert not again.holds("pipes", "key", "exit 1") and again.knows("pipes", "key")
    assert not again.holds("pipes", "another", "exit 0") and not again.knows("pipes", "another")
    assert not again.knows("fifos", "key")
    monkeypatch.setenv("KRAIT_ASK_LINUX", "1")
    assert not Records(path).holds("pipes", "key", "exit 0")


def test_several_processes_write_to_one_file(path: Path) -> None:
    first, second = Records(path), Records(path)
    first.note("b", "key", "1")
    second.note("a", "key", "2")
    first.save()
    second.save()
    assert Records(path).holds("b", "key", "1") and Records(path).holds("a", "key", "2")
    assert [line.split()[0] for line in path.read_text().splitlines()] == ["a", "b"]
    second.save(["a"])
    assert not Records(path).knows("b", "key")


def test_a_case_is_determined_by_what_it_includes(tmp_path: Path) -> None:
    (tmp_path / "case.c").write_text('#include <stdio.h>\n#include "one.h"\n')
    (tmp_path / "one.h").write_text('#include "two.h"\n#include "case.c"\n')
    (tmp_path / "two.h").write_text("int two;\n")
    before = sum_of(sources_of(tmp_path / "case.c"))
    assert before == sum_of(sources_of(tmp_path / "case.c"))
    (tmp_path / "two.h").write_text("int three;\n")
    assert before != sum_of(sources_of(tmp_path / "case.c"))


def test_recorded_names_are_those_of_cases() -> None:
    known = {*names(), *(f"{name}:{MANY}" for name in names())}
    assert [line for line in RECORDED.read_text().splitlines() if line.split()[0] not in known] == []
    tests = {path.stem for path in (ROOT / "tests" / "boot").glob("test_*.py")}
    lines = (ROOT / "tests" / "boot" / "recorded.txt").read_text().splitlines()
    assert [line for line in lines if line.partition(":")[0] not in tests] == []
