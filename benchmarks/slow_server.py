"""A server that lets its clients wait, as a slow downstream does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

ANSWER = b"HTTP/1.0 200 OK\r\n\r\nok"
BACKLOG = 2000


class SlowServer:
    """Answers nobody before its end.

    Attributes:
        port: On 127.0.0.1.
        waiting: How many clients have asked and were not answered yet.
    """

    def __init__(self) -> None:
        self.port = 0
        self.waiting = 0
        self._ending = asyncio.Event()

    async def serve(self, listening: threading.Event) -> None:
        """Take requests until told to end, and answer them all then."""
        server = await asyncio.start_server(self._answer, "127.0.0.1", 0, backlog=BACKLOG)
        self.port = server.sockets[0].getsockname()[1]
        listening.set()
        await self._ending.wait()
        server.close()
        while self.waiting:
            await asyncio.sleep(0.01)

    def end(self) -> None:
        """Answer everybody; to be called on the loop that serves."""
        self._ending.set()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:  # the client went before it had asked
            writer.close()
            return
        self.waiting += 1
        await self._ending.wait()
        writer.write(ANSWER)
        writer.close()
        self.waiting -= 1


@contextmanager
def slow_server() -> Iterator[SlowServer]:
    """Run such a server until the block ends."""
    loop, server, listening = asyncio.new_event_loop(), SlowServer(), threading.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=[server.serve(listening)])
    thread.start()
    listening.wait()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.end)
        thread.join()
        loop.close()
