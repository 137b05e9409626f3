"""Comparing two documents."""

from typing import Any

import pytest
import yaml
from regeneration.diff import compare, kept_by_overlays

DOCUMENT = """\
openapi: 3.1.0
info: {title: Ask, version: 1.0.0}
servers:
  - url: https://a.example
  - url: https://b.example
security:
  - key: []
paths:
  /ask:
    post:
      operationId: ask
      parameters:
        - {name: page, in: query, schema: {type: integer, maximum: 9}}
      requestBody:
        required: true
        content:
          application/json:
            schema: {$ref: '#/components/schemas/Question'}
      responses:
        '200':
          description: Fine.
          content:
            application/json:
              schema: {$ref: '#/components/schemas/Answer'}
        '400':
          description: Not fine.
          content:
            application/json:
              schema: {type: object, properties: {error: {type: string}}}
components:
  schemas:
    Question:
      type: object
      required: [text]
      properties:
        text: {type: string, minLength: 1, description: What to ask.}
        mood: {type: string, enum: [calm, cross], default: calm}
        heat: {type: number, minimum: 0, maximum: 2}
        tags: {type: array, items: {type: string}}
        to: {oneOf: [{type: string}, {$ref: '#/components/schemas/Person'}]}
    Answer:
      type: object
      required: [text]
      properties:
        text: {type: string}
        reason: {type: string, enum: [done, cut]}
        score: {type: integer}
        from: {$ref: '#/components/schemas/Person'}
    Person:
      type: object
      properties:
        name: {type: string}
  securitySchemes:
    key: {type: http, scheme: bearer}
"""


def changed(*replacements: str) -> dict[str, Any]:
    """Return the document with each old text replaced by the new one that follows it."""
    text = DOCUMENT
    for old, new in zip(replacements[::2], replacements[1::2], strict=True):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    # The loader in C takes a twentieth of the time.
    return yaml.load(text, yaml.CSafeLoader)  # type: ignore[no-any-return]


