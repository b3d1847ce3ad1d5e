"""What each setting of the runs is: compared, the seed, constant, one that goes with another, or one that nobody declared."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase

from ablate.errors import UsageError, did_you_mean
from ablate.names import says_itself
from ablate.plain import shorten

from .naming import is_block, is_remark, is_seed
from .runs import NOT_SET, Run, Runs, label

MOST_SHOWN = 6
TIME = re.compile(r"\d{4}-\d\d-\d\d[T_ ]\d\d[:.-]?\d\d([:.-]?\d\d)?(\.\d+)?(Z|[+-]\d\d:?\d\d)?")


@dataclass(frozen=True)
class Roles:
    """The settings of runs by what they are.

    Attributes:
        values: Labels of every setting that counts as one, a label a run.
        factors: Those that are compared, and the blocks.
        seed: The one that has the seed; None where there is none.
        constant: Those that are the same in all runs.
        goes_with: Settings that follow from a factor, by that factor.
        of_seed: Those that vary with the seed alone.
        own: Those that have another value in every run.
        loose: Those that vary within variants, much alike in all.
        measured: Numbers of a table that were taken for measurements.
        ignored: Those that the user said to ignore.
        found: Whether the factors were found, and not named.
        blocks: The factors in whose every level the others are compared.
        of_block: Those that vary with the block alone.
        times: Those that tell when a run was.
        remarks: What is said of runs without a value, and of no others.
        by_name: Whether the blocks are those that are named like a dataset, and nobody named them.
    """

    values: Mapping[str, Sequence[str]]
    factors: tuple[str, ...]
    seed: str | None
    constant: tuple[str, ...] = ()
    goes_with: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    of_seed: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    loose: tuple[str, ...] = ()
    measured: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    found: bool = False
    blocks: tuple[str, ...] = ()
    of_block: tuple[str, ...] = ()
    times: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    by_name: bool = False

    def levels(self, run: int) -> dict[str, str]:
        return {name: self.values[name][run] for name in self.factors}

    def block(self, run: int) -> tuple[str, ...]:
        return tuple(self.values[name][run] for name in self.blocks)


def roles_of(
    runs: Runs, factors: Sequence[str], seed: str | None, metric: str, ignore: Sequence[str], blocks: Sequence[str] = ()
) -> Roles:
    """Finds out what each setting is.

    Args:
        runs: At least one.
        factors: What is to be compared; what differs unless given.
        seed: The setting that has the seed; the one that is named like it unless given.
        metric: Which is no setting, in a table either.
        ignore: Names of settings that are left out, with `*` for any part.
        blocks: Settings in whose every value the factors are compared.

    Raises:
        UsageError: A name is none of a setting, nothing differs, or nobody can tell what the seed is.
    """
    names = dict.fromkeys(name for run in runs.runs for name in run.settings)
    _check_names(names, {"--factor": factors, "--block": blocks, "--seed": [seed] if seed else []})
    if both := [name for name in blocks if name in (*factors, seed)]:
        raise UsageError(f"--block {both[0]}: it is {'the seed' if both[0] == seed else 'a factor'} already. Name it once.")
    values = {name: [_label(run, name) for run in runs.runs] for name in names}
    ignored = tuple(
        name for name in names if name not in (*factors, *blocks) and any(fnmatchcase(name, pattern) for pattern in ignore)
    )
    for pattern in ignore:
        if not any(fnmatchcase(name, pattern) for name in (*names, metric)):
            raise UsageError(f"--ignore {pattern}: there is no such setting. {did_you_mean(pattern, names)}")
    seed = seed or _seed_of(values, [n for n in names if n not in (*factors, *blocks, *ignored)])
    asked = {*factors, *blocks, seed}
    rest = [name for name in names if name not in asked and name not in ignored and name != metric]
    measured = tuple(name for name in rest if not runs.apart and _is_measured(runs, name, values[name]))
    constant = tuple(name for name in rest if name not in measured and len(set(values[name])) == 1)
    times = tuple(name for name in rest if name not in constant and _is_time(values[name]))
    remarks = tuple(name for name in rest if name not in constant and is_remark(name) and _is_excuse(runs, name, metric))
    rest = [name for name in rest if name not in (*measured, *constant, *times, *remarks)]
    known = Roles(values, tuple(factors), seed, constant, measured=measured, ignored=ignored, blocks=tuple(blocks))
    known = replace(known, times=times, remarks=remarks)
    if not factors and not blocks and runs.spec is None and (named := tuple(filter(is_block, rest))):
        known = replace(known, blocks=named, by_name=True)
        rest = [name for name in rest if name not in named]
    known = replace(known, of_block=_of_block(known, rest))
    rest = [name for name in rest if name not in known.of_block]
    return _declared(replace(known, factors=(*factors, *blocks)), rest) if factors else _found(known, rest)


def _is_time(labels: Sequence[str]) -> bool:
    """Whether all values are a date with a time of day, as trackers write when a run was."""
    found = set(labels) - {NOT_SET, "(empty)"}
    return bool(found) and all(map(TIME.fullmatch, found))


def _is_excuse(runs: Runs, name: str, metric: str) -> bool:
    """Whether a setting is there for some runs, and for none that has a value of the metric."""
    said = [run for run in runs.runs if run.settings.get(name) not in (None, "")]
    return bool(said) and not any(
        math.isfinite(value) for run in said if metric in run.metrics for value in run.metrics[metric].values
    )


def _of_block(roles: Roles, rest: Sequence[str]) -> tuple[str, ...]:
    """Settings that follow from the block, such as epochs for each dataset: there, variants do not differ in them."""
    if not roles.blocks:
        return ()
    places = [repr(roles.block(run)) for run in range(len(roles.values[roles.blocks[0]]))]
    return tuple(name for name in rest if _follows(roles.values[name], places))


def _label(run: Run, name: str) -> str:
    if name not in run.settings or run.settings[name] is None:
        return NOT_SET
    return label(run.settings[name]) or "(empty)"


def _check_names(names: Mapping[str, None], asked: Mapping[str, Sequence[str]]) -> None:
    wrong = [(option, name) for option, given in asked.items() for name in given if name not in names]
    if wrong:
        lines = (f"{option} {name}: the runs have no such setting. {did_you_mean(name, names)}" for option, name in wrong)
        raise UsageError("\n".join(lines))


def _seed_of(values: Mapping[str, Sequence[str]], names: Sequence[str]) -> str | None:
    """The setting that is named like a seed; of several, those that vary, and of these the one that is `seed`."""
    found = [name for name in names if is_seed(name)]
    varying = [name for name in found if len(set(values[name])) > 1] or found[:1]
    partitions = {_partition(values[name]) for name in varying}
    if len(partitions) > 1:
        plain = [name for name in varying if name.lower() == "seed"]
        if len(plain) == 1:
            return plain[0]
        raise UsageError(f"several settings may be the seed: {', '.join(varying)}. Name one with --seed.")
    return varying[0] if varying else None


def _partition(labels: Sequence[str]) -> tuple[int, ...]:
    """Which runs have the same value, whatever it is."""
    numbers: dict[str, int] = {}
    return tuple(numbers.setdefault(value, len(numbers)) for value in labels)


def _is_measured(runs: Runs, name: str, labels: Sequence[str]) -> bool:
    """Whether a column of a table is a measurement: numbers, of which some are in one run only."""
    if not all(
        isinstance(run.settings.get(name), (int, float, type(None))) and not isinstance(run.settings.get(name), bool)
        for run in runs.runs
    ):
        return False
    return any(name in run.metrics for run in runs.runs) and min(Counter(labels).values()) < 2 and len(labels) > 1


def _declared(roles: Roles, rest: Sequence[str]) -> Roles:
    """Undeclared settings beside declared factors; those that separate variants are refused."""
    count = len(next(iter(roles.values.values())))
    variants = defaultdict(list)
    for run in range(count):
        variants[tuple(roles.levels(run).values())].append(run)
    of_seed, own, loose, confounded = [], [], [], []
    repeated = any(len(runs) > 1 for runs in variants.values())
    for name in rest:
        labels = roles.values[name]
        within = any(len({labels[run] for run in runs}) > 1 for runs in variants.values())
        if repeated and len(set(labels)) == count:
            own.append(name)
        elif within and _follows(labels, roles.values.get(roles.seed or "")):
            of_seed.append(name)
        elif any(_separates(labels, own) for own in _by_block(roles, variants)):
            confounded.append(name)
        else:
            loose.append(name)
    if confounded:
        raise UsageError(_confounded(roles, confounded, variants))
    return replace(roles, of_seed=tuple(of_seed), own=tuple(own), loose=tuple(loose))


def _by_block(
    roles: Roles, variants: Mapping[tuple[str, ...], Sequence[int]]
) -> Iterable[Mapping[tuple[str, ...], Sequence[int]]]:
    """The runs of the variants, apart for each block."""
    found: defaultdict[tuple[str, ...], dict[tuple[str, ...], Sequence[int]]] = defaultdict(dict)
    for levels, runs in variants.items():
        found[roles.block(runs[0])][levels] = runs
    return found.values()


def _follows(labels: Sequence[str], others: Sequence[str] | None) -> bool:
    """Whether a value follows from that of another setting, which some runs share."""
    if others is None or len(set(others)) == len(others):
        return False
    return len(set(zip(others, labels, strict=True))) == len(set(others))


def _separates(labels: Sequence[str], variants: Mapping[tuple[str, ...], Sequence[int]]) -> bool:
    """Whether two variants have no value of a setting in common."""
    sets = list({frozenset(labels[run] for run in runs): None for runs in variants.values()})
    return any(not one & other for one in sets for other in sets[:200])


def _confounded(roles: Roles, names: Sequence[str], variants: Mapping[tuple[str, ...], Sequence[int]]) -> str:
    lines = []
    for name in names[:MOST_SHOWN]:
        by_value: defaultdict[str, dict[str, None]] = defaultdict(dict)
        for key, runs in variants.items():
            for run in runs:
                by_value[roles.values[name][run]].setdefault("/".join(key))
        parts = [f"{shorten(value, 40)} in {shorten(_few(list(found)), 80)}" for value, found in list(by_value.items())[:3]]
        lines.append(f"  {name}: {'; '.join(parts)}{' …' if len(by_value) > 3 else ''}")
    if len(names) > MOST_SHOWN:
        lines.append(f"  and {len(names) - MOST_SHOWN} more: {_few(names[MOST_SHOWN:], 12)}")
    flags = " ".join(f"--ignore {name}" for name in names) if len(names) <= 12 else "--ignore NAME, which may have a *"
    return "\n".join(
        [
            "variants differ in what is not declared, so nobody can tell what makes the difference:",
            *lines,
            f"Compare it, with --factor NAME. Or where it belongs to a level, or does not matter: {flags}",
        ]
    )


def _few(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _found(roles: Roles, rest: Sequence[str]) -> Roles:
    """Factors are what differs; a setting that follows from another one goes with it."""
    count = len(next(iter(roles.values.values()), []))
    seeds = roles.values.get(roles.seed or "")
    own = [name for name in rest if len(set(roles.values[name])) == count]
    rest = [name for name in rest if name not in own]
    of_seed = [name for name in rest if _follows(roles.values[name], seeds)]
    rest = [name for name in rest if name not in of_seed]
    if not rest:
        said = f" {_few(own)} has another value in every run." if own else ""
        but = [name for name in (*roles.blocks, roles.seed) if name]
        aside = f" but {' and '.join(but)}" if but else ""
        raise UsageError(
            f"nothing differs between the runs that could be compared{aside}.{said} Name what to compare with --factor."
        )
    goes_with: defaultdict[str, list[str]] = defaultdict(list)
    leaders: list[str] = []
    for name in sorted(
        rest, key=lambda name: (-len(set(roles.values[name])), not _is_word(roles.values[name]), rest.index(name))
    ):
        leader = next((other for other in leaders if _follows(roles.values[name], roles.values[other])), None)
        leaders.append(name) if leader is None else goes_with[leader].append(name)
    factors = tuple(name for name in rest if name in leaders)
    grouped = {name: tuple(found) for name, found in goes_with.items()}
    return replace(
        roles, factors=(*factors, *roles.blocks), goes_with=grouped, of_seed=tuple(of_seed), own=tuple(own), found=True
    )


def _is_word(labels: Sequence[str]) -> bool:
    """Whether the values are names, and not numbers: of settings that go together, a name says more."""
    return any(says_itself(value) for value in labels)


def told(roles: Roles) -> list[str]:
    """How the settings were read, a line each."""
    compared = [name for name in roles.factors if name not in roles.blocks]
    said = [f"Compared: {_few(compared, MOST_SHOWN)}{', which differs between the runs' if roles.found else ''}"]
    if roles.blocks:
        count = len({roles.block(run) for run in range(len(roles.values[roles.blocks[0]]))})
        named = ", by its name, where neither --factor nor --block is given" if roles.by_name else ""
        said.append(f"Blocks: {' × '.join(roles.blocks)}, {count} of them{named}; variants are compared in each")
    said += [
        f"Goes with {name}, so that a difference is of all of them together: {_few(names, MOST_SHOWN)}"
        for name, names in roles.goes_with.items()
    ]
    for what, names in (
        ("Varies with the block alone", roles.of_block),
        ("Varies with the seed alone", roles.of_seed),
        ("Another value in every run, which counts as noise", roles.own),
        ("Varies within variants, which counts as noise", roles.loose),
        ("Taken for measurements, because not every value is in two runs", roles.measured),
        ("Tells when a run was, and is no setting", roles.times),
        ("Said only of runs without a value", roles.remarks),
        ("Ignored, as asked", roles.ignored),
        ("The same in all runs", roles.constant),
    ):
        if names:
            said.append(f"{what}: {_few(names, MOST_SHOWN)}")
    return said
