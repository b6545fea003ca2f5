"""Facts about objects that are not yours, kept for as long as they live.

A `WeakKeyDictionary` adds to objects from outside, without an attribute on them and without
keeping them alive.
"""

import gc

import weakly


class Widget:
    def __init__(self, name: str) -> None:
        self.name = name


clicks: weakly.WeakKeyDictionary[Widget, int] = weakly.WeakKeyDictionary()


def click(widget: Widget) -> None:
    clicks[widget] = clicks.get(widget, 0) + 1


button, menu = Widget("button"), Widget("menu")
for widget in (button, menu, button):
    click(widget)
for widget, count in clicks.items():
    print(widget.name, count)

del button, widget
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print("left:", [widget.name for widget in clicks])
