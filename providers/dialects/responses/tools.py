"""Tools of the Responses API, from and to neutral ones: functions, free text, namespaces, and what the client runs.

The latter are tools that OpenAI's models know by themselves. They are functions for any other vendor, and their calls
have items of their own.
"""

from providers.dialects.neutral import Request, Tool, ToolCall
from providers.dialects.wire import Fields, arguments_object, encode, invalid, items, lenient, typed

NAMESPACE = "__"
"""Between a namespace and a tool's name, where a vendor knows no namespaces."""
FUNCTION, CUSTOM, TOOL_SEARCH, LOCAL_SHELL = "function_call", "custom_tool_call", "tool_search_call", "local_shell_call"
PREFIXES = {FUNCTION: "fc_", CUSTOM: "ctc_", TOOL_SEARCH: "tsc_", LOCAL_SHELL: "lsh_"}
"""What the ids of calls begin with, by the type of their item."""
_SHELL = {
    "type": "object",
    "properties": {
        "command": {"type": "array", "items": {"type": "string"}, "description": "The program and its arguments."},
        "working_directory": {"type": "string"},
        "timeout_ms": {"type": "integer"},
    },
    "required": ["command"],
}
_SEARCH = {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}


def add_tools(request: Request, found: list[Fields], where: str) -> list[str]:
    """Add the tools of a list to a request, and return their names; one of a name that is there takes its place."""
    names: list[str] = []
    known = {tool.name: index for index, tool in enumerate(request.tools)}
    for index, entry in enumerate(found):
        for tool in _read(entry, f"{where}[{index}]"):
            if tool.name in known:
                request.tools[known[tool.name]] = tool
            else:
                known[tool.name] = len(request.tools)
                request.tools.append(tool)
            names.append(tool.name)
    return names


def _read(tool: Fields, where: str) -> list[Tool]:
    """Return the tools of an entry; a namespace's are called by both names together."""
    kind = tool.get("type")
    if kind == "function":
        return [_function(tool, where)]
    if kind == "custom":
        description = str(tool.get("description") or "")
        form = tool.get("format")
        if isinstance(form, dict) and form.get("type") == "grammar":
            description += f"\nThe input must follow this {form.get('syntax')} grammar:\n{form.get('definition')}"
        return [Tool(typed(tool.get("name"), str, f"{where}.name"), description, kind="custom")]
    if kind == "namespace":
        return _namespace(tool, where)
    if kind == "tool_search":
        return _tool_search(tool, where)
    if kind == "local_shell":
        return [Tool("local_shell", "Runs a command on the user's machine.", _SHELL, item=LOCAL_SHELL)]
    if isinstance(kind, str) and kind.startswith("web_search"):
        return [Tool("web_search", kind="search")]
    valid = "'function', 'custom', 'namespace', 'tool_search', 'local_shell' and 'web_search'"
    raise invalid(f"{where}.type", kind, f"Only {valid} tools work with this model.")


def _namespace(tool: Fields, where: str) -> list[Tool]:
    found: list[Tool] = []
    space = typed(tool.get("name"), str, f"{where}.name")
    for index, each in enumerate(items(tool.get("tools") or [], f"{where}.tools")):
        for one in _read(each, f"{where}.tools[{index}]"):
            one.name, one.namespace = f"{space}{NAMESPACE}{one.name}", space
            found.append(one)
    return found


def _tool_search(tool: Fields, where: str) -> list[Tool]:
    """Return the client's own search for tools. OpenAI's own finds among those that are sent: other models see all."""
    if tool.get("execution") != "client":
        return []
    schema = tool.get("parameters")
    schema = _SEARCH if schema is None else typed(schema, dict, f"{where}.parameters")
    description = str(tool.get("description") or "Finds further tools, which can be called then.")
    return [Tool("tool_search", description, schema, item=TOOL_SEARCH)]


def _function(tool: Fields, where: str) -> Tool:
    schema, strict = tool.get("parameters"), tool.get("strict")
    return Tool(
        typed(tool.get("name"), str, f"{where}.name"),
        typed(tool.get("description") or "", str, f"{where}.description"),
        None if schema is None else typed(schema, dict, f"{where}.parameters"),
        strict if isinstance(strict, bool) else None,
    )


def called_name(item: Fields, where: str) -> str:
    """Return the name that a call's item gives, with its namespace."""
    name = typed(item.get("name"), str, f"{where}.name")
    space = item.get("namespace")
    return f"{space}{NAMESPACE}{name}" if isinstance(space, str) and space else name


def call_type(tool: Tool | None) -> str:
    """Return the type of the item that calls a tool."""
    if tool is None:
        return FUNCTION
    return CUSTOM if tool.kind == "custom" else tool.item or FUNCTION


def free_text(arguments: str) -> str:
    """Return the text of a custom tool's call, which another vendor wrote as a function's one argument."""
    value = lenient(arguments.encode("utf-8", "replace"))
    if isinstance(value, dict):
        inner = value.get("input", value.get("_raw"))
        return inner if isinstance(inner, str) else encode(value).decode()
    return arguments


def call_item(call: ToolCall, item_id: str, tool: Tool | None, status: str = "completed") -> Fields:
    """Return the item of a call of one of the caller's tools; ``None``: of one that the caller did not offer."""
    kind = call_type(tool)
    item: Fields = {"id": item_id, "type": kind, "call_id": call.id}
    if kind == TOOL_SEARCH:
        arguments = arguments_object(call.arguments)
        return {**item, "execution": "client", "arguments": arguments, "status": status}
    if kind == LOCAL_SHELL:
        return {**item, "action": _action(arguments_object(call.arguments)), "status": status}
    item["name"] = call.name
    if tool is not None and tool.namespace:
        item["namespace"], item["name"] = tool.namespace, call.name.removeprefix(tool.namespace + NAMESPACE)
    if kind == CUSTOM:
        return {**item, "input": free_text(call.arguments)}
    return {**item, "arguments": call.arguments or "{}", "status": status}


def _action(arguments: Fields) -> Fields:
    command = arguments.get("command")
    if isinstance(command, str):
        command = ["sh", "-c", command]
    words = [str(word) for word in command] if isinstance(command, list) else []
    found: Fields = {"type": "exec", "command": words, "env": {}}
    if isinstance(arguments.get("working_directory"), str):
        found["working_directory"] = arguments["working_directory"]
    if isinstance(arguments.get("timeout_ms"), int):
        found["timeout_ms"] = arguments["timeout_ms"]
    return found
