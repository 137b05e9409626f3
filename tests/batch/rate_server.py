"""A server with a rate limit: python rate_server.py ALLOWED WINDOW, so many requests a window (s).

It refuses others with 429 and the time until the next window. It prints its port, and on SIGTERM
its counts as JSON, with the seconds from the first request to the last answer.
"""

import asyncio
import json
import signal
import sys
import time
from collections import Counter

LATENCY = 0.2  # Seconds until an answer.


def response(status: int, body: dict, **headers: object) -> bytes:
    data = json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Scripted", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, f"Content-Length: {len(data)}", "", ""]).encode() + data


ANSWER = response(
    200,
    {
        "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14},
    },
)


async def main(allowed: int, window: float) -> None:
    windows: Counter[int] = Counter()
    counts: Counter[str] = Counter(refused=0)
    times: list[float] = []

    async def attend(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        counts["connections"] += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                await reader.readexactly(length)
                now = time.monotonic()
                times.append(now)
                place = int(now / window)
                windows[place] += 1
                if windows[place] > allowed:
                    counts["refused"] += 1
                    wait = (place + 1) * window - now
                    error = {"error": {"message": "Rate limit exceeded"}}
                    writer.write(response(429, error, retry_after=f"{wait:.3f}"))
                else:
                    counts["answered"] += 1
                    await asyncio.sleep(LATENCY)
                    writer.write(ANSWER)
                    times.append(time.monotonic())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(attend, "127.0.0.1", 0, backlog=4096)
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201
    await stopped.wait()
    server.close()
    print(json.dumps({**counts, "seconds": max(times) - min(times)}), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
