"""What the tests of regeneration share: a workspace, and a server of pages on this machine."""

import contextlib
import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

from regeneration.command_line import main  # noqa: E402
from regeneration.generator import generate_client  # noqa: E402
from regeneration.vendored import PUBLISHED, vendored_document, with_overlays  # noqa: E402

# A copy of openapi/ that does not change when EvoLink's page does; its templates are the real ones.
FROZEN = Path(__file__).parent / "frozen"
INFO = "yaml ko/api-manual/openai-sdk-quickstart.json POST /v1/chat/completions"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@dataclass(frozen=True)
class Done:
    """Exit code and output of the command line."""

    returncode: int
    stdout: str
    stderr: str


def call_main(*arguments: str) -> Done:
    """Call the command line in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(arguments))
        except SystemExit as stopped:  # Of argparse.
            code = int(stopped.code or 0)
    return Done(code, out.getvalue(), err.getvalue())


@dataclass
class Workspace:
    """A copy of openapi/, and a client that is not yet what it generates."""

    folder: Path
    script: Path = ROOT / "scripts/regenerate"

    @property
    def openapi(self) -> Path:
        return self.folder / "openapi"

    @property
    def client(self) -> Path:
        return self.folder / "generated_client"

    def arguments(self, *arguments: str) -> list[str]:
        return ["--openapi", str(self.openapi), "--client", str(self.client), *arguments]

    def command(self, *arguments: str) -> list[str]:
        return [str(self.script), *self.arguments(*arguments)]

    def environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder / "tmp"), **variables}

    def run(self, *arguments: str) -> Done:
        """Call the command line in this process; it leaves no scratch folder."""
        done = call_main(*self.arguments(*arguments))
        assert self.litter() == []
        return done

    def start(
        self, *arguments: str, cwd: Path | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the real script in a process of its own."""
        return subprocess.run(
            self.command(*arguments),
            cwd=cwd or self.folder,
            env=self.environment(**variables),
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )

    def error(self, *arguments: str) -> str:
        """Run, and return the lines of its error; the client is as it was."""
        before = files(self.client)
        done = self.run(*arguments)
        assert (done.returncode, done.stdout, files(self.client)) == (1, "", before)
        assert done.stderr.startswith("Error: ")
        return done.stderr.removeprefix("Error: ").rstrip("\n")

    def litter(self) -> list[Path]:
        known = {"openapi", "generated_client", "page.md", "tmp"}
        beside = [path for path in self.folder.iterdir() if path.name not in known]
        within = list(self.openapi.glob(".*"))
        return beside + within + list((self.folder / "tmp").iterdir())

    def publish(self, content: str | bytes) -> None:
        """Replace the published document, and its sha256 in SOURCE.toml."""
        data = content.encode() if isinstance(content, str) else content
        (self.openapi / PUBLISHED).write_bytes(data)
        source = self.openapi / "SOURCE.toml"
        digest = hashlib.sha256(data).hexdigest()
        source.write_text(re.sub(r'(?<=sha256 = ").*(?=")', digest, source.read_text()))

    def page(self, *replacements: str, fence: str = "````", newline: str = "\n") -> Path:
        """Write a page in EvoLink's form, with each old text replaced by the new one after it."""
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
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    shutil.copytree(FROZEN, tmp_path / "openapi")
    (tmp_path / "openapi/README.md").unlink()
    shutil.copytree(ROOT / "openapi/templates", tmp_path / "openapi/templates")
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "generated_client").mkdir()
    (tmp_path / "generated_client/openapi.json").write_text("{}\n")
    return Workspace(tmp_path)


@pytest.fixture(scope="session")
def frozen_client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The client that the frozen document generates."""
    folder = tmp_path_factory.mktemp("frozen")
    shutil.copytree(ROOT / "openapi/templates", folder / "templates")
    shutil.copy(FROZEN / "generator.yaml", folder)
    effective = with_overlays(vendored_document(FROZEN), FROZEN)
    target = folder / "generated_client"
    generate_client(effective, folder, target)
    return target


@pytest.fixture
def generated(workspace: Workspace, frozen_client: Path) -> Workspace:
    """The workspace, with the client that its document generates."""
    shutil.copytree(frozen_client, workspace.client, dirs_exist_ok=True)
    return workspace


Reply = tuple[int, dict[str, str], bytes]


class Pages(http.server.ThreadingHTTPServer):
    """Answers each path with its reply, else 404; `requested` are the paths."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies: dict[str, Reply] = {}
        self.requested: list[str] = []
        self.scheme = "http"

    def put(self, path: str, content: bytes = b"", status: int = 200, **headers: str) -> str:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies[path] = (status, named, content)
        return self.url(path)

    def url(self, path: str) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}{path}"

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # A client that leaves early.


class Handler(http.server.BaseHTTPRequestHandler):
    server: Pages

    def do_GET(self) -> None:
        self.server.requested.append(self.path)
        status, headers, content = self.server.replies.get(self.path, (404, {}, b""))
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
