"""What a call says when it fails, by the name of the error."""

from __future__ import annotations

import errno
from collections.abc import Callable


def error_of(call: Callable[..., object], *arguments: object) -> str:
    """The name of the error that a call raises; nothing if it succeeds."""
    try:
        call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno or 0]
    return ""
