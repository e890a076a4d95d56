"""A client for the two pages of a daemon."""

import asyncio
import re


async def send(port: int, request: bytes) -> bytes:
    """Return all that a loopback port answers to some bytes; nothing if it hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def get(port: int, path: str) -> tuple[int, str]:
    """Return status and text of a page."""
    answer = await send(port, f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    head, _, body = answer.decode().partition("\r\n\r\n")
    found = re.match(r"HTTP/1\.1 (\d{3}) ", head)
    assert found, answer
    return int(found[1]), body.strip()
