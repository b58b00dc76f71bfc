"""OpenAI-shaped errors, raised by resources and rendered once in `app.py`."""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An answer `{"error": {"message", "type", "param", "code"}}` with its HTTP status."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        type: str = "invalid_request_error",
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.type = type
        self.param = param
        self.code = code
        self.headers = headers or {}

    def body(self) -> dict[str, Any]:
        """The JSON body, as OpenAI sends it."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}


def missing_parameter(name: str) -> ApiError:
    return ApiError(f"Missing required parameter: '{name}'.", param=name, code="missing_required_parameter")


def invalid_type(name: str, expected: str, value: object) -> ApiError:
    """`expected` is prose such as "a string"; the message names what came instead."""
    return ApiError(
        f"Invalid type for '{name}': expected {expected}, but got {describe(value)} instead.",
        param=name,
        code="invalid_type",
    )


def invalid_value(name: str, value: object, allowed: str) -> ApiError:
    """`allowed` is prose such as "'auto', 'none', and 'required'"."""
    return ApiError(f"Invalid value: '{value}'. Supported values are: {allowed}.", param=name, code="invalid_value")


def unsupported_parameter(name: str, instead: str | None = None) -> ApiError:
    hint = f" Use '{instead}' instead." if instead else ""
    return ApiError(
        f"Unsupported parameter: '{name}' is not supported with this model.{hint}",
        param=name,
        code="unsupported_parameter",
    )


def model_not_found(model: str, param: str | None = None) -> ApiError:
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError(message, status=404, param=param, code="model_not_found")


def describe(value: object) -> str:
    """A JSON value's type in the words of OpenAI's messages."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, int):
        return "an integer"
    if isinstance(value, float):
        return "a decimal"
    if isinstance(value, str):
        return "a string" if value else "an empty string"
    if isinstance(value, list):
        return "an array" if value else "an empty array"
    return "an object"
