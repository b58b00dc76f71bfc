"""The rules that OpenAI adds to JSON schemas in strict mode."""

from typing import Any

from sandbox.errors import ApiError


def check(schema: Any, what: str, param: str) -> None:
    """Raises ApiError 400 unless every object lists all its properties and closes itself.

    `what` is prose such as "response_format 'person'" or "function 'get_weather'".
    """
    if not isinstance(schema, dict):
        raise _invalid(what, param, (), "schema must be a JSON Schema of 'type: \"object\"'")
    if schema.get("type") != "object" and "$ref" not in schema:
        raise _invalid(
            what, param, (), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{schema.get('type')}\"'"
        )
    _node(schema, (), what, param)


def _node(schema: Any, path: tuple[str, ...], what: str, param: str) -> None:
    if not isinstance(schema, dict):
        return
    kind = schema.get("type")
    if kind == "object" or (isinstance(kind, list) and "object" in kind):
        _object(schema, path, what, param)
    for name, part in (schema.get("properties") or {}).items():
        _node(part, (*path, "properties", name), what, param)
    for key in ("$defs", "definitions"):
        for name, part in (schema.get(key) or {}).items():
            _node(part, (*path, key, name), what, param)
    if "items" in schema:
        _node(schema["items"], (*path, "items"), what, param)
    for index, part in enumerate(schema.get("anyOf") or []):
        _node(part, (*path, "anyOf", str(index)), what, param)


def _object(schema: dict[str, Any], path: tuple[str, ...], what: str, param: str) -> None:
    if schema.get("additionalProperties") is not False:
        raise _invalid(what, param, path, "'additionalProperties' is required to be supplied and to be false")
    missing = [name for name in schema.get("properties") or {} if name not in schema.get("required", [])]
    if missing:
        raise _invalid(
            what,
            param,
            path,
            "'required' is required to be supplied and to be an array including every key in properties. "
            f"Missing '{missing[0]}'",
        )


def _invalid(what: str, param: str, path: tuple[str, ...], why: str) -> ApiError:
    # OpenAI prints the path as a Python tuple.
    return ApiError(f"Invalid schema for {what}: In context={path!r}, {why}.", param=param)
