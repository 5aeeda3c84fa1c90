"""The floor of any gateway: a ``websockets`` server that reads messages and does nothing."""

from __future__ import annotations

import asyncio
import sys

import uvloop
from websockets.asyncio.server import ServerConnection, serve


async def _read(websocket: ServerConnection) -> None:
    async for _ in websocket:
        pass


async def main(port: int) -> None:
    """Serve until killed."""
    async with serve(_read, "127.0.0.1", port, compression=None, max_size=4 << 20):
        print("sink is ready", flush=True)
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
