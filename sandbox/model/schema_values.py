"""A value that satisfies a JSON schema, filled with what the conversation offers."""

import itertools
import math
import re
from typing import Any

from sandbox.model.patterns import example_of

Schema = dict[str, Any]

MAX_DEPTH = 12
CUT_OPTIONAL_DEPTH = 4  # deeper than this, optional and nullable parts are left out, so that recursion ends

# property name: what to say when the conversation offers nothing
_BY_NAME: dict[str, str] = {
    "name": "Ada Lovelace",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "title": "A short title",
    "city": "Paris",
    "location": "Paris",
    "country": "France",
    "email": "ada@example.com",
    "url": "https://example.com/",
    "currency": "USD",
    "language": "English",
    "date": "2025-01-15",
    "time": "12:00:00",
}
# What is a number by its name, where no schema says it, and the one when the conversation offers none.
_NUMBERS: dict[str, int] = {
    "age": 36,
    "year": 2025,
    **dict.fromkeys(("amount", "balance", "cost", "count", "distance", "duration", "height", "length"), 42),
    **dict.fromkeys(("number", "percentage", "population", "price", "quantity", "rating", "score"), 42),
    **dict.fromkeys(("size", "sum", "temperature", "total", "weight", "width"), 42),
}
_BY_FORMAT: dict[str, str] = {
    "date-time": "2025-01-15T12:00:00Z",
    "date": "2025-01-15",
    "time": "12:00:00Z",
    "duration": "PT1H",
    "email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uri": "https://example.com/",
}
_PLACE_NAMES = ("location", "city", "place", "town", "destination", "address")
_TEXT_NAMES = ("query", "q", "text", "question", "prompt", "input", "message", "search", "content", "command")

_PROPER = r"[A-ZÀ-Þ][\w'’.-]*(?:,? [A-ZÀ-Þ][\w'’.-]*)*"
_PLACES = re.compile(rf"\b(?:in|at|for|to|near|from|between) ({_PROPER}(?:,? and {_PROPER})*)")
# A hyphen behind a letter or digit is not a minus: "gpt-4", "10-20". Commas between three digits separate thousands.
_DIGITS = r"(?:(?<![\w)])[-−])?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
_NUMBER = re.compile(_DIGITS)
_PLAIN_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?")  # a zero in front is a code's, not a number's


_NUMBER_WORDS = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty",
]  # fmt: skip
_SAID_NUMBER = re.compile(rf"{_DIGITS}|(?<![\w-])(?:{'|'.join(_NUMBER_WORDS)})(?![\w-])", re.IGNORECASE)


def numbers(text: str) -> list[str]:
    """The numbers that a text gives, in their order: "six and 7" gives ["6", "7"].

    "one" is a number only among words for others: "which one", "one of 10".
    """
    found = _SAID_NUMBER.findall(text)
    counts_one = len(found) > 1 and not any(_NUMBER.fullmatch(each) for each in found)
    return [
        str(_NUMBER_WORDS.index(each.lower())) if each[0].isalpha() else each
        for each in found
        if counts_one or each.lower() != "one"
    ]


def places(text: str) -> list[str]:
    """The places that a text names: "in Paris and New York, NY" gives ["Paris", "New York, NY"]."""
    found = [place for match in _PLACES.findall(text) for place in re.split(r",? and ", match)]
    return list(dict.fromkeys(place.rstrip("?.!,") for place in found))


# What follows a property's name where its value is given.
_GIVEN = "|".join(
    (
        r"""d?(?: is| to| of)?\s*[:=]?\s*(?:"([^"]+)"|'([^']+)')""",  # title 'A day'
        rf"\s*[:=]\s*({_DIGITS})(?![\w.:/@+-]*\w)",  # total: 1,000
        r"(?:d |\s*[:=]\s*)([\w@./:+-]*\w)",  # named Bob, name: Bob
        r" is ((?-i:[A-Z])[\w.-]*\w)",  # name is Bob, but not "what city is it"
        rf"(?: is)?\s({_DIGITS})\b",  # age 30
    )
)
_LAST_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)$")
# What an example says in a value's place.
_PLACEHOLDER = re.compile(
    r"\W*|<.*>|(?:a |an |the )?(?:string|str|text|number|integer|int|float|boolean|bool|array|list|object|value)",
    re.IGNORECASE,
)
_KEY = r"[\"'`]?[A-Za-z_]\w*[\"'`]?"
_AND = r"(?:, and |,| and )\s*(?:the |an? )?"
_LIST = rf"{_KEY}(?:{_AND}{_KEY})"
_KEYS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:keys|fields|properties|attributes|key (?:named|called))(?: named| called| are)?[: ]+"
        rf"(?P<keys>{_LIST}*)",
        # Without the word for them they are two at least: "JSON object containing title and year".
        r"\bJSON(?: object)? (?:containing|that contains|which contains|including|with|having|of) (?:the |an? )?"
        rf"(?P<keys>{_LIST}+)",
        r"\b(?:extract|return|give|provide|output|list|find)(?: me)? (?:the |an? )?"
        rf"(?P<keys>{_LIST}+)(?: (?:from|of|in) [^.\n]{{1,80}}?)? (?:as|in|to) (?:an? )?(?:valid )?JSON\b",
    )
)
_IN_EXAMPLE = re.compile(r"[\"'](\w+)[\"']\s*:")


