"""Augmented assignments to fields that change their object in place."""


class Holder:
    def __init__(self) -> None:
        self.items: list[int] = []
        self.rest: list[int] | None = [1]

    @property
    def all(self) -> list[int]:
        return self.items

    @all.setter
    def all(self, items: list[int]) -> None:
        self.items = items


def use(holder: Holder) -> int:
    holder.items += [1]
    holder.items *= 2
    if holder.rest is not None:
        holder.rest += [1]
    holder.all += [1]
    return len(holder.items)
