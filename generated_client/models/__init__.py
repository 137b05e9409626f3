"""Contains all the data models used in inputs/outputs"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .assistant_message import AssistantMessage as AssistantMessage
    from .chat_completion_chunk import ChatCompletionChunk as ChatCompletionChunk
    from .chat_completion_quick_request import (
        ChatCompletionQuickRequest as ChatCompletionQuickRequest,
    )
    from .chat_completion_quick_request_model import (
        ChatCompletionQuickRequestModel as ChatCompletionQuickRequestModel,
    )
    from .chat_completion_quick_request_reasoning_effort import (
        ChatCompletionQuickRequestReasoningEffort as ChatCompletionQuickRequestReasoningEffort,
    )
    from .chat_completion_response import (
        ChatCompletionResponse as ChatCompletionResponse,
    )
    from .choice import Choice as Choice
    from .chunk_choice import ChunkChoice as ChunkChoice
    from .delta import Delta as Delta
    from .error_response import ErrorResponse as ErrorResponse
    from .error_response_error import ErrorResponseError as ErrorResponseError
    from .function_call import FunctionCall as FunctionCall
    from .function_call_delta import FunctionCallDelta as FunctionCallDelta
    from .function_definition import FunctionDefinition as FunctionDefinition
    from .function_definition_parameters import (
        FunctionDefinitionParameters as FunctionDefinitionParameters,
    )
    from .function_name import FunctionName as FunctionName
    from .image_part import ImagePart as ImagePart
    from .image_url import ImageUrl as ImageUrl
    from .json_object_format import JsonObjectFormat as JsonObjectFormat
    from .json_schema_format import JsonSchemaFormat as JsonSchemaFormat
    from .message_simple import MessageSimple as MessageSimple
    from .message_simple_role import MessageSimpleRole as MessageSimpleRole
    from .named_schema import NamedSchema as NamedSchema
    from .named_schema_schema import NamedSchemaSchema as NamedSchemaSchema
    from .named_tool_choice import NamedToolChoice as NamedToolChoice
    from .stream_options import StreamOptions as StreamOptions
    from .text_format import TextFormat as TextFormat
    from .text_part import TextPart as TextPart
    from .tool import Tool as Tool
    from .tool_call import ToolCall as ToolCall
    from .tool_call_delta import ToolCallDelta as ToolCallDelta
    from .tool_choice_mode import ToolChoiceMode as ToolChoiceMode
    from .usage import Usage as Usage
    from .usage_completion_tokens_details import (
        UsageCompletionTokensDetails as UsageCompletionTokensDetails,
    )
    from .usage_input_tokens_details import (
        UsageInputTokensDetails as UsageInputTokensDetails,
    )
    from .usage_prompt_tokens_details import (
        UsagePromptTokensDetails as UsagePromptTokensDetails,
    )

_MODULES = {
    "AssistantMessage": ".assistant_message",
    "ChatCompletionChunk": ".chat_completion_chunk",
    "ChatCompletionQuickRequest": ".chat_completion_quick_request",
    "ChatCompletionQuickRequestModel": ".chat_completion_quick_request_model",
    "ChatCompletionQuickRequestReasoningEffort": ".chat_completion_quick_request_reasoning_effort",
    "ChatCompletionResponse": ".chat_completion_response",
    "Choice": ".choice",
    "ChunkChoice": ".chunk_choice",
    "Delta": ".delta",
    "ErrorResponse": ".error_response",
    "ErrorResponseError": ".error_response_error",
    "FunctionCall": ".function_call",
    "FunctionCallDelta": ".function_call_delta",
    "FunctionDefinition": ".function_definition",
    "FunctionDefinitionParameters": ".function_definition_parameters",
    "FunctionName": ".function_name",
    "ImagePart": ".image_part",
    "ImageUrl": ".image_url",
    "JsonObjectFormat": ".json_object_format",
    "JsonSchemaFormat": ".json_schema_format",
    "MessageSimple": ".message_simple",
    "MessageSimpleRole": ".message_simple_role",
    "NamedSchema": ".named_schema",
    "NamedSchemaSchema": ".named_schema_schema",
    "NamedToolChoice": ".named_tool_choice",
    "StreamOptions": ".stream_options",
    "TextFormat": ".text_format",
    "TextPart": ".text_part",
    "Tool": ".tool",
    "ToolCall": ".tool_call",
    "ToolCallDelta": ".tool_call_delta",
    "ToolChoiceMode": ".tool_choice_mode",
    "Usage": ".usage",
    "UsageCompletionTokensDetails": ".usage_completion_tokens_details",
    "UsageInputTokensDetails": ".usage_input_tokens_details",
    "UsagePromptTokensDetails": ".usage_prompt_tokens_details",
}

__all__ = (
    "AssistantMessage",
    "ChatCompletionChunk",
    "ChatCompletionQuickRequest",
    "ChatCompletionQuickRequestModel",
    "ChatCompletionQuickRequestReasoningEffort",
    "ChatCompletionResponse",
    "Choice",
    "ChunkChoice",
    "Delta",
    "ErrorResponse",
    "ErrorResponseError",
    "FunctionCall",
    "FunctionCallDelta",
    "FunctionDefinition",
    "FunctionDefinitionParameters",
    "FunctionName",
    "ImagePart",
    "ImageUrl",
    "JsonObjectFormat",
    "JsonSchemaFormat",
    "MessageSimple",
    "MessageSimpleRole",
    "NamedSchema",
    "NamedSchemaSchema",
    "NamedToolChoice",
    "StreamOptions",
    "TextFormat",
    "TextPart",
    "Tool",
    "ToolCall",
    "ToolCallDelta",
    "ToolChoiceMode",
    "Usage",
    "UsageCompletionTokensDetails",
    "UsageInputTokensDetails",
    "UsagePromptTokensDetails",
)


# Hidden from type checkers, which would take any name for one of ours.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        # Each model is loaded on its first use (PEP 562).
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = globals()[name] = getattr(import_module(_MODULES[name], __name__), name)
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
