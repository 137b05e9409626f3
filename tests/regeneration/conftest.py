import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "scripts"))

PUBLISHED = "gemini-3.5-flash.yaml"


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
        known = {"openapi", "generated_client", "tmp"}
        beside = [path for path in self.folder.iterdir() if path.name not in known]
        return beside + list((self.folder / "tmp").iterdir())

    def publish(self, content: str | bytes) -> None:
        """Put another document in place of the published one, and its sha256 into SOURCE.toml."""
        data = content.encode() if isinstance(content, str) else content
        (self.openapi / PUBLISHED).write_bytes(data)
        source = self.openapi / "SOURCE.toml"
        digest = hashlib.sha256(data).hexdigest()
        source.write_text(re.sub(r'(?<=sha256 = ").*(?=")', digest, source.read_text()))

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
