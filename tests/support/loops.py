"""Finds tests that may pass without a single check: all of their checks are in loops over what may be empty."""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
LOOPS = (ast.For, ast.AsyncFor)
# What has as many entries as what it is given.
KEEPING = frozenset(
    {"enumerate", "sorted", "reversed", "list", "tuple", "set", "zip", "product", "permutations", "dict"}
)
# Functions of the tests that check that they return something.
SELF_CHECKING = frozenset({"python_files"})
CHECKING = ("assert", "check", "raises", "warns", "within", "fail", "refused", "expect", "compare")


def unchecked(path: Path) -> Iterator[str]:
    """Yield the names of a file's tests whose only checks are in loops that may not run."""
    tree = ast.parse(path.read_text())
    constants = _assigned(tree.body)
    helpers = {node.name for node in ast.walk(tree) if isinstance(node, FUNCTIONS) and _has_assert(node)}
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS) and node.name.startswith("test"):
            certain, possible = _checks(node.body, constants | _assigned(ast.walk(node)), helpers)
            if possible and not certain:
                yield f"{path}:{node.lineno} {node.name}"


def _assigned(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    """Return what names are given by assignments among ``nodes``."""
    return {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }


def _has_assert(function: ast.AST) -> bool:
    return any(isinstance(node, ast.Assert) for node in ast.walk(function))


def _checks(body: list[ast.stmt], constants: dict[str, ast.expr], helpers: set[str]) -> tuple[bool, bool]:
    """Return whether a check surely runs, and whether one may, in a loop that may not run."""
    certain = possible = False
    for statement in body:
        if isinstance(statement, LOOPS):
            inner = _checks(statement.body, constants, helpers)
            if _is_filled(statement.iter, constants):
                certain |= inner[0]
                possible |= inner[1]
            else:
                possible |= inner[0] or inner[1]
            continue
        certain |= _is_check(statement, helpers)
        for block in _blocks(statement):
            inner = _checks(block, constants, helpers)
            certain |= inner[0]
            possible |= inner[1]
    return certain, possible


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    if isinstance(statement, FUNCTIONS):
        return  # what it checks counts where it is called
    for name in ("body", "orelse", "finalbody"):
        yield getattr(statement, name, [])
    for handler in getattr(statement, "handlers", []):
        yield handler.body


def _is_check(statement: ast.stmt, helpers: set[str]) -> bool:
    """Whether the statement itself, without its blocks, checks something."""
    if isinstance(statement, ast.Assert):
        return True
    parts: list[ast.AST] = []
    if isinstance(statement, ast.With | ast.AsyncWith):
        parts = [item.context_expr for item in statement.items]
    elif not hasattr(statement, "body"):
        parts = [statement]
    for part in parts:
        for node in ast.walk(part):
            if isinstance(node, ast.Call):
                name = ast.unparse(node.func).rpartition(".")[2]
                if name in helpers or name.lstrip("_").startswith(CHECKING):
                    return True
    return False


def _is_filled(iterable: ast.expr, constants: dict[str, ast.expr]) -> bool:
    """Whether a loop over ``iterable`` surely runs."""
    if isinstance(iterable, ast.Tuple | ast.List | ast.Set):
        return any(not isinstance(entry, ast.Starred) or _is_filled(entry.value, constants) for entry in iterable.elts)
    if isinstance(iterable, ast.Dict):
        return bool(iterable.keys)
    if isinstance(iterable, ast.Constant):
        return bool(iterable.value)
    if isinstance(iterable, ast.Name):
        if iterable.id not in constants:
            return iterable.id.isupper()  # a constant of another module, by its name
        others = {name: value for name, value in constants.items() if name != iterable.id}
        return _is_filled(constants[iterable.id], others)
    if isinstance(iterable, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return all(not each.ifs and _is_filled(each.iter, constants) for each in iterable.generators)
    if isinstance(iterable, ast.BinOp):
        return _is_filled(iterable.left, constants) or _is_filled(iterable.right, constants)
    if isinstance(iterable, ast.Attribute):
        return iterable.attr.isupper()
    if isinstance(iterable, ast.Call):
        return _call_is_filled(iterable, constants)
    return False


def _call_is_filled(call: ast.Call, constants: dict[str, ast.expr]) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "range":
        # A range with a bound that is computed counts as filled: no one asks for none.
        return not all(isinstance(argument, ast.Constant) and not argument.value for argument in call.args)
    if name in ("items", "keys", "values") and isinstance(call.func, ast.Attribute):
        return _is_filled(call.func.value, constants)
    if name in KEEPING:
        return bool(call.args) and all(_is_filled(argument, constants) for argument in call.args)
    return name in ("count", "cycle") or name in SELF_CHECKING
