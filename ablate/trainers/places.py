"""What a command line is made of: places in braces, which are filled for each cell."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence

from ablate.contracts import Json
from ablate.errors import Problem, did_you_mean
from ablate.spec.patch import flatten

WHOLE = ("args", "hydra")  # places that a whole item of `argv` is, and that become as many as there are settings
OWN = ("seed", "python", "here", "folder", "records", "config", "devices")
_PLACE = re.compile(r"\{\{|\}\}|\{(?P<name>[^{}]*)\}")


def names(text: str) -> list[str]:
    """The places of a text, without the doubled braces that stand for braces."""
    return [match["name"] for match in _PLACE.finditer(text) if match["name"] is not None]


def fill(text: str, values: Mapping[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        return match.group()[0] if match["name"] is None else values[match["name"]]

    return _PLACE.sub(one, text)


def problems(argv: Sequence[str], env: Mapping[str, str], settings: Mapping[str, Json]) -> Iterator[Problem]:
    """Places that nothing fills, and settings that no place hands on."""
    known = {*OWN, *flatten_settings(settings)}
    used: set[str] = set()
    for field, texts in (("argv", argv), ("env", env.values())):
        for text in texts:
            used.update(names(text))
            for name in names(text):
                if name in WHOLE and (field != "argv" or text != f"{{{name}}}"):
                    yield Problem(field, f"{text!r}: {{{name}}} is an item of argv by itself", f'Write "{{{name}}}" alone.')
                elif name not in WHOLE and name not in known:
                    hint = did_you_mean(name, known)
                    yield Problem(field, f"{text!r}: there is no setting {name!r}", f"{hint} A brace itself is written twice.")
    if "seed" not in used and "config" not in used:
        hint = 'Hand it on by "{seed}", such as ["--seed", "{seed}"], or in a file by "{config}".'
        yield Problem("argv", "no place hands the seed on, so all seeds would be one run", hint)
    if not used & {*WHOLE, "config"}:
        for name in sorted(flatten_settings(settings).keys() - used):
            hint = f'Add "{{args}}", "{{hydra}}" or "{{config}}", or a place "{{{name}}}".'
            yield Problem(f"settings.{name}", f"no place of argv hands {name!r} on", hint)
    if "args" in used:
        for name, value in flatten_settings(settings).items():
            if name not in used and ("." in name or isinstance(value, dict)):
                yield Problem(
                    f"settings.{name}", "an object has no form as an argument", f'Add a place "{{{name}}}", or use {{config}}.'
                )


def flatten_settings(settings: Mapping[str, Json]) -> dict[str, Json]:
    return flatten(settings) if settings else {}


def filled(settings: Mapping[str, Json], own: Mapping[str, str]) -> dict[str, str]:
    """What each place becomes: those of settings, and those in `OWN`."""
    return {**{name: written(value) for name, value in flatten_settings(settings).items()}, **own}


def items(argv: Sequence[str], settings: Mapping[str, Json], own: Mapping[str, str]) -> list[str]:
    """The items of a command line.

    Args:
        argv: With places.
        settings: Of the recipe.
        own: What the places in `OWN` become.
    """
    flat, values = flatten_settings(settings), filled(settings, own)
    rest = {name: value for name, value in flat.items() if name not in {place for text in argv for place in names(text)}}
    made: list[str] = []
    for text in argv:
        if text == "{args}":
            made += [item for name, value in rest.items() for item in _arguments(name, value)]
        elif text == "{hydra}":
            made += [f"{name}={_hydra(value)}" for name, value in rest.items()]
        else:
            made.append(fill(text, values))
    return made


def written(value: Json) -> str:
    """A value as a command line has it: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _arguments(name: str, value: Json) -> list[str]:
    """As `argparse` takes it: true is the option alone, false and null are none, a list is its items."""
    option = f"--{name}"
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    if isinstance(value, list):
        return [option, *map(written, value)]
    text = written(value)
    return [f"{option}={text}"] if text.startswith("-") else [option, text]  # a negative number is no option


def _hydra(value: Json) -> str:
    """In Hydra's grammar of overrides, in which text with other signs than these is quoted."""
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z0-9_./:-]+", value) and value.lower() not in ("null", "true", "false", "nan", "inf")
        return value if plain and not _is_number(value) else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    if isinstance(value, list):
        return "[" + ",".join(map(_hydra, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_hydra(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