def asked_keys(text: str) -> list[str]:
    """The keys that a prompt wants in a JSON object, by name ("with keys a and b") or in an example of one."""
    match = next((match for pattern in _KEYS if (match := pattern.search(text))), None)
    return list(dict.fromkeys(_listed(match) if match else _IN_EXAMPLE.findall(text)))


def _listed(match: re.Match[str]) -> list[str]:
    return re.findall(r"\w+", re.sub(rf"{_AND}", " ", match["keys"], flags=re.IGNORECASE))


def _without_keys(text: str) -> str:
    """The text without its lists of keys, which give them no values; one alone may: "the fields name: Bob, age: 30"."""
    for pattern in _KEYS:
        text = pattern.sub(lambda match: " " if len(_listed(match)) > 1 else match[0], text)
    return text


class Filler:
    """Makes values for one schema document.

    `hint` is the text from which names and numbers are taken; `place` goes before the places in it.
    """

    def __init__(self, root: Schema, hint: str = "", place: str = "") -> None:
        self.root = root
        self.hint = hint
        self._given = _without_keys(hint)
        self.place = place or next(iter(places(hint)), "")
        self._numbers = itertools.cycle(numbers(hint))

    def value(self, schema: Any, name: str = "", depth: int = 0) -> Any:
        """A value for `schema`, a part of the root; `name` is the property that it belongs to."""
        if not isinstance(schema, dict):
            return {}
        schema = self._resolve(schema)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return self._mentioned(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if schema.get(key):
                return self.value(self._branch(schema[key], depth), name, depth)
        kind = self._kind(schema, name, depth)
        if kind == "object":
            return self._object(schema, depth)
        if kind == "array":
            return self._array(schema, name, depth)
        if kind == "string":
            return self._string(schema, name)
        if kind in ("integer", "number"):
            return self._number(schema, kind, name)
        return None if kind == "null" else True

    def _resolve(self, schema: Schema) -> Schema:
        """Follows `$ref` and joins `allOf`."""
        for _ in range(MAX_DEPTH):
            if "$ref" not in schema:
                break
            rest = {key: value for key, value in schema.items() if key != "$ref"}
            schema = {**self._pointed(schema["$ref"]), **rest}
        if "allOf" in schema:
            schema = self._joined(schema)
        return schema

    def _joined(self, schema: Schema) -> Schema:
        joined = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            for key, value in self._resolve(part).items():
                if isinstance(value, dict) and isinstance(joined.get(key), dict):
                    joined[key] = {**joined[key], **value}
                elif isinstance(value, list) and isinstance(joined.get(key), list):
                    joined[key] = joined[key] + value
                else:
                    joined[key] = value
        return joined

    def _pointed(self, reference: str) -> Schema:
        node: Any = self.root
        for step in reference.removeprefix("#").split("/"):
            if step:
                node = node.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(node, dict) else {}
        return node if isinstance(node, dict) else {}

    def _branch(self, branches: list[Any], depth: int) -> Any:
        """The first branch; deep down the one that ends soonest."""
        if depth >= CUT_OPTIONAL_DEPTH:
            for branch in branches:
                if isinstance(branch, dict) and self._resolve(branch).get("type") not in ("object", "array"):
                    return branch
        return branches[0]

    def _kind(self, schema: Schema, name: str, depth: int) -> str:
        kind = schema.get("type")
        if isinstance(kind, list):
            if depth >= CUT_OPTIONAL_DEPTH and "null" in kind:
                return "null"
            kind = next((item for item in kind if item != "null"), "null")
        if kind is None:
            if "properties" in schema:
                return "object"
            if "items" in schema:
                return "array"
            return "number" if self._is_number(name) else "string"
        return str(kind)

    def _is_number(self, name: str) -> bool:
        """Whether a property without a type is a number, by what the conversation says of it or by its name."""
        said = self.said(name)
        return _PLAIN_NUMBER.fullmatch(_plain(said)) is not None if said else _last_word(name) in _NUMBERS

    def _object(self, schema: Schema, depth: int) -> dict[str, Any]:
        properties = schema.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        wanted = schema.get("required")
        wanted = [name for name in wanted if isinstance(name, str)] if isinstance(wanted, list) else []
        if not wanted and depth < CUT_OPTIONAL_DEPTH:  # what requires nothing is not meant to stay empty
            wanted = [name for name, part in properties.items() if not isinstance(part, dict) or "default" not in part]
        made = {}
        for name, part in properties.items():
            if name in wanted or (depth < CUT_OPTIONAL_DEPTH and self._is_offered(part, name)):
                made[name] = self.value(part, name, depth + 1) if depth < MAX_DEPTH else None
        for name in wanted:
            if name not in made:
                made[name] = self.value({}, name, depth + 1)
        return made

    def _is_offered(self, schema: Any, name: str) -> bool:
        """Whether the conversation says something for an optional property."""
        if not isinstance(schema, dict):
            return False
        options = self._resolve(schema).get("enum") or []
        if any(_mentions(self.hint, option) for option in options):
            return True
        return self.said(name) is not None or (name in _PLACE_NAMES and self.place != "")

    def _array(self, schema: Schema, name: str, depth: int) -> list[Any]:
        prefix = schema.get("prefixItems")
        if prefix:
            return [self.value(part, name, depth + 1) for part in prefix]
        low = schema.get("minItems", 0)
        high = schema.get("maxItems", max(low, 2))
        length = low if depth >= CUT_OPTIONAL_DEPTH else max(low, min(2, high))
        if schema.get("uniqueItems"):
            length = max(low, 1)
        items = schema.get("items", {"type": "string"})
        made = [self.value(items, name, depth + 1) for _ in range(length)]
        for index, value in enumerate(made):
            if index and isinstance(value, str) and not _is_bound(self._resolve(items)):
                made[index] = f"{value} {index + 1}"
        return made

    def _string(self, schema: Schema, name: str) -> str:
        if "pattern" in schema:
            return example_of(schema["pattern"])
        if schema.get("format") in _BY_FORMAT:
            return _BY_FORMAT[schema["format"]]
        text = self._text_for(name.lower())
        low, high = schema.get("minLength", 0), schema.get("maxLength")
        if len(text) < low:
            text = text.ljust(low, ".")
        return text if high is None else text[:high]

    def _text_for(self, name: str) -> str:
        said = self.said(name)
        if said:
            return said
        if name in _PLACE_NAMES and self.place:
            return self.place
        if name in _TEXT_NAMES and self.hint:
            return self.hint
        return _BY_NAME.get(name, f"sample {name.replace('_', ' ')}" if name else "sample")

    def _number(self, schema: Schema, kind: str, name: str) -> int | float:
        step = schema.get("multipleOf") or (1 if kind == "integer" else 0)
        low = schema.get("minimum", -math.inf)
        high = schema.get("maximum", math.inf)
        nudge = step or 0.5
        if "exclusiveMinimum" in schema:
            low = max(low, schema["exclusiveMinimum"] + nudge)
        if "exclusiveMaximum" in schema:
            high = min(high, schema["exclusiveMaximum"] - nudge)
        # Numbers are taken in their order: "multiply 6 and 7" is x=6 and y=7.
        said = self.said(name) or ""
        found = said if _NUMBER.fullmatch(said) else next(self._numbers, None)
        value: float = float(_plain(found)) if found else _NUMBERS.get(_last_word(name), 42)
        value = min(max(value, low), high)
        if step:
            value = math.floor(value / step) * step
            value = value + step if value < low else value
        return int(value) if kind == "integer" or float(value).is_integer() else value

    def said(self, name: str) -> str | None:
        """What the conversation gives a property by its name: "name: Bob", "named Bob", "age 30", "title 'A day'".

        A name may be in quotes; the one that closes them opens no value.
        """
        if not name:
            return None
        words = re.escape(name).replace("_", "[ _]")
        quoted = "|".join(f"{quote}{words}{quote}" for quote in "\"'`")
        for found in re.finditer(rf"(?:{quoted}|(?<![\"'`])\b{words})(?:{_GIVEN})", self._given, re.IGNORECASE):
            said = next(group for group in found.groups() if group)
            if not _PLACEHOLDER.fullmatch(said):
                return said
        return None

    def _mentioned(self, options: list[Any]) -> Any:
        return next((option for option in options if _mentions(self.hint, option)), options[0])


def _plain(number: str) -> str:
    """A number as Python reads it: "−1,000" is "-1000"."""
    return number.replace(",", "").replace("−", "-")


def _last_word(name: str) -> str:
    """The last word of a property's name, in lower case: of `birth_year` and `birthYear` year."""
    found = _LAST_WORD.search(name)
    return found[0].lower() if found else ""


def _mentions(text: str, option: Any) -> bool:
    return isinstance(option, str) and re.search(rf"\b{re.escape(option)}\b", text, re.IGNORECASE) is not None


def _is_bound(schema: Any) -> bool:
    """Whether a string must stay as it was made."""
    bounds = ("enum", "const", "pattern", "format", "maxLength", "anyOf", "oneOf")
    return isinstance(schema, dict) and any(key in schema for key in bounds)
