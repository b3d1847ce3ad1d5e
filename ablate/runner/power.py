"""What a study can show, before it is run, or before more seeds are added."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ablate import places
from ablate.errors import UsageError
from ablate.plan import Plan, judged, make_plan
from ablate.registry import default
from ablate.spec import is_file, load
from ablate.stats.effects import effects
from ablate.stats.power import LIKELY, Detectable, Needed, Noise, detectable_differences, noise, seeds_needed, seeds_to_decide
from ablate.stats.records import Effect
from ablate.store import Store
from ablate.study import Compare, Study

SEEDS = (2, 3, 5, 10, 20, 50)
LEAST = 3  # seeds before the first look of a follow-up
MOST_SEEDS = 1000  # that a spec may ask for
LOOKS = 1.15  # times as many seeds as a fixed number needs, for the same power: tests.simulations.advice
SUFFIX = "-follow-up"
MULTIPLES = (0.5, 1.0, 2.0, 4.0)  # of the noise


@dataclass(frozen=True)
class Power:
    """The power of a study.

    Attributes:
        noise: How much results differ between seeds.
        power: The probability of finding what is there.
        comparisons: Variants but the reference; the error rate is shared out to them.
        detectable: What each number of seeds shows.
        needed: What each difference needs.
    """

    noise: Noise
    power: float
    comparisons: int
    detectable: tuple[Detectable, ...]
    needed: tuple[Needed, ...]


def power(
    study: str,
    overrides: Sequence[str],
    store: Path | str | None,
    sd: float | None,
    seeds: Sequence[int],
    differences: Sequence[float],
    probability: float,
) -> Power:
    """The power of a spec or of a stored study.

    Args:
        study: Path of a spec, or name of a study of the store.
        overrides: `PATH=JSON` each, for a spec.
        store: Directory of the run store.
        sd: Standard deviation between seeds; unless given, that of the stored study.
        seeds: Numbers of seeds a variant; some usual ones unless given.
        differences: In units of the metric; the margin and multiples of the noise unless given.
        probability: Of finding what is there.

    Raises:
        UsageError: There is no such study, or nothing is known of its noise.
    """
    if sd is not None and not sd > 0:
        raise UsageError(f"--sd {sd:g}: a standard deviation is above 0.")
    is_spec = is_file(study)
    subject = make_plan(load(study, overrides, partial(judged, default())), default()) if is_spec else _stored(study, store)
    _refuse_blocks(subject.compare)
    if sd is not None:
        known = Noise(sd, sd, sd, 0, float("nan"))
    else:
        known = _noise(_stored(subject.spec.name, store) if isinstance(subject, Plan) else subject)
    return _power(known, subject.compare, len(subject.variants) - 1, seeds, differences, probability)


def power_of(study: Study) -> Power:
    """What more seeds would show, by the noise of a study: some usual numbers of them, and some differences.

    Raises:
        UsageError: Nothing is known of its noise, or it compares over blocks.
    """
    _refuse_blocks(study.compare)
    return _power(_noise(study), study.compare, len(study.variants) - 1, (), (), LIKELY)


def _power(
    known: Noise, compare: Compare, others: int, seeds: Sequence[int], differences: Sequence[float], probability: float
) -> Power:
    if any(difference == 0 for difference in differences):
        raise UsageError("--difference 0: no number of seeds finds a difference of 0.")
    comparisons = max(1, others)
    wanted = list(differences) or [*([compare.margin] if compare.margin else []), *(known.sd * m for m in MULTIPLES)]
    arguments = (compare.alpha, comparisons, compare.paired, probability)
    return Power(
        known,
        probability,
        comparisons,
        detectable_differences(known, list(seeds) or SEEDS, *arguments),
        seeds_needed(known, wanted, *arguments) if known.sd > 0 else (),
    )


@dataclass(frozen=True)
class FollowUp:
    """A study that asks anew what another one left undecided.

    Attributes:
        document: Its spec.
        undecided: The variants that were.
    """

    document: dict[str, Any]
    undecided: tuple[str, ...]


def follow_up(
    study: str, overrides: Sequence[str], store: Path | str | None, differences: Sequence[float], probability: float
) -> FollowUp:
    """A spec with the same recipes and seeds that the stored study does not have, added until every comparison is decided.

    Seeds that were seen to leave a study undecided cannot be used again: who adds to them until something is found errs more
    often than the study says. So the follow-up is a study of its own, with an error rate of its own.

    Args:
        study: Path of a spec, or name of a study; the store has its results.
        overrides: `PATH=JSON` each, for a spec.
        store: Directory of the run store.
        differences: The smallest one decides how many seeds there may be; unless given, the range beside the verdicts does.
        probability: Of finding it.

    Raises:
        UsageError: Nothing is undecided, or nobody can tell how many seeds would decide it.
    """
    is_spec = is_file(study)
    with Store(places.store_dir(store), create=False) as opened:
        name = load(study, overrides).name if is_spec else study
        pilot = opened.study(name)
        _refuse_blocks(pilot.compare)
        document = load(study, overrides).document if is_spec else opened.spec(name)
    undecided = [effect for effect in effects(pilot) if effect.verdict == "undecided"]
    if not undecided:
        raise UsageError(f"study {name!r}: every comparison is decided, so there is nothing to follow up.")
    most = most_seeds(pilot, undecided, differences, probability)
    first = max(int(seed) for seed in pilot.cells["seed"]) + 1
    seeds = {"min": min(LEAST, most), "max": most, "stop": "decided", "first": first}
    names = tuple(effect.variant for effect in undecided)
    return FollowUp({**document, "name": f"{name[: 100 - len(SUFFIX)]}{SUFFIX}", "seeds": seeds}, names)


def most_seeds(pilot: Study, undecided: Sequence[Effect], differences: Sequence[float], probability: float = LIKELY) -> int:
    """Seeds after which a study ends that asks anew. Where nothing is undecided, the smallest difference that was seen decides.

    Raises:
        UsageError: Nobody can tell, or they are more than a spec may ask for.
    """
    if not undecided and not differences:
        differences = [effect.difference for effect in effects(pilot) if math.isfinite(effect.difference) and effect.difference]
    most = min(MOST_SEEDS + 1, _most(pilot, undecided, differences, probability))
    if most > MOST_SEEDS:
        raise UsageError(
            f"study {pilot.name!r}: it would take more than {MOST_SEEDS:,} seeds a variant. Give a larger --difference, "
            "the smallest that would matter."
        )
    return most


def _most(pilot: Study, undecided: Sequence[Effect], differences: Sequence[float], probability: float) -> int:
    """Seeds after which the follow-up ends; the looks of its rule cost some."""
    compare = pilot.compare
    if differences:
        smallest, comparisons = min(map(abs, differences)), max(1, len(pilot.variants) - 1)
        alpha = compare.alpha / comparisons
        needed = float(seeds_to_decide(smallest, _noise(pilot).high, alpha, None, compare.paired, probability))
    else:
        margin = "the spec a `compare.margin`" if pilot.imported is None else "a --margin"
        ends = [effect.seeds_most for effect in undecided]
        if None in ends:
            raise UsageError(
                f"study {pilot.name!r}: nobody can tell how many seeds decide it, because there may be no difference. Give "
                f"--difference, the smallest that would matter. Or give {margin}, to find that out."
            )
        needed = float(max(end for end in ends if end is not None))
    return max(LEAST, math.ceil(LOOKS * needed)) if math.isfinite(needed) else MOST_SEEDS + 1


def _refuse_blocks(compare: Compare) -> None:
    if compare.blocks:
        raise UsageError(
            f"the verdicts of this study are over blocks ({', '.join(compare.blocks)}), so that more seeds decide little: it "
            "takes more blocks, of which nobody can say here how they would differ."
        )


def _stored(name: str, store: Path | str | None) -> Study:
    with Store(places.store_dir(store), create=False) as opened:
        return opened.study(name)


def _noise(pilot: Study) -> Noise:
    try:
        return noise(pilot)
    except ValueError as error:
        raise UsageError(f"{error}. Run some of it as a pilot, or give --sd.") from None
