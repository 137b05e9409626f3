"""Fixtures of the tests of regeneration."""

import contextlib
import hashlib
import io
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partialmethod
from pathlib import Path
from types import CodeType

import jinja2
import pytest
from jinja2.bccache import Bucket
from regeneration.command_line import main
from regeneration.generator import generate_client
from regeneration.vendored import PUBLISHED, vendored_document, with_overlays

from tests.scripted_server import Pages, serve

ROOT = Path(__file__).parents[2]
# A copy of openapi/ that does not change when EvoLink's page does; its templates are the real ones.
FROZEN = Path(__file__).parent / "frozen"
INFO = "yaml ko/api-manual/openai-sdk-quickstart.json POST /v1/chat/completions"


class CompiledTemplates(jinja2.BytecodeCache):
    """Keeps compiled templates by their source: compiling is most of the work of generating."""

    def __init__(self) -> None:
        self._compiled: dict[str, CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get(bucket.checksum)

    def dump_bytecode(self, bucket: Bucket) -> None:
        if bucket.code:
            self._compiled[bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def _compiled_templates() -> Iterator[None]:
    """Compile each template once."""
    init = partialmethod(jinja2.Environment.__init__, bytecode_cache=CompiledTemplates())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "__init__", init)
        yield


def _files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture
def files() -> Callable[[Path], dict[str, bytes]]:
    """A function that returns the files of a folder, by path."""
    return _files


@dataclass(frozen=True)
class Done:
    """Exit code and output of the command line."""

    returncode: int
    stdout: str
    stderr: str


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

    def files(self) -> dict[str, bytes]:
        """Return the files of openapi/ and of the client."""
        return _files(self.openapi) | _files(self.client)

    def arguments(self, *arguments: str) -> list[str]:
        return ["--openapi", str(self.openapi), "--client", str(self.client), *arguments]

    def command(self, *arguments: str) -> list[str]:
        return [str(self.script), *self.arguments(*arguments)]

    def environment(self, **variables: str) -> dict[str, str]:
        return {**os.environ, "TMPDIR": str(self.folder / "tmp"), **variables}

    @staticmethod
    def call(*arguments: str) -> Done:
        """Call the command line in this process, with these arguments and no other."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main(list(arguments))
            except SystemExit as stopped:  # Of argparse.
                code = int(stopped.code or 0)
        return Done(code, out.getvalue(), err.getvalue())

    def run(self, *arguments: str) -> Done:
        """Call the command line in this process; it leaves no scratch folder."""
        done = self.call(*self.arguments(*arguments))
        assert self.litter() == []
        return done

    def error(self, *arguments: str) -> str:
        """Run, and return the lines of its error; the client is as it was."""
        before = _files(self.client)
        done = self.run(*arguments)
        assert (done.returncode, done.stdout, _files(self.client)) == (1, "", before)
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


@pytest.fixture
def pages() -> Iterator[Pages]:
    pages = Pages()
    with serve(pages.handle) as pages.server:
        yield pages
