from typing import Literal

MessageSimpleRole = Literal["assistant", "system", "tool", "user"]

MESSAGE_SIMPLE_ROLE_VALUES: set[MessageSimpleRole] = {
    "assistant",
    "system",
    "tool",
    "user",
}


def check_message_simple_role(value: str) -> MessageSimpleRole:
    if value in MESSAGE_SIMPLE_ROLE_VALUES:
        return value
    raise TypeError(
        f"Unexpected value {value!r}. Expected one of {MESSAGE_SIMPLE_ROLE_VALUES!r}"
    )
