"""An asyncio service whose clients come and go: `on_loop`, streams and a `ReferenceQueue`.

A thread reads prices; the service hears of them in its event loop and publishes them. Each client
takes them from a stream of its own, which goes when the client does; and for each session that is
gone the service finds a name in its queue, when it looks, not in the middle of something else.
"""

import asyncio
import gc

import weakly

PRICES = [("tea", 7), ("milk", 2), ("tea", 8), ("sugar", 3)]


class Feed:
    """Reads prices, in a thread."""

    read = weakly.Signal[str, int]()

    def run(self) -> None:
        for name, price in PRICES:
            self.read.emit(name, price)


class Session:
    """What the service knows of a client, for as long as the client is there."""

    def __init__(self) -> None:
        self.heard: list[str] = []


class Service:
    published = weakly.Signal[str, int]()

    def __init__(self, feed: Feed, loop: asyncio.AbstractEventLoop) -> None:
        self.prices: dict[str, int] = {}
        self.gone: weakly.ReferenceQueue[str] = weakly.ReferenceQueue()
        feed.read.on_loop(loop).connect(self.publish)

    def publish(self, name: str, price: int) -> None:
        self.prices[name] = price
        self.published.emit(name, price)

    def open(self, client: str) -> Session:
        session = Session()
        self.gone.track(session, client)
        return session


async def follow(service: Service, client: str, count: int) -> str:
    """A client that leaves when it has heard enough."""
    session = service.open(client)
    async for name, price in service.published.stream():
        session.heard.append(f"{name} {price}")
        if len(session.heard) == count:
            break
    return f"{client} heard {', '.join(session.heard)}"


async def look_later(service: Service, client: str, later: asyncio.Event) -> str:
    """A client that is slow: its stream keeps what fits, and no more."""
    session = service.open(client)
    stream = service.published.stream(maxsize=1)
    await later.wait()
    async for name, price in stream:
        session.heard.append(f"{name} {price}")
        break
    return f"{client} heard {', '.join(session.heard)} and missed {stream.dropped}"


async def main() -> None:
    feed, end = Feed(), asyncio.Event()
    service = Service(feed, asyncio.get_running_loop())
    async with asyncio.TaskGroup() as clients:
        tasks = [
            clients.create_task(follow(service, "Alice", 2)),
            clients.create_task(follow(service, "Bob", 4)),
            clients.create_task(look_later(service, "Carol", end)),
        ]
        await asyncio.sleep(0)  # they open their streams
        await asyncio.to_thread(feed.run)
        end.set()
    for task in tasks:
        print(task.result())

    gc.collect()  # PyPy frees objects only here; CPython has done so when their tasks ended
    print("still listening:", service.published.has_listeners)
    print("latest prices:", service.prices)
    left = {"Alice", "Bob", "Carol"}
    async for client in service.gone:
        left.remove(client)
        if not left:
            break
    print("all sessions are closed:", service.gone.tracked == 0)


asyncio.run(main())
