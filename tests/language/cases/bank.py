"""A hierarchy of exceptions, properties, static and overridden methods."""

from __future__ import annotations

from typing import ClassVar

from kernel.lang import KernelError


class BankError(KernelError):
    pass


class Insufficient(BankError):
    def __init__(self, code: int) -> None:
        self.code = code


class Closed(BankError):
    pass


class Account:
    count: ClassVar[int] = 0
    FEE: ClassVar[int] = 2
    owner: str
    balance: int

    def __init__(self, owner: str, balance: int = 0) -> None:
        self.owner = owner
        self.balance = balance
        self._closed = False
        self.log: list[str] = []

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def worth(self) -> int:
        return self.balance

    @staticmethod
    def fee(amount: int) -> int:
        return amount // 100 + Account.FEE

    def withdraw(self, amount: int) -> int:
        if self._closed:
            raise Closed()
        need = amount + self.charge(amount)
        if need > self.balance:
            raise Insufficient(need - self.balance)
        self.balance -= need
        self.log.append(f"-{need}")
        return self.balance

    def charge(self, amount: int) -> int:
        return self.fee(amount)

    def __len__(self) -> int:
        return len(self.log)

    def __contains__(self, text: str) -> bool:
        return text in self.log

    def __getitem__(self, i: int) -> str:
        return self.log[i]


class Premium(Account):
    FEE: ClassVar[int] = 0

    def __init__(self, owner: str, balance: int, bonus: int) -> None:
        super().__init__(owner, balance)
        self.bonus = bonus

    @property
    def worth(self) -> int:
        return self.balance + self.bonus

    def charge(self, amount: int) -> int:
        return super().charge(amount) // 2


def attempt(a: Account, amount: int) -> str:
    try:
        left = a.withdraw(amount)
    except Insufficient as e:
        return f"{a.owner} lacks {e.code}"
    except BankError:
        return "closed"
    else:
        return f"{a.owner} has {left}"
    finally:
        print("tried", amount)


def main() -> None:
    accounts: list[Account] = [Account("ann", 500), Premium("bob", 1000, 50)]
    for a in accounts:
        print(attempt(a, 300))
        print(attempt(a, 900))
        print(len(a), a.worth, a.closed)
        print(a[0], "-300" in a)
    accounts[0]._closed = True
    print(attempt(accounts[0], 1))
    print(isinstance(accounts[1], Premium), Account.fee(1000))
    richest = accounts[0]
    for a in accounts[1:]:
        if a.worth > richest.worth:
            richest = a
    print(richest.owner)
    p = accounts[1]
    if isinstance(p, Premium):
        p.bonus *= 2
        print(p.bonus)
    by_owner = {"x": 1}
    print(len(by_owner))
    try:
        try:
            raise Closed
        finally:
            print("cleanup")
    except BankError:
        print("bank error")
    for attempt_no in range(3):
        try:
            if attempt_no == 1:
                raise Insufficient(attempt_no)
            if attempt_no == 2:
                break
            continue
        except Insufficient as e:
            print("loop", e.code)
        finally:
            print("finally", attempt_no)


if __name__ == "__main__":
    main()
