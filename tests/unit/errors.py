"""What a call says when it fails, by the name of the error."""

from __future__ import annotations

import errno
from collections.abc import Callable

from kernel.lang import Errno

NAMES = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP", errno.EDEADLK: "EDEADLK"}  # of two with one number


def error_of(call: Callable[..., object], *arguments: object) -> str:
    """The name of the error that a system call, or a function of the kernel, raises; nothing if it succeeds."""
    try:
        call(*arguments)
    except OSError as error:
        return NAMES[error.errno or 0]
    except Errno as error:
        return NAMES[error.code]
    return ""
