from typing import Literal

ChatCompletionQuickRequestReasoningEffort = Literal["high", "low", "medium", "minimal"]

CHAT_COMPLETION_QUICK_REQUEST_REASONING_EFFORT_VALUES: set[
    ChatCompletionQuickRequestReasoningEffort
] = {
    "high",
    "low",
    "medium",
    "minimal",
}


def check_chat_completion_quick_request_reasoning_effort(
    value: str,
) -> ChatCompletionQuickRequestReasoningEffort:
    if value in CHAT_COMPLETION_QUICK_REQUEST_REASONING_EFFORT_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {CHAT_COMPLETION_QUICK_REQUEST_REASONING_EFFORT_VALUES!r}"
    )
