"""tests/unit has the rooms of the kernel, so that whoever looks for a module's tests knows where."""

from __future__ import annotations

from tools.paths import ROOT

OTHERS = {"arch", "tools"}  # beside the kernel's: the processor's, and the project's own programs


def test_directories_are_the_kernel_s() -> None:
    unit = ROOT / "tests" / "unit"
    found = {path.parent.relative_to(unit) for path in unit.rglob("test_*.py")}
    strangers = [
        str(each) for each in found
        if each.parts and each.parts[0] not in OTHERS and not (ROOT / "kernel" / each).is_dir()
    ]  # fmt: skip
    assert strangers == []


def test_every_directory_of_the_kernel_has_tests() -> None:
    kernel = ROOT / "kernel"
    places = [path.parent.relative_to(kernel) for path in kernel.rglob("__init__.py")]
    assert [str(each) for each in places if not any((ROOT / "tests" / "unit" / each).rglob("test_*.py"))] == []
