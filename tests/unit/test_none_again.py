"""No function sets a field to None and then asks whether it is None: for the type checker it is, whatever others have
stored there meanwhile, and the compiled code stops where that is wrong. A method or a local asks instead.
"""

import ast

from tools.paths import ROOT


def asked_again(source: str) -> list[str]:
    """The fields that are asked for after they were set to None, with lines."""
    found = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        cleared: dict[str, int] = {}
        asked: list[tuple[str, int]] = []
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and node.value.value is None:
                fields = [target for target in node.targets if isinstance(target, ast.Attribute)]
                cleared.update((ast.unparse(field), node.lineno) for field in fields)
            elif isinstance(node, ast.Compare) and isinstance(node.left, ast.Attribute):
                if isinstance(node.ops[0], (ast.Is, ast.IsNot)) and ast.unparse(node.comparators[0]) == "None":
                    asked.append((ast.unparse(node.left), node.lineno))
        found += [f"line {line}: {name}" for name, line in asked if cleared.get(name, line) < line]
    return found


def test_the_kernel_asks_for_no_field_that_it_has_cleared() -> None:
    sources = [path for place in ("kernel", "arch") for path in sorted((ROOT / place).rglob("*.py"))]
    found = [f"{path.relative_to(ROOT)}: {each}" for path in sources for each in asked_again(path.read_text())]
    assert found == []


def test_it_would_be_found() -> None:
    assert asked_again("def f(a):\n    a.b = None\n    g()\n    return a.b is not None\n") == ["line 4: a.b"]
    assert asked_again("def f(a):\n    if a.b is None:\n        return\n    a.b = None\n") == []
