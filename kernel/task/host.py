"""The names of the machine (uname(2), sethostname(2)), which differ by UTS namespace (uts_namespaces(7))."""

from typing import Final

from kernel.lang import atomic, final
from kernel.lib.namespace import CLONE_NEWUTS, FIRST_UTS_NUMBER, Namespace, UserNamespace, next_number

NAME_LIMIT: Final = 64
SYSTEM_NAME: Final = b"Linux"  # programs test for this
RELEASE: Final = b"6.12.0-krait"
KRAIT_VERSION: Final = "0.1.0"
"""The only place of Krait's version: pyproject.toml and the tools read it here."""
VERSION: Final = f"#1 SMP PREEMPT_DYNAMIC Krait {KRAIT_VERSION}".encode()


@final
@atomic("host", "domain")
class Host(Namespace):
    """Names that root may change: a UTS namespace."""

    def __init__(self, number: int, maker: UserNamespace | None = None) -> None:
        super().__init__(CLONE_NEWUTS, b"uts", number, maker)
        self.host: bytes = b"(none)"
        self.domain: bytes = b"(none)"

    def copy(self, owner: UserNamespace) -> "Host":
        """A copy with the same names. Raises MemoryError."""
        made = Host(next_number(), owner)
        made.host = self.host
        made.domain = self.domain
        return made


HOST: Host = Host(FIRST_UTS_NUMBER)
"""The first one."""
