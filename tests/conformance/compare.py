"""Say how two kernels' answers to one case differ, for a person to read."""

from __future__ import annotations

import difflib

from tests.harness import Result


def difference(linux: Result, krait: Result, sides: tuple[str, str] = ("Linux", "Krait")) -> str | None:
    """None if the answers are equal."""
    for side, result in zip(sides, (linux, krait), strict=True):
        if result.kind == "died":
            return f"{linux.name}: {side}: the machine died\n{result.log}"
    if (linux.ending, linux.output) == (krait.ending, krait.output):
        return None
    lines = difflib.unified_diff(
        linux.output.splitlines(), krait.output.splitlines(), *sides, n=2, lineterm="",
    )
    return "\n".join([f"{linux.name}: {sides[0]}: {linux.ending}, {sides[1]}: {krait.ending}", *lines])
