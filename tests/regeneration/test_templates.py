"""The templates for operations that our document does not have."""

import ast
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from regeneration.generator import generate_client
from regeneration.vendored import vendored_document, with_overlays

ROOT = Path(__file__).parents[2]
FROZEN = Path(__file__).parent / "frozen"


def answers(name: str) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": name, "content": {"application/json": {"schema": schema}}}


OPERATION = {
    "operationId": "find",
    "parameters": [
        {"name": "order", "in": "query", "schema": {"$ref": "#/components/schemas/Order"}}
    ],
    "requestBody": {
        "content": {
            content_type: {"schema": {"$ref": "#/components/schemas/Usage"}}
            for content_type in (
                "application/x-www-form-urlencoded",
                "application/json",
                "application/xml",
            )
        }
    },
    "responses": {"200": answers("Order"), "404": answers("ErrorResponse")},
}

CALLS = """
import json
import httpx
from generated_client import Client
from generated_client.api.default import find
from generated_client.models import Usage

def answer(request):
    if request.url.params.get("order") == "up":
        return httpx.Response(200, json="down")
    return httpx.Response(404, json={"error": {"message": request.content.decode()}})

client = Client(base_url="http://a", httpx_args={"transport": httpx.MockTransport(answer)})
print(json.dumps([
    find.sync(client=client, body=Usage(prompt_tokens=1), order="up"),
    find.sync(client=client, body=Usage(prompt_tokens=1)).to_dict(),
]))
"""


def test_an_enum_and_a_body_of_several_content_types(
    tmp_path: Path,
) -> None:
    effective = with_overlays(vendored_document(FROZEN), FROZEN)
    document = effective.document
    document["components"]["schemas"]["Order"] = {"type": "string", "enum": ["up", "down"]}
    document["paths"]["/v1/find"] = {"post": OPERATION}
    generate_client(effective, ROOT / "openapi", tmp_path / "generated_client")

    done = subprocess.run(
        [sys.executable, "-c", CALLS], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert json.loads(done.stdout) == [
        "down",
        {"error": {"message": '{"prompt_tokens":1}'}},
    ]


UPLOAD = {
    "operationId": "upload",
    "requestBody": {
        "content": {
            "multipart/form-data": {"schema": {"$ref": "#/components/schemas/Upload"}},
        }
    },
    "responses": {"200": answers("ErrorResponse")},
}

SENT = """
import io
import httpx
from generated_client import Client
from generated_client.api.default import upload
from generated_client.models import Upload
from generated_client.types import File

def answer(request):
    print(b'filename="a.png"' in request.read() and b"pixels" in request.content)
    return httpx.Response(200, json={})

client = Client(base_url="http://a", httpx_args={"transport": httpx.MockTransport(answer)})
upload.sync(client=client, body=Upload(image=File(io.BytesIO(b"pixels"), "a.png")))
"""


def test_a_file_that_is_uploaded(tmp_path: Path) -> None:
    effective = with_overlays(vendored_document(FROZEN), FROZEN)
    effective.document["components"]["schemas"]["Upload"] = {
        "type": "object",
        "properties": {"image": {"type": "string", "format": "binary"}},
    }
    effective.document["paths"]["/v1/upload"] = {"post": UPLOAD}
    generate_client(effective, ROOT / "openapi", tmp_path / "generated_client")

    done = subprocess.run(
        [sys.executable, "-c", SENT], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stderr, done.stdout) == ("", "True\n")


TREE = """
import json
from generated_client.models import Tree

data = {"child": {"child": None, "children": [{}]}, "children": []}
tree = Tree.from_dict(data)
print(json.dumps([tree.to_dict() == data, type(tree.child.children[0]).__name__]))
"""


def test_a_schema_that_refers_to_itself(tmp_path: Path) -> None:
    effective = with_overlays(vendored_document(FROZEN), FROZEN)
    tree = {"$ref": "#/components/schemas/Tree"}
    schemas = effective.document["components"]["schemas"]
    schemas["Tree"] = {
        "type": "object",
        "properties": {
            "child": {"oneOf": [tree, {"type": "null"}]},
            "children": {"type": "array", "items": tree},
        },
    }
    schemas["Usage"]["properties"]["tree"] = tree
    generate_client(effective, ROOT / "openapi", tmp_path / "generated_client")

    done = subprocess.run(
        [sys.executable, "-c", TREE], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stderr, json.loads(done.stdout)) == ("", [True, "Tree"])


def test_enum_values_that_differ_only_in_case_are_in_one_order(tmp_path: Path) -> None:
    effective = with_overlays(vendored_document(FROZEN), FROZEN)
    values = sorted(f"{letter}{number}" for letter in "aA" for number in range(10))
    request = effective.document["components"]["schemas"]["ChatCompletionQuickRequest"]
    request["properties"]["order"] = {"type": "string", "enum": values}
    generate_client(effective, ROOT / "openapi", tmp_path / "generated_client")
    path = tmp_path / "generated_client/models/chat_completion_quick_request_order.py"
    tree = ast.parse(path.read_text("utf-8"))
    lists = [node for node in ast.walk(tree) if isinstance(node, ast.Tuple | ast.Set)]
    found = [[value.value for value in each.elts] for each in lists]  # type: ignore[attr-defined]
    assert found == [values, values]
