"""deque: both ends, index, iteration, growth around the ring."""

from __future__ import annotations

from collections import deque


def show(queue: deque[int]) -> None:
    text = ""
    for value in queue:
        text += f"{value} "
    print(f"{len(queue)}: {text}")


def main() -> None:
    queue: deque[int] = deque()
    for value in range(6):
        queue.append(value)
        queue.appendleft(-value)
    show(queue)
    print(queue.popleft(), queue.pop(), queue[0], queue[3], queue[-1])
    for value in range(100):
        queue.append(value)
        if value % 3:
            queue.popleft()
    print(len(queue), queue[0], queue[20])
    queue.remove(90)
    print(95 in queue, 90 in queue)
    queue[0] = 1000
    print(queue[0])
    while len(queue) > 3:
        queue.popleft()
    show(queue)
    queue.clear()
    show(queue)
    names: deque[bytes] = deque()
    names.append(b"x")
    names.appendleft(b"yy")
    print(len(names.popleft()), len(names.popleft()), not names)
    numbers: deque[int] = deque()
    print("something" if names or numbers else "nothing")
    numbers.append(0)
    if names or numbers:
        print("something")
    if not (numbers and names):
        print("not both")


if __name__ == "__main__":
    main()
