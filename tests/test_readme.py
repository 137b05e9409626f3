"""The README, run: its commands give the output it shows, its Python runs, against the sandbox."""

import os
import re
import shutil
import subprocess
import zlib
from pathlib import Path
from struct import pack

import pytest
from regeneration.vendored import PUBLISHED

from tests import llm_process

ROOT = Path(__file__).parents[1]
FROZEN = ROOT / "tests/regeneration/frozen"
README = (ROOT / "README.md").read_text(encoding="utf-8")

# Commands that depend on EvoLink's document: they show options, models or the text of an error, or
# send a field that the document lacks.
OF_THE_DOCUMENT = (
    *("llm models list", "llm evolink models", "llm evolink doctor"),
    *("--key invalid", "-o extra_body"),
)


def png(width: int, height: int) -> bytes:
    """An orange image."""

    def chunk(chunk_type: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + chunk_type + data + pack(">I", zlib.crc32(chunk_type + data))

    rows = b"".join(b"\0" + b"\xff\x80\x00" * width for _ in range(height))
    header = chunk(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def changed_page() -> str:
    """The frozen page with a new option, published bounds of another, and a changed text."""
    document = (FROZEN / PUBLISHED).read_text(encoding="utf-8")
    fields = """
        top_k: {type: integer, minimum: 1, maximum: 100, description: Top-K}
        temperature: {type: number, minimum: 0, maximum: 1, default: 0.7, description: 샘플링 온도}
        messages:
"""
    for old, new in (
        ("채팅 메시지 목록", "보낼 메시지 목록"),
        ("\n        messages:\n", fields),
    ):
        assert old in document
        document = document.replace(old, new, 1)
    return f"# Quick start\n\n````yaml\n{document}````\n"


def document_changed() -> bool:
    """Return whether EvoLink's document is another than the frozen one, which the README shows."""
    return (ROOT / "openapi" / PUBLISHED).read_bytes() != (FROZEN / PUBLISHED).read_bytes()


@pytest.fixture
def folder(sandbox, llm_command, tmp_path, monkeypatch) -> Path:
    """A folder with the files that the README names, where `llm` has logged a prompt."""
    commands = tmp_path / "commands"
    commands.mkdir()
    llm_process.install(commands)
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    (tmp_path / "pelican.png").write_bytes(png(640, 480))
    (reviews,) = re.findall(r"^```csv\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "reviews.csv").write_text(reviews)
    (tmp_path / "notes.txt").write_text("Pelicans are large.\n")
    (tmp_path / "page.md").write_text(changed_page(), encoding="utf-8")
    llm_command("-m", "gemini-3.5-flash", "What is a pelican?")
    return tmp_path


def blocks(language: str) -> pytest.MarkDecorator:
    """Run a test for each of the README's blocks in the language."""
    fences = re.finditer(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    rows = [
        pytest.param(fence[1], id=f"line {len(README[: fence.start()].splitlines()) + 1}")
        for fence in fences
    ]
    return pytest.mark.parametrize("block", rows)


@pytest.fixture
def regenerate(folder: Path) -> str:
    """A command in place of scripts/regenerate that uses the frozen document and its client."""
    openapi, client = folder / "openapi", folder / "generated_client"
    shutil.copytree(FROZEN, openapi)
    shutil.copytree(ROOT / "openapi/templates", openapi / "templates")
    arguments = ("--openapi", str(openapi), "--client", str(client))
    command = [f"{ROOT}/scripts/regenerate", *arguments]
    subprocess.run(command, check=True, capture_output=True)
    return " ".join(command)


@blocks("console")
def test_the_commands_give_the_output_that_is_shown(folder, block, request):
    outdated = []
    # A command runs to the line before the one that is no longer part of it.
    for command, shown in re.findall(r"^\$ (.*?\n)((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        while command.count("'") % 2:
            line, _, shown = shown.partition("\n")
            command += line + "\n"
        script = command
        if "scripts/regenerate" in command:
            regenerate = request.getfixturevalue("regenerate")
            script = command.replace("scripts/regenerate", regenerate)
        with llm_process.Terminal() as terminal:
            files = {"stdin": subprocess.DEVNULL, "stdout": terminal.fd, "stderr": terminal.fd}
            with subprocess.Popen(["sh", "-c", script], cwd=folder, **files):
                text = re.sub(r"\x1b\[[0-9;]*m", "", terminal.read())
        pattern = ".*".join(map(re.escape, shown.split("…")))
        as_shown = re.fullmatch(pattern, text, re.DOTALL)
        if not as_shown and document_changed() and any(map(command.__contains__, OF_THE_DOCUMENT)):
            outdated.append(command)
            continue
        assert as_shown, f"$ {command}{text}"
    if outdated:
        pytest.skip(f"the README shows the output for an earlier document: {outdated}")


@blocks("python")
def test_the_python_runs(folder, monkeypatch, capsys, block):
    monkeypatch.chdir(folder)
    exec(block, {"__name__": "__main__"})

    out, err = capsys.readouterr()
    assert err == ""
    assert out
