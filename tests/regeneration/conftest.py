"""Fixtures of the tests of regeneration."""

import shutil
import tempfile
import threading
from collections.abc import Iterator
from functools import partialmethod
from pathlib import Path
from types import CodeType

import jinja2
import pytest
from jinja2.bccache import Bucket
from regeneration.generator import generate_client
from regeneration.vendored import vendored_document, with_overlays

from .page_server import Pages
from .workspace import FROZEN, ROOT, Workspace


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
    with Pages() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}).start()
        yield server
        server.shutdown()
