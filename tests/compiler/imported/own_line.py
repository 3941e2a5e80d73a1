"""An error that nobody raised on purpose is shown where it came up."""


def share(parts: int) -> int:
    return 100 // parts


SHARE = share(0)