def differences(*replacements: str) -> list[str]:
    changes, texts = compare(changed(), changed(*replacements))
    return [*map(str, changes), *map(str, texts)]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # The API.
        ("version: 1.0.0", "version: 2.0.0", ["API: version 2.0.0, was 1.0.0"]),
        ("3.1.0", "3.1.1", ["API: openapi 3.1.1, was 3.1.0"]),
        ("  - key: []", "  - key: [all]",
         ['operation ask: security [["http bearer all"]], was [["http bearer"]] (breaking)']),
        ("  /ask:\n    post:\n", "  /ask:\n    post:\n      security: [{key: []}]\n", []),
        ("scheme: bearer}", "scheme: basic}",
         ["security scheme key: scheme basic, was bearer (breaking)",
          'operation ask: security [["http basic"]], was [["http bearer"]] (breaking)']),
        ("{type: http, scheme: bearer}", "{type: apiKey, in: header, name: x-key}",
         ["security scheme key: scheme none, was bearer (breaking)",
          "security scheme key: scheme type apiKey, was http (breaking)",
          "security scheme key: in header, was none (breaking)",
          "security scheme key: name x-key, was none (breaking)",
          'operation ask: security [["apiKey header x-key"]], was [["http bearer"]] (breaking)']),
        ("  securitySchemes:\n", "  securitySchemes:\n    more: {type: http, scheme: basic}\n",
         ["security scheme more: added"]),
        ("  - url: https://b.example\n",
         "  - url: https://b.example\n  - url: https://c.example\n",
         ["server https://c.example: added"]),
        ("  - url: https://b.example\n", "", ["server https://b.example: removed (breaking)"]),
        ("  - url: https://a.example\n  - url: https://b.example\n",
         "  - url: https://b.example\n  - url: https://a.example\n",
         ["servers: first https://b.example, was https://a.example"]),
        # Operations.
        ("operationId: ask", "operationId: inquire",
         ["operation ask: renamed to inquire (breaking)"]),
        ("operationId: ask", "operationId: ask\n      deprecated: true",
         ["operation ask: deprecated true, was none"]),
        ("  /ask:\n    post:\n",
         "  /ask:\n    servers: [{url: 'https://c.example'}]\n    post:\n",
         ['operation ask: servers [{"url": "https://c.example"}], was none; the client uses those '
          "of the document (breaking)"]),
        ("3.1.0", "3.1.0\njsonSchemaDialect: https://spec.openapis.org/oas/3.1/dialect/base",
         ["API: jsonSchemaDialect https://spec.openapis.org/oas/3.1/dialect/base, was none"]),
        ("3.1.0", "3.1.0\nwebhooks: {}", ["API: webhooks {}, was none"]),
        ("operationId: ask", "operationId: ask\n      callbacks: {}",
         ["operation ask: callbacks {}, was none"]),
        ("  /ask:\n",
         "  /look:\n    get: {operationId: look, responses: {'204': {description: Fine.}}}\n"
         "  /ask:\n",
         ["operation look: added, GET /look", 'look response 204: description "Fine."']),
        ("  /ask:\n    post:\n", "  /ask:\n    put:\n",
         ["operation ask: moved to PUT /ask, was POST /ask"]),
        ("  /ask:\n", "  /v2/ask:\n", ["operation ask: moved to POST /v2/ask, was POST /ask"]),
        ("name: page", "name: size",
         ["ask parameter page (query): removed (breaking)",
          "ask parameter size (query): added, integer of at most 9, optional"]),
        ("in: query,", "in: query, required: true,",
         ["ask parameter page (query): required, was optional (breaking)"]),
        ("maximum: 9", "maximum: 8",
         ["ask parameter page (query): maximum 8, was 9 (breaking)"]),
        ("        required: true\n", "", ["ask request: optional, was required"]),
        # Responses.
        ("        '400':\n", "        '418': {description: A teapot.}\n        '400':\n",
         ["ask response 418: added", 'ask response 418: description "A teapot."']),
        ("        '400':\n", "        '401':\n",
         ["ask response 400: removed", "ask response 401: added",
          'ask response 401: description "Not fine."']),
        ("        '200':\n", "        '201':\n",
         ["ask response 200: removed (breaking)", "ask response 201: added",
          'ask response 201: description "Fine."']),
        ("{error: {type: string}}", "{message: {type: string}}",
         ["ask response 400 application/json.error: removed (breaking)",
          "ask response 400 application/json.message: added, string, optional"]),
        # Schemas.
        ("    Person:\n", "    Spare: {type: object}\n    Person:\n", ["Spare: added, object"]),
        # Fields of a request.
        ("        heat:", "        more: {type: integer, default: 3}\n        heat:",
         ["Question.more: added, integer, default 3, optional (breaking)"]),
        ("required: [text]\n      properties:\n        text: {type: string, min",
         "required: [text, heat]\n      properties:\n        text: {type: string, min",
         ["Question.heat: required, was optional (breaking)"]),
        ("        heat: {type: number, minimum: 0, maximum: 2}\n", "",
         ["Question.heat: removed (breaking)"]),
        ("minimum: 0, maximum: 2", "minimum: 1, maximum: 3",
         ["Question.heat: minimum 1, was 0 (breaking)", "Question.heat: maximum 3, was 2"]),
        ("minimum: 0, maximum: 2", "minimum: -1",
         ["Question.heat: minimum -1, was 0", "Question.heat: maximum none, was 2"]),
        ("minLength: 1", "minLength: 1, maxLength: 5",
         ["Question.text: maxLength 5, was none (breaking)"]),
        ("type: string, minLength: 1", "type: [string, 'null'], minLength: 1",
         ["Question.text: type string or null, was string"]),
        ("type: number", "type: integer", ["Question.heat: type integer, was number (breaking)"]),
        ("calm, cross", "calm, glad",
         ["Question.mood: enum loses cross and gains glad (breaking)"]),
        ("calm, cross", "cross, calm", ["Question.mood: enum in another order"]),
        ("default: calm", "default: cross", ["Question.mood: default cross, was calm (breaking)"]),
        (", default: calm", "", ["Question.mood: default none, was calm (breaking)"]),
        ("enum: [calm, cross], ", "", ['Question.mood: enum none, was ["calm", "cross"]']),
        ("items: {type: string}", "items: {type: integer}",
         ["Question.tags[]: type integer, was string (breaking)"]),
        ("oneOf: [{type: string},", "oneOf: [{type: integer}, {type: string},",
         ["Question.to: type integer or string or Person, was string or Person"]),
        ("oneOf: [{type: string},", "oneOf: [{type: string, maxLength: 3},",
         ["Question.to as string: maxLength 3, was none (breaking)"]),
        # Fields of a response.
        ("        score:", "        more: {type: integer}\n        score:",
         ["Answer.more: added, integer, optional"]),
        ("        score: {type: integer}\n", "", ["Answer.score: removed (breaking)"]),
        ("score: {type: integer}", "score: {type: number}",
         ["Answer.score: type number, was integer (breaking)"]),
        ("score: {type: integer}", "score: {type: integer, minimum: 3}",
         ["Answer.score: minimum 3, was none"]),
        ("score: {type: integer}", "score: {type: integer, nullable: true}",
         ["Answer.score: type integer or null, was integer (breaking)"]),
        ("done, cut", "done, cut, filter", ["Answer.reason: enum gains filter"]),
        ("done, cut", "done", ["Answer.reason: enum loses cut"]),
        ("required: [text]\n      properties:\n        text: {type: string}",
         "properties:\n        text: {type: string}",
         ["Answer.text: optional, was required (breaking)"]),
        ("score: {type: integer}", "score: {type: integer, format: int64}",
         ["Answer.score: format int64, was none"]),
        ("name: {type: string}", "name: {type: string, format: date-time}",
         ["Person.name: format date-time, was none (breaking)"]),
        # Fields of requests and responses.
        ("name: {type: string}", "name: {type: [string, 'null']}",
         ["Person.name: type string or null, was string (breaking)"]),
        # Texts.
        ("What to ask.", "Ask what?", ['Question.text: description "Ask what?"']),
        ("title: Ask", "title: Ask, description: Asks., license: {name: MIT}",
         ['API: info description "Asks."', 'API: info license {"name": "MIT"}']),
        ("    Answer:\n", "    Answer:\n      title: A\n      example: {text: a}\n",
         ['Answer: title "A"', 'Answer: example {"text": "a"}']),
        (", description: What to ask.", "", []),
        # Tags and x- fields, which the client does not use.
        ("operationId: ask", "operationId: ask\n      tags: [Questions]", []),
        ("operationId: ask", "operationId: ask\n      x-a: 1",
         ["x- fields: changed; they are not used"]),
        # The same in another form: null, allOf, a schema of its own.
        ("        to: {oneOf: [{type: string}, {$ref: '#/components/schemas/Person'}]}",
         "        to: {anyOf: [{type: string}, {$ref: '#/components/schemas/Person'}]}", []),
        ("        from: {$ref: '#/components/schemas/Person'}",
         "        from: {allOf: [{$ref: '#/components/schemas/Person'}]}",
         ["Answer.from: type object, was Person"]),
        ("    Answer:\n      type: object\n      required: [text]\n      properties:\n"
         "        text: {type: string}\n",
         "    Base: {type: object, required: [text], properties: {text: {type: string}}}\n"
         "    Answer:\n      allOf: [{$ref: '#/components/schemas/Base'}]\n      type: object\n"
         "      properties:\n",
         ["Base: added, object"]),
    ],
)  # fmt: skip
def test_a_change(old: str, new: str, expected: list[str]) -> None:
    assert differences(old, new) == expected


