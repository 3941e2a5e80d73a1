"""How much of the kernel may touch raw memory and the processor: `python -m compiler report --unsafe`.

Counts lines of the modules in compiler/unsafe_modules.txt, which the compiler enforces, against all of Kernel Python in
`kernel/` and `arch/`. Assembly (`boot/`, `arch/x86_64/*.S`) stands apart.
"""

from __future__ import annotations

import json
from pathlib import Path

from compiler.backend import ROOT
from compiler.front.declarations import unsafe_allowed


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def line_counts() -> tuple[dict[str, int], int]:
    """Lines of each unsafe module, and of all modules together."""
    modules = unsafe_allowed(str(ROOT))
    unsafe: dict[str, int] = {}
    total = 0
    for package in ("kernel", "arch"):
        for path in sorted((ROOT / package).rglob("*.py")):
            name = module_name(path)
            count = len(path.read_text(encoding="utf-8").splitlines())
            total += count
            if name in modules:
                unsafe[name] = count
    return unsafe, total


def as_text() -> str:
    """A line for each module, the largest first, and the share."""
    unsafe, total = line_counts()
    lines = [f"{count:6,}  {name}" for name, count in sorted(unsafe.items(), key=lambda entry: -entry[1])]
    return "\n".join([*lines, f"{sum(unsafe.values()):6,}  of {total:,} lines: {sum(unsafe.values()) / total:.1%}"])


def as_json() -> str:
    """The same for other programs."""
    unsafe, total = line_counts()
    return json.dumps({"modules": unsafe, "unsafe_lines": sum(unsafe.values()), "lines": total}, indent=2)
