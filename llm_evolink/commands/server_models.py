"""The models that a server lists: GET /v1/models."""

from typing import Any

from .. import EvolinkChat
from ..connection import clients
from ..constants import MODEL_ID
from ..errors import BadReplyError
from ..failures import explain, from_status, request_id
from ..redaction import Redactor
from ..text import clean


def server_models() -> list[str]:
    """Return the names of the models that the server lists. Raises EvolinkError."""
    key = EvolinkChat(MODEL_ID).get_key()
    found = None
    try:
        response = clients.client(key).get_httpx_client().get("/v1/models")
        found = request_id(response.headers)
        if response.status_code != 200:
            raise from_status(
                response.status_code, response.headers, response.content, is_billable=False
            )
        return _names(response.json())
    except Exception as failure:
        error = _not_a_list() if isinstance(failure, ValueError) else explain(failure, began=False)
    raise error.completed(redactor=Redactor(key), request_id=found)


def _names(data: Any) -> list[str]:
    """Return the ids in the list of models, which can be in a field `data`."""
    listed = data.get("data", data) if isinstance(data, dict) else data
    if not isinstance(listed, list):
        raise _not_a_list()
    ids = [each.get("id") if isinstance(each, dict) else each for each in listed]
    names = [name for each in ids if (name := clean(each))]
    if listed and not names:
        raise _not_a_list()
    return names


def _not_a_list() -> BadReplyError:
    return BadReplyError("The server's answer to GET /v1/models is not a list of models")
