"""Elements that Python would compare by what they contain."""


def use(rows: list[list[int]], row: list[int], things: list[object], thing: object) -> int:
    if row in rows or thing in things:
        return rows.index(row)
    return rows.count(row) + things.count(thing)
