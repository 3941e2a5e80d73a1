"""Spans live on the stack."""

from kernel.lang import Span, u8


class View:
    data: Span[u8]

    def __init__(self, data: Span[u8]) -> None:
        self.data = data


def main(data: Span[u8]) -> Span[u8]:
    views = [data]
    print(len(views))
    return data
