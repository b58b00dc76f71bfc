"""A call as rules see it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from rules import shape


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as rules see it.

    ``models`` are the names that it goes by: the one it asked for, the one that answers, which is ``model``, that one's
    former names, and the virtual models that led from one to the other; ``accounts`` likewise. ``variant_of`` are
    models that rules name, of which ``model`` may be a variant that no one listed: rules that name one of them count
    the call, and none leaves it out for that.
    """

    subjects: frozenset[str]
    user: str = ""
    virtualaccount: str = ""
    teams: tuple[str, ...] = ()
    token: str = ""
    models: tuple[str, ...] = ()
    model: str = ""
    variant_of: tuple[str, ...] = ()
    account: str = ""
    accounts: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)


def asked_by(
    subject_type: str,
    subject_name: str,
    teams: Iterable[str],
    *,
    token: str,
    models: tuple[str, ...],
    accounts: tuple[str, ...],
    metadata: Mapping[str, str],
    variant_of: tuple[str, ...] = (),
) -> Asked:
    """Return what rules see of a call; of a live one, or of the record that it left.

    ``models`` and ``accounts`` are the name of each and then whatever else it goes by, as its former names that are
    kept as aliases: a rule that names one of them goes on to hold.
    """
    teams = tuple(teams)
    user = subject_name if subject_type == "user" else ""
    subjects = {f"{subject_type}:{subject_name}", *(f"team:{team}" for team in teams)}
    if user:
        subjects.add(shape.EVERYONE)
    return Asked(
        subjects=frozenset(subjects),
        user=user,
        virtualaccount="" if user else subject_name,
        teams=teams,
        token=token,
        models=models,
        model=models[0],
        variant_of=variant_of,
        account=accounts[0],
        accounts=accounts,
        metadata=metadata,
    )


def values_of(dimension: str, asked: Asked) -> tuple[str, ...]:
    """Return the values of a call by which a rule may count calls apart: several of teams, none where it has none."""
    match dimension:
        case "user":
            return (asked.user,) if asked.user else ()
        case "virtualaccount":
            return (asked.virtualaccount,) if asked.virtualaccount else ()
        case "team":
            return asked.teams
        case "token":
            return (asked.token,)
        case "model":
            return (asked.model,)
        case "account":
            return (asked.account,)
        case _:
            return (asked.metadata.get(dimension.removeprefix(shape.METADATA), ""),)