def test_a_schema_by_another_name_is_listed_without_its_fields() -> None:
    assert differences("$ref: '#/components/schemas/Answer'", "$ref: '#/components/schemas/Reply'",
                "    Answer:\n", "    Reply:\n") == [
        "ask response 200 application/json: type Reply, was Answer (breaking)",
        "Answer: removed (breaking)",
        "Reply: added, object",
    ]  # fmt: skip


def test_schemas_that_refer_to_each_other() -> None:
    new = "name: {type: string}\n        boss: {$ref: '#/components/schemas/Person'}"
    assert differences("name: {type: string}", new) == ["Person.boss: added, Person, optional"]


def test_names_are_fit_for_a_terminal() -> None:
    new = '"\\e[31m\\nred\\u202e": {type: string}\n        score:'
    assert differences("score:", new) == [
        r"Answer.\x1b[31m\nred\u202e: added, string, optional",
    ]


def test_true_is_not_one() -> None:
    old = "enum: [calm, cross], default: calm"
    one, true = changed(old, "enum: [1, 2]"), changed(old, "enum: [true, 2]")
    assert [change.what for change in compare(one, true)[0]] == ["enum loses 1 and gains true"]


@pytest.mark.parametrize(
    "spelling",
    [
        "{type: [integer, 'null']}",
        "{type: integer, nullable: true}",
        "{oneOf: [{type: integer}, {type: 'null'}]}",
        "{anyOf: [{type: 'null'}, {type: integer}]}",
    ],
)
def test_the_spellings_of_null_are_the_same(spelling: str) -> None:
    old = changed("{type: integer}", "{type: [integer, 'null']}")
    assert compare(old, changed("{type: integer}", spelling)) == ([], [])


def test_a_published_change_that_the_overlays_hide() -> None:
    published, _ = compare(changed(), changed("maximum: 2", "maximum: 1", "done, cut", "done"))
    effective, _ = compare(changed(), changed("maximum: 2", "maximum: 1"))
    assert kept_by_overlays(published, effective) == [
        "Answer.reason: enum loses cut; the client stays as it was"
    ]
