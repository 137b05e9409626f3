"""The README, run: its commands give the output it shows, its Python runs, against the sandbox."""

import os
import pty
import re
import subprocess
import sys
import zlib
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def png(width: int, height: int) -> bytes:
    """An orange image."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + b"\xff\x80\x00" * width for _ in range(height))
    header = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def changed_page() -> str:
    """EvoLink's page with a new server, a new parameter, a changed bound and a changed text."""
    document = (ROOT / "openapi" / "gemini-3.5-flash.yaml").read_text(encoding="utf-8")
    for old, new in (
        ("minItems: 1", "minItems: 2"),
        ("채팅 메시지 목록", "보낼 메시지 목록"),
        ("\nsecurity:", "\n  - url: https://eu.evolink.ai\nsecurity:"),
        (
            "\n        messages:\n",
            "\n        user:\n          type: string\n          maxLength: 64\n        messages:\n",
        ),
    ):
        assert old in document
        document = document.replace(old, new, 1)
    return f"# Quick start\n\n````yaml\n{document}````\n"


def in_terminal(command: str, folder: Path) -> str:
    """What the command shows in a terminal, without colours."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        ["sh", "-c", command.replace("scripts/", f"{ROOT}/scripts/")],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    ):
        os.close(theirs)
        output = b""
        with suppress(OSError):  # How Linux tells that nobody writes any more.
            while part := os.read(ours, 4096):
                output += part
    os.close(ours)
    return re.sub(r"\x1b\[[0-9;]*m|\r", "", output.decode())


@pytest.fixture
def folder(sandbox, tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README names, in which `llm` is a command."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "pelican.png").write_bytes(png(640, 480))
    (tmp_path / "notes.txt").write_text("Pelicans are large.\n")
    (tmp_path / "page.md").write_text(changed_page(), encoding="utf-8")
    return tmp_path


def test_the_commands_give_the_output_that_is_shown(folder):
    for block in [text for language, text in BLOCKS if language == "console"]:
        # A command runs to the line before the one that is no longer part of it.
        for command, shown in re.findall(r"^\$ (.*?\n)((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
            while command.count("'") % 2:
                line, _, shown = shown.partition("\n")
                command += line + "\n"
            output = in_terminal(command, folder)
            pattern = ".*".join(map(re.escape, shown.split("…")))
            assert re.fullmatch(pattern, output, re.DOTALL), f"$ {command}{output}"


PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.mark.parametrize("code", PYTHON, ids=map(str, range(len(PYTHON))))
def test_the_python_runs(folder, code):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout
