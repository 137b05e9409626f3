import hashlib
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

PUBLISHED = "gemini-3.5-flash.yaml"
INFO = "yaml ko/api-manual/openai-sdk-quickstart.json POST /v1/chat/completions"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@dataclass
class Workspace:
    """A copy of openapi/, a client that is not yet what it generates, and the real script."""

    folder: Path
    script: Path = ROOT / "scripts/regenerate"

    @property
    def openapi(self) -> Path:
        return self.folder / "openapi"

    @property
    def client(self) -> Path:
        return self.folder / "generated_client"

    def command(self, *arguments: str) -> list[str]:
        folders = ["--openapi", str(self.openapi), "--client", str(self.client)]
        return [str(self.script), *folders, *arguments]

    def environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder / "tmp"), **variables}

    def run(
        self, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.folder,
            env=self.environment(**variables),
            capture_output=True,
            encoding="utf-8",
            timeout=15,
            check=False,
        )
        assert self.litter() == []
        return done

    def error(self, *arguments: str) -> str:
        """Run, and return the one line it stopped with; the client is as it was."""
        before = files(self.client)
        done = self.run(*arguments)
        assert (done.returncode, done.stdout, files(self.client)) == (1, "", before)
        assert done.stderr.startswith("Error: ")
        assert done.stderr.count("\n") == 1
        return done.stderr.removeprefix("Error: ").rstrip("\n")

    def litter(self) -> list[Path]:
        known = {"openapi", "generated_client", "page.md", "tmp"}
        beside = [path for path in self.folder.iterdir() if path.name not in known]
        within = list(self.openapi.glob(".*"))
        return beside + within + list((self.folder / "tmp").iterdir())

    def publish(self, content: str | bytes) -> None:
        """Put another document in place of the published one, and its sha256 into SOURCE.toml."""
        data = content.encode() if isinstance(content, str) else content
        (self.openapi / PUBLISHED).write_bytes(data)
        source = self.openapi / "SOURCE.toml"
        digest = hashlib.sha256(data).hexdigest()
        source.write_text(re.sub(r'(?<=sha256 = ").*(?=")', digest, source.read_text()))

    def page(self, *replacements: str, fence: str = "````", newline: str = "\n") -> Path:
        """Write a page as EvoLink's are, with each only old text replaced by the new after it."""
        text = (self.openapi / PUBLISHED).read_text(encoding="utf-8")
        for old, new in zip(replacements[::2], replacements[1::2], strict=True):
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        text = f"# 빠른 시작\n\n> - 모델 호출\n\n\n## OpenAPI\n\n{fence}{INFO}\n{text}{fence}"
        path = self.folder / "page.md"
        path.write_text(text, encoding="utf-8", newline=newline)
        return path

    def edit(self, old: str, new: str) -> None:
        """Publish the document with its only old replaced."""
        text = (self.openapi / PUBLISHED).read_text(encoding="utf-8")
        assert text.count(old) == 1
        self.publish(text.replace(old, new))


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    shutil.copytree(ROOT / "openapi", tmp_path / "openapi")
    (tmp_path / "tmp").mkdir()
    (tmp_path / "generated_client").mkdir()
    (tmp_path / "generated_client/openapi.json").write_text("{}\n")
    return Workspace(tmp_path)


Reply = tuple[int, dict[str, str], bytes]


class Pages(http.server.ThreadingHTTPServer):
    """Answers each path with its reply, 404 where there is none; `asked` are the paths."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, Reply] = {}
        self.asked: list[str] = []
        self.scheme = "http"

    def put(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies[path] = (status, named, content)
        return self.address(path)

    def address(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # A client that leaves early.


class Handler(http.server.BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        status, headers, content = self.server.replies.get(self.path, (404, {}, b""))
        if status == 0:
            time.sleep(float(content))
            return
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        for start in range(0, len(content), 2**16):
            self.wfile.write(content[start : start + 2**16])

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


@pytest.fixture
def pages() -> Iterator[Pages]:
    with Pages() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server
        server.shutdown()
