"""The values that manifests hold, as pydantic types: strings with variables, choices, numbers, secrets, subjects, days.

Each error's message says what to write instead, and never shows a value that may be a secret. In the context's
``lenient`` passes, which find what else is wrong, a missing value is replaced by a neutral one.
"""

import difflib
import re
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from accounts.models import RESERVED_TEAM
from providers.manifests.place import Broken, Secret, Unset
from providers.manifests.wanted import EVERYONE

SECRET_STORE = "tfy-secret://"
LARGEST_WHOLE = 2**31 - 1
NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,30})?")
SUBJECT_KINDS = {
    "user": "user",
    "team": "team",
    "virtualaccount": "virtualaccount",
    "virtual-account": "virtualaccount",
}
SETTLED = "settled"
"""The type of an error whose fault is noted already."""


def wrong(message: str) -> PydanticCustomError:
    """Return the error that says ``message``."""
    return PydanticCustomError("wrong", "{message}", {"message": message})


def is_lenient(info: ValidationInfo) -> bool:
    """Whether this pass only looks for what else is wrong."""
    return bool(info.context and info.context["lenient"])


class Fields(BaseModel):
    """A mapping of known fields. A field that is ``null`` counts as left out, unless ``nulls`` names it."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    nulls: ClassVar[frozenset[str]] = frozenset()

    @model_validator(mode="before")
    @classmethod
    def _left_out(cls, value: Any, info: ValidationInfo) -> dict[str, Any]:
        if not isinstance(value, dict):
            if not is_lenient(info):
                raise wrong("Write fields with values here.")
            return {}
        return {name: entry for name, entry in value.items() if entry is not None or name in cls.nulls}

    def given(self, name: str) -> bool:
        """Whether the manifest has the field, be it ``null`` where that says something."""
        return name in self.model_fields_set


def as_string(value: Any) -> str:
    """Return a value that is a string; raise for any other, and for one whose variable is missing."""
    if isinstance(value, Unset):
        raise wrong(f"the environment variable {value.variable} is not set.")
    if isinstance(value, Broken):
        raise PydanticCustomError(SETTLED, "noted already")
    if not isinstance(value, str):
        raise wrong("Write a string here; put it in quotes if it looks like a number.")
    return value


def _required(value: Any, info: ValidationInfo) -> str:
    if is_lenient(info):
        return value if isinstance(value, str) else ""
    if value is None:
        raise wrong("is missing.")
    text = as_string(value)
    if not text.strip():
        raise wrong("is empty.")
    return text


def one_of(known: Iterable[str]) -> AfterValidator:
    """Return a check that a string is one of ``known``."""
    known = tuple(known)

    def check(word: str) -> str:
        if word and word not in known:
            near = difflib.get_close_matches(word, known, n=1)
            fix = f"Did you mean {near[0]!r}?" if near else f"Valid values: {', '.join(known)}."
            raise wrong(f"{word!r} is not known. {fix}")
        return word

    return AfterValidator(check)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise wrong("Write true or false.")
    return value


def _number(value: Any) -> Decimal:
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        value = Decimal(value.strip())  # variables are strings
    if isinstance(value, Unset):
        as_string(value)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise wrong("Write a number.")
    return Decimal(value)


def _required_number(value: Any, info: ValidationInfo) -> Decimal:
    if is_lenient(info) and value is None:
        return Decimal(0)
    if value is None:
        raise wrong("is missing.")
    return _number(value)


def whole(number: Decimal) -> int:
    """Return a number as a whole one of zero or more."""
    if number != int(number) or not 0 <= number <= LARGEST_WHOLE:
        raise wrong("Write a whole number of zero or more.")
    return int(number)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if value else None
    except ValueError:
        raise wrong(f"{value!r} is not a valid day. Write 2027-01-31.") from None


def _secret(value: Any) -> Secret:
    if isinstance(value, Unset):
        return Secret(None, value.variable)
    if isinstance(value, Broken):
        raise PydanticCustomError(SETTLED, "noted already")
    if not isinstance(value, str):
        raise wrong("Write ${NAME} with the name of an environment variable that holds it.")
    if SECRET_STORE in value:
        fix = "Put the secret into an environment variable and write ${NAME}."
        raise wrong(f"secrets of {SECRET_STORE} can't be read here. {fix}")
    if not value.strip():
        fix = "Give it a value, or unset it to keep what is stored."
        raise wrong(f"is empty, or names an environment variable that is set but empty. {fix}")
    if not (value.isascii() and value.strip().isprintable()):
        raise wrong("holds characters that no HTTP header can carry: only printable ASCII works.")
    return Secret(value.strip())


def _subject(value: str) -> str:
    kind, colon, name = value.partition(":")
    if value == RESERVED_TEAM:
        return EVERYONE
    if not colon or kind not in SUBJECT_KINDS or not name:
        if value:
            fix = "Write user:EMAIL, team:NAME, team:everyone or virtualaccount:NAME."
            raise wrong(f"{value!r} is not a valid subject. {fix}")
        return ""
    return f"{SUBJECT_KINDS[kind]}:{name.strip().lower() if kind == 'user' else name}"


def _list(value: Any) -> list[Any]:
    if value is not None and not isinstance(value, list):
        raise wrong("Write a list here.")
    return value or []


def names_with(what: str) -> BeforeValidator:
    """Return a check that a value is a mapping of ``what``."""

    def check(value: Any) -> Any:
        if not isinstance(value, dict):
            raise wrong(f"Write {what} as names with strings.")
        return value

    return BeforeValidator(check)


String = Annotated[str, BeforeValidator(as_string)]
Entry = Annotated[str, BeforeValidator(_required)]
"""A string that may not be empty, as an entry of a list; as a field it is :data:`Required`."""
IS_REQUIRED = Field(default=None, validate_default=True)
Required = Annotated[Entry, IS_REQUIRED]
Email = Annotated[Entry, AfterValidator(lambda email: email.strip().lower())]
Subject = Annotated[Entry, AfterValidator(_subject)]
Flag = Annotated[bool, BeforeValidator(_flag)]
Number = Annotated[Decimal, BeforeValidator(_number)]
RequiredNumber = Annotated[Decimal, BeforeValidator(_required_number), IS_REQUIRED]
Whole = Annotated[int, BeforeValidator(lambda value: whole(_number(value)))]
Day = Annotated[Any, BeforeValidator(lambda value: None if value is None else _day(as_string(value)))]
SecretString = Annotated[Secret, BeforeValidator(_secret)]
AS_LIST = BeforeValidator(_list)
