"""Say how two kernels' answers to one case differ, for a person to read."""

from __future__ import annotations

import difflib

from tests.harness import Result


def difference(linux: Result, krait: Result) -> str | None:
    """None if the answers are equal."""
    if krait.kind == "died":
        return f"{linux.name}: the machine died; Linux: {linux.ending}\n{krait.log}"
    if (linux.ending, linux.output) == (krait.ending, krait.output):
        return None
    lines = difflib.unified_diff(
        linux.output.splitlines(), krait.output.splitlines(), "Linux", "Krait", n=2, lineterm="",
    )
    return "\n".join([f"{linux.name}: Linux: {linux.ending}, Krait: {krait.ending}", *lines])
