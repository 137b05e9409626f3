from typing import Literal

ChatCompletionQuickRequestModel = Literal["gemini-3.5-flash"]

CHAT_COMPLETION_QUICK_REQUEST_MODEL_VALUES: set[ChatCompletionQuickRequestModel] = {
    "gemini-3.5-flash",
}


def check_chat_completion_quick_request_model(
    value: str,
) -> ChatCompletionQuickRequestModel:
    if value in CHAT_COMPLETION_QUICK_REQUEST_MODEL_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {CHAT_COMPLETION_QUICK_REQUEST_MODEL_VALUES!r}"
    )
