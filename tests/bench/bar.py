"""Draw the progress bar of a real batch as SVG: python -m tests.bench.bar > docs/batch.svg.

The batch asks a sandbox with latency; what its terminal shows is recorded with the time of each
change, and the picture plays it.
"""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from contextlib import suppress
from html import escape
from pathlib import Path

from llm_evolink.sandbox import serve

ROWS = 1000
WIDTH, LINE, CHARACTER = 96, 20, 8.4
COMMAND = "llm evolink batch reviews.csv 'Sentiment of this review: $text' > answers.jsonl"


def record(folder: Path) -> list[tuple[float, str]]:
    """Return what the terminal shows of a run: seconds since its start, and the text."""
    (folder / "reviews.csv").write_text(
        "id,text\n" + "".join(f"r{number},The soup was cold.\n" for number in range(ROWS))
    )
    prices = '{"gemini-3.5-flash": {"in": 1.5, "out": 9}}'
    (folder / "evolink-prices.json").write_text(prices)
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    with serve(latency=0.5) as server:
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "LLM_USER_PATH": str(folder),
            "EVOLINK_BASE_URL": server.url,
            "EVOLINK_API_KEY": "sandbox",
        }
        frames = []
        began = time.monotonic()
        with subprocess.Popen(["sh", "-c", COMMAND], cwd=folder, env=environment, stderr=its):
            os.close(its)
            with suppress(OSError):
                while data := os.read(ours, 65536):
                    frames.append((time.monotonic() - began, data.decode()))
    os.close(ours)
    return frames


def screens(frames: list[tuple[float, str]]) -> list[tuple[float, list[str]]]:
    """Return the lines on the screen after each change."""
    shown: list[tuple[float, list[str]]] = []
    text = ""
    for seconds, data in frames:
        text += re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", data)
        lines = [line.split("\r")[-1].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
        if not shown or shown[-1][1] != lines:
            shown.append((seconds, lines))
    return shown


def draw(shown: list[tuple[float, list[str]]]) -> str:
    """Return an SVG that plays the screens at their own speed, and stays at the last for 5 s."""
    total = shown[-1][0] + 5
    height = LINE * (max(len(lines) for _, lines in shown) + 2)
    size = f'width="{WIDTH * CHARACTER:.0f}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="monospace" font-size="14">',
        f'<rect {size} rx="6" fill="#1c1c1c"/>',
        f'<text x="10" y="{LINE}" fill="#e4e4e4" xml:space="preserve">$ {escape(COMMAND)}</text>',
    ]
    for place, (seconds, lines) in enumerate(shown):
        last = place == len(shown) - 1
        end = total if last else shown[place + 1][0]
        times = f"0;{seconds / total:.4f};{min(1, end / total):.4f}"
        # Without animation, the last screen is the one that is seen.
        parts.append(
            f'<g fill="#afd7af" visibility="{"visible" if last else "hidden"}">'
            f'<animate attributeName="visibility" values="hidden;visible;hidden" '
            f'keyTimes="{times}" dur="{total:.2f}s" calcMode="discrete" repeatCount="indefinite"/>'
        )
        for number, line in enumerate(lines, 2):
            text = f'<text x="10" y="{number * LINE}" xml:space="preserve">{escape(line)}</text>'
            parts.append(text)
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        text = draw(screens(record(folder)))
        sys.stdout.write(text.replace(str(folder), "…"))
