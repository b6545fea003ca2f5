"""An image cache that holds so many bytes, and still finds all that is being shown: `WeakCache`.

The images in its window are kept alive, weighed by their size. One that has left the window is
found for as long as somebody shows it, so no image is ever there twice.
"""

import gc
from array import array

import weakly


class Image:
    """Grey, and painted here instead of being read from a disk."""

    def __init__(self, name: str, width: int, height: int) -> None:
        print("painting", name)
        self.name = name
        self.pixels = array("B", (x ^ y for y in range(height) for x in range(width)))


def say_goodbye(name: str, image: Image | None, cause: str) -> None:
    if cause != "replaced":
        print(name, "has gone")


images: weakly.WeakCache[str, Image] = weakly.WeakCache(
    20_000, weigh=lambda image: len(image.pixels), on_evict=say_goodbye
)


def load(name: str) -> Image:
    side = 150 if name == "poster" else 80
    return images.get_or_create(name, lambda: Image(name, side, side))


for name in ("cat", "dog", "bird", "cat", "dog", "bird"):
    load(name)
print(f"{len(images)} images of {images.window_weight} bytes are kept")

shown = load("poster")  # heavier than the window
print(f"{len(images)} images are found, {images.window_weight} bytes are kept")
print("the same poster:", load("poster") is shown)

del shown
gc.collect()  # PyPy frees objects only here; CPython has done so at `del`

images.shrink(15_000)  # shrink_under_pressure=True does so when memory runs short
gc.collect()
print(f"{sorted(images)} are kept, of {images.window_weight} bytes")
