"""What a study can show, before it is run, or before more seeds are added."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from . import places
from .errors import UsageError
from .plan import Plan, make_plan
from .registry import default
from .spec import load
from .stats.power import Detectable, Needed, Noise, detectable_differences, noise, seeds_needed
from .store import Store
from .study import Study

SEEDS = (2, 3, 5, 10, 20, 50)
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
    if any(difference == 0 for difference in differences):
        raise UsageError("--difference 0: no number of seeds finds a difference of 0.")
    is_spec = study.endswith(".json") or Path(study).is_file()
    subject = make_plan(load(study, overrides), default()) if is_spec else _stored(study, store)
    if sd is not None:
        known = Noise(sd, sd, sd, 0, float("nan"))
    else:
        known = _noise(_stored(subject.spec.name, store) if isinstance(subject, Plan) else subject)
    compare, comparisons = subject.compare, max(1, len(subject.variants) - 1)
    wanted = list(differences) or [*([compare.margin] if compare.margin else []), *(known.sd * m for m in MULTIPLES)]
    arguments = (compare.alpha, comparisons, compare.paired, probability)
    return Power(
        known,
        probability,
        comparisons,
        detectable_differences(known, list(seeds) or SEEDS, *arguments),
        seeds_needed(known, wanted, *arguments) if known.sd > 0 else (),
    )


def _stored(name: str, store: Path | str | None) -> Study:
    with Store(places.store_dir(store), create=False) as opened:
        return opened.study(name)


def _noise(pilot: Study) -> Noise:
    try:
        return noise(pilot)
    except ValueError as error:
        raise UsageError(f"{error}. Run some of it as a pilot, or give --sd.") from None
