"""A list is no queue: taking its first element, or adding one before it, moves all others.

So code that does so says here what keeps the list short. What programs can make long is a deque, a chain through its
members, or lies in chunks (docs/decisions/0011-collections-grow-step-by-step.md).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tools.paths import ROOT

SHORT = {
    "kernel/fs/notification.py found.watches": "watches of one inode: an inotify instance has one at most",
    "kernel/ipc/pipe.py self.packets": "packets in a pipe: a page each",
    "kernel/ipc/posix_queues.py self.messages": "65,536 messages: fs.mqueue.msg_max",
    "kernel/ipc/posix_queues.py self.receivers": "waiting threads: kernel.threads-max",
    "kernel/ipc/posix_queues.py self.senders": "waiting threads: kernel.threads-max",
    "kernel/net/internet/addresses.py _WATCHERS": "parts of the kernel",
    "kernel/net/link/device.py WATCHERS": "parts of the kernel",
    "kernel/net/sockets/error_queue.py self.pending": "sends of a socket: net.core.optmem_max",
    "kernel/net/sockets/inet_socket.py errors": "errors that wait, _ERRORS_LIMIT, and notices between them",
    "kernel/tty/discipline.py self._dropped": "bytes of one character",
    "kernel/tty/tty.py discipline.signals": "signals of one piece of input",
}


def is_zero(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value == 0


def moved_lists(tree: ast.AST) -> Iterator[str]:
    """What `x.pop(0)`, `x.insert(0, …)` and `del x[0]` stand at."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
            if node.func.attr in ("pop", "insert") and is_zero(node.args[0]):
                yield ast.unparse(node.func.value)
        elif isinstance(node, ast.Delete):
            for target in node.targets:
                if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.expr) and is_zero(target.slice):
                    yield ast.unparse(target.value)


def in_file(path: Path) -> set[str]:
    text = path.read_text()
    if not any(word in text for word in ("pop(", "insert(", "del ")):
        return set()
    return {f"{path.relative_to(ROOT)} {name}" for name in moved_lists(ast.parse(text))}


def test_lists_that_lose_their_first_element_are_short() -> None:
    found = {name for path in sorted((ROOT / "kernel").rglob("*.py")) for name in in_file(path)}
    assert found == set(SHORT)


def test_what_is_found() -> None:
    source = "a.pop(0)\nb.c.insert(0, d)\ndel e[0]\nf.pop()\ng.pop(h)\ndel i[:3]\nj.insert(1, 0)\n"
    assert set(moved_lists(ast.parse(source))) == {"a", "b.c", "e"}
