"""A value that refers to its key: a leak in `weakref` (CPython issue 88846), none here.

An `EphemeronDictionary` is a `WeakKeyDictionary` whose values do not keep their keys alive,
however they reach them. What is attached to an object may then refer to it.
"""

import gc
import weakref

import weakly


class Document:
    def __init__(self, text: str) -> None:
        self.text = text


class Layout:
    """Is made from a document, and refers to it."""

    def __init__(self, document: Document) -> None:
        self.document = document

    def pages(self) -> int:
        return len(self.document.text) // 1000


def open_and_close(layouts) -> int:
    """Lay out a hundred documents and forget them; return how many layouts are left."""
    for _ in range(100):
        document = Document("text")
        layouts[document] = Layout(document)
    del document
    gc.collect()
    return len(layouts)


print("weakref keeps", open_and_close(weakref.WeakKeyDictionary()), "closed documents")
print("weakly keeps", open_and_close(weakly.EphemeronDictionary()))

book = Document("text" * 750)
layouts: weakly.EphemeronDictionary[Document, Layout] = weakly.EphemeronDictionary()
layouts[book] = Layout(book)
gc.collect()
print("the open one is laid out on", layouts[book].pages(), "pages")
