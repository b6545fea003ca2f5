"""`import weakly as weakref`, and the rest of a program stays as it is."""

import gc

import weakly as weakref


class Image:
    def __init__(self, path: str) -> None:
        self.path = path

    def show(self) -> None:
        print("showing", self.path)


image = Image("cat.png")
images = weakref.WeakValueDictionary({image.path: image})
sizes = weakref.WeakKeyDictionary({image: 640})
shown = weakref.WeakSet([image])
show = weakref.WeakMethod(image.show)
weakref.finalize(image, print, "closing cat.png")

show()()
print(len(images), len(sizes), len(shown))

del image
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`
print(len(images), len(sizes), len(shown), show())
