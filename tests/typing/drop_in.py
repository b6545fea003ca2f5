"""A program written for `weakref`, with its import line changed, as the type checkers see it."""

from __future__ import annotations

import weakref as stdlib
from typing import Any, assert_type

import weakly
import weakly as weakref


class Account:
    owner = "nobody"


def died(reference: weakref.ref[Account]) -> None:
    print(reference)


def resolve(reference: stdlib.ref[Account]) -> Account | None:
    return reference()


def main() -> None:
    account = Account()
    reference = weakref.ref(account, died)
    assert_type(reference, stdlib.ReferenceType[Account])
    assert_type(reference(), Account | None)
    assert_type(resolve(reference), Account | None)
    assert_type(weakref.proxy(account).owner, Any)
    assert_type(weakref.getweakrefcount(account), int)
    assert_type(weakref.getweakrefs(account), list[Any])
    assert isinstance(reference, weakref.ReferenceType)
    assert not isinstance(account, weakref.ProxyTypes)

    balances: weakref.WeakKeyDictionary[Account, int] = weakref.WeakKeyDictionary()
    accounts: weakref.WeakValueDictionary[str, Account] = weakref.WeakValueDictionary()
    seen: weakref.WeakSet[Account] = weakref.WeakSet()
    balances[account] = 10
    accounts["first"] = account
    seen.add(account)
    assert_type(balances[accounts["first"]], int)

    assert_type(weakly.implementation, str)
    assert_type(weakly.__version__, str)
    weakly.install()
    weakly.uninstall()


if __name__ == "__main__":
    main()
