"""The system call table, and the page that is generated from it."""

import kernel.syscalls.all  # noqa: F401  (it fills the table)
from kernel.syscalls.table import SYSCALLS
from tools import compatibility


def test_numbers_and_names_are_those_of_linux() -> None:
    assert compatibility.misnamed() == []


def test_declarations_are_complete() -> None:
    for row in SYSCALLS:
        if row is not None:
            assert row.status in ("Full", "Partial"), row.name
            assert set(row.args) <= set("dxpos"), row.name
            assert len(row.args) <= 6, row.name


def test_the_compatibility_page_is_up_to_date() -> None:
    assert compatibility.PAGE.read_text(encoding="utf-8") == compatibility.page(), "run python -m tools.compatibility"
