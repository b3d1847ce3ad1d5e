"""The study that would decide what imported runs leave open: their variants, with seeds that none of them had."""

import re
from collections.abc import Mapping, Sequence
from itertools import product

from ablate.contracts import Json
from ablate.errors import UsageError
from ablate.runner import power as planning
from ablate.spec.patch import replace, split
from ablate.stats.effects import effects
from ablate.study import Study

from .reading import Reading
from .runs import NOT_SET, Run

SUFFIX = "-decide"
PROGRAM = "{here}/train.py"


def deciding_spec(study: Study, reading: Reading, differences: Sequence[float]) -> Json:
    """A spec, with seeds that are added until every comparison is decided.

    It starts a program with the settings of the runs, nested where a name has dots: what they have in common, and what they are
    compared by as factors. Which program that is, nobody has said; `train.py` stands for it. For runs of ablate it is their spec.

    Args:
        study: What was made of the runs.
        reading: How they were read.
        differences: The smallest one decides how many seeds there may be; the range beside the verdicts does unless given.

    Raises:
        UsageError: Nobody can tell how many seeds would decide it.
    """
    if reading.spec is not None:
        return {**reading.spec, "name": _slug(study.name), "seeds": _seeds(study, differences)}
    names = list(reading.variants)
    runs = {names[cell.variant]: cell.run for cell in reversed(reading.cells)}
    constant = {name: runs[study.compare.reference].settings.get(name) for name in reading.roles.constant}
    reference = _settings(reading, study.compare.reference, runs)
    document: dict[str, Json] = {"name": _slug(study.name), "question": study.question or _question(study)}
    settings = _nested(constant | {name: _first(name, runs) if value is None else value for name, value in reference.items()})
    document["base"] = {
        "use": "command",
        "argv": ["{python}", PROGRAM, *_arguments(reading.source, settings)],
        "settings": settings,
        "metrics": {study.compare.metric: study.compare.goal},
    }
    if _complete(study) or _one_at_a_time(study):
        document["factors"] = {_label(factor.name): _levels(reading, factor.name, runs, study) for factor in study.factors}
        document["design"] = {"use": "factorial" if _complete(study) else "one_at_a_time"}
    else:
        others = [variant.name for variant in study.variants if variant.name != study.compare.reference]
        document["variants"] = {_label(name): _patch(reference, _settings(reading, name, runs)) for name in others}
    document["seeds"] = _seeds(study, differences)
    document["compare"] = _compare(study)
    return document


def _first(name: str, runs: Mapping[str, Run]) -> Json:
    """The value of the first variant that has the setting."""
    return next((run.settings[name] for run in runs.values() if run.settings.get(name) is not None), None)


def partial(reading: Reading) -> list[str]:
    """The settings that only some variants have: a level that has none keeps the value of another one in the spec."""
    roles = reading.roles
    names = [name for factor in roles.factors for name in (factor, *roles.goes_with.get(factor, ()))]
    return [name for name in names if NOT_SET in roles.values[name]]


def _arguments(source: str, settings: Mapping[str, Json]) -> list[str]:
    """How a program is given seed and settings: as Hydra takes them, as argparse does, or nested ones in a file."""
    if source == "hydra":
        return ["seed={seed}", "{hydra}"]
    nested = any(isinstance(value, Mapping) for value in settings.values())
    return ["--config", "{config}"] if nested else ["--seed", "{seed}", "{args}"]


def _slug(name: str) -> str:
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._") or "runs"
    return plain[: 100 - len(SUFFIX)] + SUFFIX


def _label(name: str) -> str:
    return re.sub(r"[\x00-\x1f\x7f=,]+", " ", name)[:100] or "(empty)"


def _question(study: Study) -> str:
    return f"What of {', '.join(factor.name for factor in study.factors[:5])} makes a difference to {study.compare.metric}?"


def _settings(reading: Reading, variant: str, runs: Mapping[str, Run]) -> dict[str, Json]:
    """The settings of a variant that others have another value of."""
    names = [name for factor in reading.roles.factors for name in (factor, *reading.roles.goes_with.get(factor, ()))]
    return {name: runs[variant].settings.get(name) for name in names}


def _nested(settings: Mapping[str, Json]) -> Json:
    """Settings by their dotted names as an object of objects."""
    document: Json = {}
    for name, value in settings.items():
        document = replace(document, _keys(name), value)
    return document


def _keys(name: str) -> list[str]:
    try:
        return split(name)
    except UsageError:
        return [name]


def _patch(before: Mapping[str, Json], after: Mapping[str, Json]) -> Json:
    """What leads from one to the other. What only the first has stays: a program is given all of its settings."""
    return {"settings": _nested({n: value for n, value in after.items() if value is not None and value != before.get(n)})}


def _levels(reading: Reading, factor: str, runs: Mapping[str, Run], study: Study) -> Json:
    """Each level's patch; the reference's is empty."""
    names = (factor, *reading.roles.goes_with.get(factor, ()))
    settings: dict[str, dict[str, Json]] = {}
    for variant, levels in reading.variants.items():
        settings.setdefault(levels[factor], {name: runs[variant].settings.get(name) for name in names})
    base = reading.variants[study.compare.reference][factor]
    return {_label(level): {} if level == base else _patch(settings[base], own) for level, own in settings.items()}


def _complete(study: Study) -> bool:
    """Whether there is a variant for every combination of levels."""
    every = set(product(*((factor.base, *factor.others) for factor in study.factors)))
    return {tuple(variant.levels.values()) for variant in study.variants} == every and len(study.factors) > 1


def _one_at_a_time(study: Study) -> bool:
    """Whether each variant differs from the reference in one factor, and each level is there."""
    base = {factor.name: factor.base for factor in study.factors}
    differing = [[name for name, level in variant.levels.items() if level != base[name]] for variant in study.variants]
    return all(len(names) < 2 for names in differing) and sum(map(len, differing)) == sum(len(f.others) for f in study.factors)


def _seeds(study: Study, differences: Sequence[float]) -> Json:
    """As many as may be needed, from the first on that no run had."""
    undecided = [effect for effect in effects(study) if effect.verdict == "undecided"]
    most = planning.most_seeds(study, undecided, differences)
    used = {int(seed) for seed in study.cells["seed"]}
    first = max(used) + 1 if 0 <= max(used) < 4_000_000_000 else 0
    return {"min": min(planning.LEAST, most), "max": most, "stop": "decided", "first": first}


def _compare(study: Study) -> Json:
    compare = study.compare
    document: dict[str, Json] = {"metric": compare.metric, "goal": compare.goal, "at": compare.at, "alpha": compare.alpha}
    if compare.margin is not None:
        document["margin"] = compare.margin
    return {**document, "paired": compare.paired, "correction": compare.correction}
