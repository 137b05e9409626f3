"""Python clients of a chat-completions server: clients.py NAME TASK BASE_URL.

Each client has three tasks: `tools` runs a chain of two rounds of tool calls, `stream` streams an
answer, `schema` requests an object of a schema. The result is printed. Runs in .venv/compat.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

MODEL = "gemini-3.5-flash"
KEY = "sandbox"
TASK = 'add {"a": 1, "b": 2} and add {"a": 3, "b": 4} then add {"a": 5, "b": 6}'
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TOOL = {"type": "function", "function": {"name": "add", "parameters": PARAMETERS}}
RESPONSE_FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "dog", "strict": True, "schema": SCHEMA},
}
STAND_IN = {"google": {"thought_signature": "skip_thought_signature_validator"}}


def with_stand_in(library: Any) -> Any:
    """Return a transport of httpx or httpx2 that signs tool calls with Google's stand-in.

    LangChain and Haystack rebuild a call from its id, name and arguments, without the signature.
    """

    class Transport(library.HTTPTransport):  # type: ignore[misc]
        def handle_request(self, request: Any) -> Any:
            body = json.loads(request.read())
            for message in body["messages"]:
                for call in message.get("tool_calls") or ():
                    call.setdefault("extra_content", STAND_IN)
            headers = {k: v for k, v in request.headers.items() if k != "content-length"}
            request = library.Request(request.method, request.url, headers=headers, json=body)
            return super().handle_request(request)

    return Transport()


def openai(task: str, url: str) -> str:
    """Use openai-python."""
    from openai import OpenAI
    from pydantic import BaseModel

    class Dog(BaseModel):
        name: str
        age: int

    client = OpenAI(base_url=url, api_key=KEY, max_retries=0)
    messages: list[Any] = [{"role": "user", "content": TASK if task == "tools" else "hello"}]
    if task == "schema":
        parsed = client.chat.completions.parse(model=MODEL, messages=messages, response_format=Dog)
        return parsed.choices[0].message.parsed.model_dump_json()
    if task == "stream":
        stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        return "".join(c.delta.content or "" for chunk in stream for c in chunk.choices)
    while True:
        reply = client.chat.completions.create(model=MODEL, messages=messages, tools=[TOOL])
        message = reply.choices[0].message
        if not message.tool_calls:
            return message.content or ""
        messages += [message, *map(_result, message.tool_calls)]


def _result(call: Any) -> dict[str, Any]:
    numbers = json.loads(call.function.arguments)
    return {"role": "tool", "tool_call_id": call.id, "content": str(sum(numbers.values()))}


def langchain(task: str, url: str) -> str:
    """Use LangChain's ChatOpenAI."""
    import httpx2
    from langchain_core.messages import HumanMessage
    from langchain_core.tools import tool
    from langchain_openai import ChatOpenAI

    @tool
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    http = httpx2.Client(transport=with_stand_in(httpx2))
    chat = ChatOpenAI(model=MODEL, base_url=url, api_key=KEY, max_retries=0, http_client=http)
    if task == "schema":
        return json.dumps(chat.with_structured_output(SCHEMA | {"title": "Dog"}).invoke("hello"))
    if task == "stream":
        return "".join(chunk.text for chunk in chat.stream("hello"))
    messages: list[Any] = [HumanMessage(TASK)]
    while True:
        reply = chat.bind_tools([add]).invoke(messages)
        if not reply.tool_calls:
            return str(reply.content)
        messages += [reply, *(add.invoke(call) for call in reply.tool_calls)]


def pydantic_ai(task: str, url: str) -> str:
    """Use pydantic-ai's OpenAIChatModel."""
    from pydantic import BaseModel
    from pydantic_ai import Agent, NativeOutput
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    class Dog(BaseModel):
        name: str
        age: int

    model = OpenAIChatModel(MODEL, provider=OpenAIProvider(base_url=url, api_key=KEY))
    if task == "schema":
        return (
            Agent(model, output_type=NativeOutput(Dog)).run_sync("hello").output.model_dump_json()
        )
    agent = Agent(model)
    if task == "stream":
        return "".join(agent.run_stream_sync("hello").stream_text(delta=True))

    @agent.tool_plain
    def add(a: int, b: int) -> int:
        return a + b

    return agent.run_sync(TASK).output


def litellm(task: str, url: str) -> str:
    """Use the LiteLLM SDK."""
    from litellm import completion

    def ask(messages: list[Any], **fields: Any) -> Any:
        return completion(
            model=f"openai/{MODEL}", api_base=url, api_key=KEY, messages=messages, **fields
        )

    messages: list[Any] = [{"role": "user", "content": TASK if task == "tools" else "hello"}]
    if task == "schema":
        return ask(messages, response_format=RESPONSE_FORMAT).choices[0].message.content
    if task == "stream":
        return "".join(c.choices[0].delta.content or "" for c in ask(messages, stream=True))
    while True:
        message = ask(messages, tools=[TOOL]).choices[0].message
        if not message.tool_calls:
            return message.content
        messages += [message, *map(_result, message.tool_calls)]


def haystack(task: str, url: str) -> str:
    """Use Haystack's OpenAIChatGenerator."""
    import httpx
    from haystack.components.generators.chat import OpenAIChatGenerator
    from haystack.dataclasses import ChatMessage
    from haystack.tools import Tool
    from haystack.utils import Secret

    chunks: list[str] = []
    add = Tool(
        name="add", description="Add", parameters=PARAMETERS, function=lambda a, b: str(a + b)
    )
    generator = OpenAIChatGenerator(
        model=MODEL,
        api_base_url=url,
        api_key=Secret.from_token(KEY),
        max_retries=0,
        http_client_kwargs={"transport": with_stand_in(httpx)},
        tools=[add] if task == "tools" else None,
        streaming_callback=(lambda c: chunks.append(c.content)) if task == "stream" else None,
        generation_kwargs={"response_format": RESPONSE_FORMAT} if task == "schema" else None,
    )
    messages = [ChatMessage.from_user(TASK if task == "tools" else "hello")]
    while True:
        reply = generator.run(messages=messages)["replies"][0]
        if task == "stream":
            return "".join(chunks)
        if not reply.tool_calls:
            return reply.text or ""
        messages.append(reply)
        messages += [
            ChatMessage.from_tool(add.invoke(**call.arguments), origin=call)
            for call in reply.tool_calls
        ]


CLIENTS: dict[str, Callable[[str, str], str]] = {
    "openai": openai,
    "langchain": langchain,
    "pydantic-ai": pydantic_ai,
    "litellm": litellm,
    "haystack": haystack,
}

if __name__ == "__main__":
    _, name, task, url = sys.argv
    print(CLIENTS[name](task, url))
