"""The names that a study has: of variants, levels, metrics. Some characters no spec lets into them."""

from collections.abc import Iterable, Iterator, Mapping

from ablate.plain import encodable

from .contracts import Json


def checked(names: Iterable[str]) -> None:
    """Refuses what tables would take for another name (pandas cuts labels off at NUL) and files cannot have.

    Raises:
        ValueError: With the first such name.
    """
    for name in dict.fromkeys(names):
        if "\0" in name or not encodable(name):
            raise ValueError(f"the name {name!r} has NUL or half of a surrogate pair in it, which no spec can give")


def of_plan(plan: Mapping[str, Json]) -> Iterator[str]:
    """Every name in what a store has of a plan."""
    yield from (plan["compare"]["metric"], plan["compare"]["reference"], *plan["metrics"])
    for variant in plan["variants"]:
        yield from (variant["name"], *variant["levels"], *variant["levels"].values())
    for factor in plan.get("factors", ()):
        yield from (factor["name"], factor["base"], *factor["others"])
    for metric, numbers in plan["published"].items():
        yield from (metric, *(numbers if isinstance(numbers, dict) else ()))
    for cell in plan.get("inputs", ()):
        yield from (cell["study"], cell["variant"])
    for told in (plan.get("tuning") or {}).get("variants", ()):
        yield from (told["variant"], told["untuned"], *(trial["name"] for trial in told["trials"]))


def levels_as_name(levels: Mapping[str, str]) -> str:
    """`a=x,b=y`, as variants of factors are called."""
    return ",".join(f"{factor}={level}" for factor, level in levels.items())


def levels_of_name(name: str) -> dict[str, str]:
    """The factors and levels of `a=x,b=y`; a name of another form has a factor that no study has."""
    return {part.partition("=")[0]: part.partition("=")[2] for part in name.split(",")}


def says_itself(level: str) -> bool:
    """Whether a level says by itself what it is, as `adam` does, and 0.1 or true do not."""
    return level[:1].isalpha() and level.lower() not in ("true", "false", "null", "none", "nan", "inf", "yes", "no", "on", "off")
