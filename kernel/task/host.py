"""What the whole machine is called (uname(2), sethostname(2))."""

from typing import Final

from kernel.lang import final

NAME_LIMIT: Final = 64
SYSTEM_NAME: Final = b"Linux"  # what programs test for
RELEASE: Final = b"6.12.0-krait"
KRAIT_VERSION: Final = "0.1.0"
"""The one place where Krait's version stands: pyproject.toml and the tools read it here."""
VERSION: Final = f"#1 SMP PREEMPT_DYNAMIC Krait {KRAIT_VERSION}".encode()


@final
class Host:
    """Names that root may change."""

    def __init__(self) -> None:
        self.name: bytes = b"(none)"
        self.domain: bytes = b"(none)"


HOST: Host = Host()
