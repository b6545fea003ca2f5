"""A model and its views: a `Signal` for each sheet, and views that go without signing off.

The signal holds the views' methods weakly, so a closed view hears no more; it holds the function
that counts changes strongly, because nobody else does.
"""

import gc

import weakly


class Sheet:
    """The model, which knows nothing of its views."""

    changed = weakly.Signal[str, int]()

    def __init__(self, **cells: int) -> None:
        self.cells = cells

    def write(self, name: str, number: int) -> None:
        self.cells[name] = number
        self.changed.emit(name, number)

    def paste(self, cells: dict[str, int]) -> None:
        """One signal, of the last cell, instead of one for each."""
        *first, last = cells
        with self.changed.blocked():
            for name in first:
                self.write(name, cells[name])
        self.write(last, cells[last])


class Bars:
    def __init__(self, sheet: Sheet) -> None:
        sheet.changed.connect(self.draw)

    def draw(self, name: str, number: int) -> None:
        print(f"  bars:  {name:<6} {'#' * number}")


class Total:
    def __init__(self, sheet: Sheet) -> None:
        self.sheet = sheet  # the view knows its model; the model does not keep its view
        sheet.changed.connect(self.show, priority=-1)  # after the other views

    def show(self, name: str, number: int) -> None:
        print(f"  total: {sum(self.sheet.cells.values())}")


changes: list[str] = []
Sheet.changed.connect(lambda name, number: changes.append(name))  # of every sheet

sheet, other = Sheet(apples=3, pears=2), Sheet()
total, bars = Total(sheet), Bars(sheet)

print("apples come")
sheet.write("apples", 5)

print("the bars are closed")
del bars
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
sheet.write("pears", 4)

print("a whole column is pasted")
sheet.paste({"apples": 1, "pears": 2, "plums": 3})

other.write("nuts", 9)
print("changed:", *changes)

gone = weakly.ref(sheet)
del sheet, total
gc.collect()  # PyPy, again
print("the sheet is kept by its signal:", gone() is not None)
