"""async is out."""


async def read() -> int:
    return 1
