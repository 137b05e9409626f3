"""A copy of openapi/ and of a client, on which the tests run scripts/regenerate."""

import contextlib
import hashlib
import io
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from regeneration.command_line import main
from regeneration.vendored import PUBLISHED

ROOT = Path(__file__).parents[2]
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


def run_child(body: Callable[[], object]) -> int:
    """Run the function in a forked process; return its exit status."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Of threads of the test runner.
        pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]
