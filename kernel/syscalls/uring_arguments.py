"""Fields of submissions."""

from kernel.lang import EINVAL, Errno


def refuse_if(is_wrong: bool) -> None:
    """Raise EINVAL if a field has a forbidden value."""
    if is_wrong:
        raise Errno(EINVAL)
