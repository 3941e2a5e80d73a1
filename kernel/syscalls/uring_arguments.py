"""Fields of submissions."""

from kernel.lang import EINVAL, Errno


def refuse_if(is_wrong: bool) -> None:
    """Raise EINVAL where a field says something that it must not."""
    if is_wrong:
        raise Errno(EINVAL)
