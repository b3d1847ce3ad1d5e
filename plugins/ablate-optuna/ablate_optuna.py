"""Optuna's samplers as a tuner of ablate.

For every trial a study is built in memory from the trials before it, and asked once, by a sampler whose seed is made of counters.
So what is chosen depends on these trials alone, and an interrupted search takes the same decisions again.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from typing import Any, Literal

import optuna as library
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState, create_trial

from ablate.plan.space import contains
from ablate.plugin import Choice, NonNegativeInt, PositiveInt, Range, Setting, Space, Trial, Tuner


def optuna(
    space: Space,
    /,
    *,
    sampler: Literal["tpe", "gp"] = "tpe",
    startup: PositiveInt = 10,
    at_once: PositiveInt = 1,
    seed: NonNegativeInt = 0,
) -> Tuner:
    """Optuna (Akiba et al., 2019, arXiv 1907.10902): settings that the trials so far make likely to be good.

    Args:
        sampler: `tpe`, the tree-structured Parzen estimator over all settings together (Bergstra et al., 2011; Watanabe, 2023,
            arXiv 2304.11127), or `gp`, Bayesian optimization with a Gaussian process, for few trials of few numbers.
        startup: Trials with a value before it learns from them; until then it draws at random.
        at_once: Trials that may run at the same time, without knowing of each other's values.
        seed: Which draws.
    """
    distributions = {path: _distribution(domain) for path, domain in space.items()}

    def suggest(trials: Sequence[Trial], /) -> Setting | None:
        if sum(trial.value is None for trial in trials) >= at_once:
            return None
        with _alone():
            study = library.create_study(sampler=_sampler(sampler, startup, _derived(seed, len(trials))), direction="maximize")
            for trial in trials:
                if contains(space, trial.setting):  # what a spec says may lie outside
                    study.add_trial(_frozen(space, distributions, trial))
            found = study.ask(distributions).params
        return {path: _value(domain, found[path]) for path, domain in space.items()}

    return suggest


def _sampler(name: str, startup: int, seed: int) -> BaseSampler:
    if name == "gp":
        return GPSampler(seed=seed, n_startup_trials=startup, deterministic_objective=False)
    return TPESampler(seed=seed, n_startup_trials=startup, multivariate=True, constant_liar=True)


def _derived(seed: int, trial: int) -> int:
    """A seed of 32 bits from counters."""
    return int.from_bytes(sha256(f"{seed}/{trial}".encode()).digest()[:4], "big")


def _distribution(domain: Range | Choice) -> BaseDistribution:
    """Choices by their number, because Optuna takes no lists and objects."""
    if isinstance(domain, Choice):
        return CategoricalDistribution(range(len(domain.values)))
    if domain.whole:
        step = int(domain.step or 1)
        return IntDistribution(int(domain.low), _last(domain, step), domain.log, step)
    if domain.step is not None:
        return FloatDistribution(domain.low, _last(domain, domain.step), step=domain.step)
    return FloatDistribution(domain.low, domain.high, domain.log)


def _last(domain: Range, step: float) -> Any:
    """The largest value that steps lead to."""
    return domain.low + step * math.floor((domain.high - domain.low) / step + 1e-9)


def _frozen(space: Space, distributions: dict[str, BaseDistribution], trial: Trial) -> FrozenTrial:
    params = {
        path: domain.values.index(trial.setting[path]) if isinstance(domain, Choice) else trial.setting[path]
        for path, domain in space.items()
    }
    if trial.value is None:
        return create_trial(state=TrialState.RUNNING, params=params, distributions=distributions)
    if math.isnan(trial.value):
        return create_trial(state=TrialState.FAIL, params=params, distributions=distributions)
    return create_trial(value=trial.value, params=params, distributions=distributions)


def _value(domain: Range | Choice, found: Any) -> Any:
    return domain.values[found] if isinstance(domain, Choice) else min(max(found, domain.low), domain.high)


@contextmanager
def _alone() -> Iterator[None]:
    """Without Optuna's line about every study that is made, and with sums that do not depend on the number of threads."""
    level, threads = library.logging.get_verbosity(), torch.get_num_threads()
    library.logging.set_verbosity(library.logging.ERROR)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        library.logging.set_verbosity(level)
        torch.set_num_threads(threads)
