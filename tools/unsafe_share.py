"""How much of the kernel may touch raw memory and the processor: `python -m tools.unsafe_share`.

Counts lines of the modules in compiler/unsafe_modules.txt, which the compiler enforces, against all of Kernel Python in
`kernel/` and `arch/`. Assembly (`boot/`, `arch/x86_64/*.S`) stands apart.
"""

from __future__ import annotations

from pathlib import Path

from compiler.front.declarations import unsafe_allowed
from tools.paths import ROOT


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


def main() -> None:
    unsafe, total = line_counts()
    for name, count in sorted(unsafe.items(), key=lambda entry: -entry[1]):
        print(f"{count:6,}  {name}")
    share = sum(unsafe.values()) / total
    print(f"{sum(unsafe.values()):6,}  of {total:,} lines: {share:.1%}")


if __name__ == "__main__":
    main()
