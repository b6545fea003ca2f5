"""An identity map: one object for each row of a database, for as long as somebody has it.

All who ask for a customer get the same object, so a change that one of them makes is seen by
the others, and nobody writes an old copy over it. The `WeakCache` also keeps those alive that
were asked for lately; with a `WeakValueDictionary` in its place, only those in use are there.
"""

import gc
import sqlite3
from collections.abc import Iterator

import weakly


class Customer:
    def __init__(self, number: int, name: str) -> None:
        self.number = number
        self.name = name


class Customers:
    def __init__(self, database: sqlite3.Connection, kept: int) -> None:
        self.database = database
        self.queries = 0
        self.known: weakly.WeakCache[int, Customer] = weakly.WeakCache(kept)

    def get(self, number: int) -> Customer:
        return self.known.get_or_create(number, lambda: self.load(number))

    def load(self, number: int) -> Customer:
        self.queries += 1
        query = "SELECT number, name FROM customers WHERE number = ?"
        row = self.database.execute(query, (number,)).fetchone()
        if row is None:
            raise LookupError(f"there is no customer {number}")
        return Customer(*row)

    def named(self, pattern: str) -> Iterator[Customer]:
        """Rows of any query: an object that is there already wins over the row."""
        self.queries += 1
        query = "SELECT number, name FROM customers WHERE name LIKE ?"
        for number, name in self.database.execute(query, (pattern,)):
            yield self.known.setdefault(number, Customer(number, name))

    def save(self, customer: Customer) -> None:
        with self.database:
            self.database.execute(
                "UPDATE customers SET name = ? WHERE number = ?", (customer.name, customer.number)
            )


database = sqlite3.connect(":memory:")
database.execute("CREATE TABLE customers (number INTEGER PRIMARY KEY, name TEXT)")
database.executemany(
    "INSERT INTO customers (name) VALUES (?)", [("Alice",), ("Bob",), ("Carol",), ("Alina",)]
)
customers = Customers(database, kept=2)

alice = customers.get(1)
alice.name = "Alicia"
print([customer.name for customer in customers.named("Al%")])
print("the same object:", customers.get(1) is alice)
customers.save(alice)

try:
    customers.get(99)
except LookupError as error:
    print(error)

print("queries:", customers.queries)
for number in (2, 3, 4):
    customers.get(number)
print("still the same object:", customers.get(1) is alice)

del alice
customers.known.clear()
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print(len(customers.known), customers.get(1).name)

database.close()
