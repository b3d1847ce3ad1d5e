"""Simulated studies with known answers, and how often the intervals of shares and effects contain these."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ablate.components import designs
from ablate.contracts import Assignment, Factor
from ablate.results import Results
from ablate.stats.attribution import attribution
from ablate.stats.factorial import factorial
from ablate.stats.lenth import PseudoError, pseudo_standard_error
from ablate.study import Compare, VariantInfo

Game = Mapping[tuple[str, ...], float]  # what several factors bring together, beyond what fewer of them do


def factors_of(*levels: int) -> list[Factor]:
    """Factors a, b, c … with so many levels each: a0, a1 …"""
    names = "abcdefghijklmnopqrstuvwxyz"[: len(levels)]
    return [
        Factor(name, f"{name}0", tuple(f"{name}{i}" for i in range(1, size))) for name, size in zip(names, levels, strict=True)
    ]


def study_of(
    factors: Sequence[Factor],
    assignments: Iterable[Assignment],
    value: Callable[[Assignment, int], float],
    seeds: int = 1,
    design: dict[str, Any] | None = None,
    **compare: Any,
) -> Results:
    """A finished study with these values; a cell without a finite one failed."""
    variants = tuple(VariantInfo(",".join(levels.values()), levels, ()) for levels in assignments)
    rows = [(variant.name, seed, value(variant.levels, seed)) for seed in range(seeds) for variant in variants]
    cells = pd.DataFrame(rows, columns=["variant", "seed", "accuracy"])
    cells["status"] = np.where(np.isfinite(cells["accuracy"]), "done", "failed")
    settings = Compare("accuracy", "last", variants[0].name, **compare)
    return Results("simulated", "", settings, variants, cells, pd.DataFrame(), factors=tuple(factors), design=design)


def game_of(factors: Sequence[Factor], rng: np.random.Generator, most: int = 3) -> Game:
    """Something that every one, two … `most` factors bring together."""
    names = [factor.name for factor in factors]
    return {some: rng.normal() / size for size in range(1, most + 1) for some in combinations(names, size)}


def mean(game: Game, levels: Assignment) -> float:
    """The mean of a combination of two-level factors."""
    return sum(brings for some, brings in game.items() if all(levels[name].endswith("1") for name in some))


def shapley(game: Game, factor: str) -> float:
    """The share of a factor: what factors bring together, divided equally among them (Harsanyi, 1963)."""
    return sum(brings / len(some) for some, brings in game.items() if factor in some)


def noisy(
    game: Game, rng: np.random.Generator, sd: Callable[[Assignment], float], seed_sd: float = 0.0
) -> Callable[[Assignment, int], float]:
    """Means of a game with normal noise; `seed_sd` is of what a seed gives to all variants."""
    seeds = rng.normal(scale=seed_sd, size=100)
    return lambda levels, seed: mean(game, levels) + seeds[seed] + rng.normal(scale=sd(levels))


def even(levels: Assignment) -> float:
    return 1.0


def uneven(levels: Assignment) -> float:
    return 4.0 if levels["a"] == "a1" else 1.0


def coverage(studies: int) -> dict[str, float]:
    """For each kind of study, the part of the 95 % intervals that contain the truth, over so many studies with normal noise.

    The standard deviation of the noise is 1, that of what a factor brings by itself too; interactions of two and of three factors
    have a half and a third of that.
    """
    return {
        "shares, all of 2³, 3 seeds": of_shares(studies, 3, seeds=3),
        "shares, all of 2³, 5 seeds": of_shares(studies, 3, seeds=5),
        "shares, all of 2³, noise of 1 and 4, 5 seeds": of_shares(studies, 3, seeds=5, sd=uneven),
        "shares, all of 2³, 3 seeds that pair": of_shares(studies, 3, seeds=3, seed_sd=1.0),
        "shares, 10 of 120 orders, 3 seeds": of_shares(studies, 5, seeds=3, orders=10),
        "shares, 10 of 120 orders, 3 seeds that pair": of_shares(studies, 5, seeds=3, orders=10, seed_sd=1.0),
        "effects, all of 2³ without a three-way interaction, 3 seeds": of_effects(studies, designs.factorial, 3, most=2, seeds=3),
        "effects, all of 2³ with one, 3 seeds": of_effects(studies, designs.factorial, 3, most=3, seeds=3),
        "effects, all of 2³ with one, 3 seeds that pair": of_effects(studies, designs.factorial, 3, most=3, seeds=3, seed_sd=1.0),
        "effects, 2⁵⁻² without interactions, 2 seeds": of_effects(studies, _fraction, 5, most=1, seeds=2),
    }


def of_shares(
    studies: int,
    size: int,
    seeds: int,
    orders: int | None = None,
    sd: Callable[[Assignment], float] = even,
    seed_sd: float = 0.0,
) -> float:
    """Coverage of Shapley values by the intervals of shares, from all combinations or from random orders."""
    factors = factors_of(*[2] * size)
    inside = []
    for number in range(studies):
        rng = np.random.default_rng([size, seeds, number])
        game = game_of(factors, rng)
        drawn = {} if orders is None else {"orders": orders, "seed": number}
        assignments = designs.cumulative(factors, **drawn) if drawn else designs.factorial(factors)
        value = noisy(game, rng, sd, seed_sd)
        found = attribution(study_of(factors, assignments, value, seeds, {"base": "plain", **drawn}, paired=seed_sd > 0))
        assert found
        inside += [share.low <= shapley(game, share.factor) <= share.high for share in found.shares]
    return float(np.mean(inside))


def of_effects(
    studies: int,
    design: Callable[[Sequence[Factor]], list[Assignment]],
    size: int,
    most: int,
    seeds: int,
    seed_sd: float = 0.0,
) -> float:
    """Coverage of the effects that a design can estimate by the intervals of its terms."""
    factors = factors_of(*[2] * size)
    inside = []
    for number in range(studies):
        rng = np.random.default_rng([size, seeds, number])
        game = game_of(factors, rng, most)
        value = noisy(game, rng, even, seed_sd)
        found = factorial(study_of(factors, design(factors), value, seeds, paired=seed_sd > 0))
        assert found
        inside += [term.low <= effect(game, term.name) <= term.high for term in found.terms]
    return float(np.mean(inside))


def widened(studies: int, three_way: float) -> tuple[float, float]:
    """What a three-way interaction does to the intervals of effects of a 2³ with 3 seeds, whose noise has standard deviation 1.

    Args:
        studies: How many.
        three_way: What all three factors bring together beyond their effects.

    Returns:
        How much wider they would be, were what the terms leave taken for noise; and how often the lack of fit is significant.
    """
    factors = factors_of(2, 2, 2)
    ratios, found = [], 0
    for number in range(studies):
        value = noisy({("a", "b", "c"): three_way}, np.random.default_rng([3, number]), even)
        study = study_of(factors, designs.factorial(factors), value, 3)
        lack, noise = factorial(study).anova[-2:]
        pure = np.sqrt(noise.sum_squares / noise.df) * stats.t.isf(0.025, noise.df)
        sd = np.sqrt((lack.sum_squares + noise.sum_squares) / (lack.df + noise.df))
        ratios.append(sd * stats.t.isf(0.025, lack.df + noise.df) / pure)
        found += lack.p < 0.05
    return float(np.mean(ratios)) - 1, found / studies


def of_contrasts(designs: int, contrasts: int, large: int, rest: float = 0.0, size: float = 10.0) -> dict[str, float]:
    """The 95 % intervals of designs with one value a variant, by Lenth's method; the noise of a contrast has sd 1.

    Args:
        designs: How many.
        contrasts: Of each design.
        large: How many of them are of effects of `size`.
        rest: Standard deviation of the other effects; 0 where effects are sparse.
        size: Of the large effects.

    Returns:
        `large`, `others` and `sum`: the part of the intervals that contain the truth, of large effects, of others, and of the sum
        of one half of all, which has the large ones in it. `longer`: how long they are, in lengths of those of a known noise.
        `false`: how often Holm's steps find an effect where there is none.
    """
    rng = np.random.default_rng([contrasts, large])
    truth = np.where(np.arange(contrasts) < large, size, rest * rng.standard_normal((designs, contrasts)))
    noise = rng.standard_normal((designs, contrasts))
    errors = pseudo_standard_error(truth + noise)
    judged, half = PseudoError(1.0, contrasts), (contrasts + 1) // 2
    reach = judged.critical(0.05) * errors
    inside = np.abs(noise) <= reach[:, None]
    others = np.sort(np.abs((truth + noise)[:, large:]) / errors[:, None], axis=-1)[:, -1]
    ahead = (np.abs((truth + noise)[:, :large]) / errors[:, None] > judged.critical(0.05 / contrasts)).all(axis=-1)
    steps = np.where(ahead, judged.critical(0.05 / (contrasts - large)), judged.critical(0.05 / contrasts))
    return {
        "large": float(inside[:, :large].mean()) if large else float("nan"),
        "others": float(inside[:, large:].mean()),
        "sum": float((np.abs(noise[:, :half].sum(axis=-1)) <= reach * np.sqrt(half)).mean()),
        "longer": float(reach.mean() / stats.norm.isf(0.025)),
        "false": float((others > steps).mean()) if rest == 0 else float("nan"),
    }


def effect(game: Game, term: str) -> float:
    """A main effect or an interaction of two two-level factors, as `Term.estimate` is defined."""
    own = {name.partition("=")[0] for name in term.split(" × ")}
    return sum(brings / 2 ** (len(some) - 1) for some, brings in game.items() if own <= set(some))


def _fraction(factors: Sequence[Factor]) -> list[Assignment]:
    return designs.screening(factors, resolution=3)
