"""Graders: how well a text does, from 0 to 1. Evals and reinforcement fine-tuning share them."""

import ast
import operator
import re
import zlib
from collections.abc import Callable, Mapping
from difflib import SequenceMatcher
from typing import Any

from sandbox.errors import ApiError, invalid_value, missing_parameter
from sandbox.store import params
from sandbox.store.params import quoted

Grader = dict[str, Any]

# type: what it must have besides a name
REQUIRED: dict[str, tuple[str, ...]] = {
    "string_check": ("input", "reference", "operation"),
    "text_similarity": ("input", "reference", "evaluation_metric"),
    "python": ("source",),
    "score_model": ("input", "model"),
    "label_model": ("input", "model", "labels", "passing_labels"),
    "multi": ("graders", "calculate_output"),
}
OPERATIONS: dict[str, Callable[[str, str], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "like": lambda text, reference: reference in text,
    "ilike": lambda text, reference: reference.lower() in text.lower(),
}
_TEMPLATE = re.compile(r"\{\{\s*([\w.]+)\s*\}\}")
_ARITHMETIC: dict[type, Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def check(grader: Any, where: str = "grader") -> None:
    """Raises ApiError 400 for anything but a valid grader."""
    if not isinstance(grader, dict) or not grader:
        raise missing_parameter(where)
    kind = params.kind(grader, where, REQUIRED)
    for name in ("name", *REQUIRED[kind]):
        params.required(grader, f"{where}.{name}")
    if kind == "string_check" and grader["operation"] not in OPERATIONS:
        raise invalid_value(f"{where}.operation", grader["operation"], quoted(OPERATIONS))
    if kind == "multi":
        for name, inner in inner_graders(grader).items():
            check(inner, f"{where}.graders.{name}")


def inner_graders(grader: Grader) -> dict[str, Grader]:
    """A multi grader's parts by name; its description has one, its examples have several."""
    graders = grader["graders"]
    if isinstance(graders, dict) and "type" in graders:
        return {str(graders.get("name")): graders}
    if not isinstance(graders, dict):
        raise ApiError("Invalid 'grader.graders': expected an object.", param="grader.graders")
    return graders


def score(grader: Grader, sample: str, item: Mapping[str, Any]) -> float:
    """The reward for `sample`. What would need a model or a Python process is made up, but the same each time."""
    kind = grader["type"]
    if kind == "multi":
        parts = {name: score(inner, sample, item) for name, inner in inner_graders(grader).items()}
        return _calculate(grader["calculate_output"], parts)
    if kind not in ("string_check", "text_similarity"):
        return zlib.crc32(f"{grader['name']}\0{sample}".encode()) / 2**32
    text, reference = (filled(str(grader[name]), sample, item) for name in ("input", "reference"))
    if kind == "string_check":
        return float(OPERATIONS[grader["operation"]](text, reference))
    return round(SequenceMatcher(None, text.lower(), reference.lower()).ratio(), 4)


def filled(template: str, sample: str, item: Mapping[str, Any]) -> str:
    """`template` with `{{sample.output_text}}` and `{{item.name}}` filled in."""

    def value(match: re.Match[str]) -> str:
        space, _, path = match[1].partition(".")
        if space == "sample":
            return sample
        found: Any = item
        for name in path.split("."):
            found = found.get(name, "") if isinstance(found, Mapping) else ""
        return str(found)

    return _TEMPLATE.sub(value, template)


def _calculate(formula: str, values: Mapping[str, float]) -> float:
    """Sums, products and the like over names and numbers; raises ApiError 400 for anything else."""

    def result(node: ast.AST) -> float:
        if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            return float(node.value)
        if isinstance(node, ast.Name) and node.id in values:
            return values[node.id]
        if isinstance(node, ast.BinOp) and type(node.op) in _ARITHMETIC:
            return _ARITHMETIC[type(node.op)](result(node.left), result(node.right))
        raise ValueError(ast.dump(node))

    try:
        return result(ast.parse(formula, mode="eval").body)
    except (ValueError, SyntaxError, ZeroDivisionError, RecursionError) as error:
        raise ApiError(f"Invalid formula: '{formula}'.", param="grader.calculate_output") from error
