"""Studies and conclusions made by hand, for the tests of reports."""

import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from ablate.contracts import Factor
from ablate.results import Results
from ablate.stats.factor_records import AnovaRow, Attribution, Factorial, Share, Term
from ablate.stats.records import Analysis, Effect
from ablate.study import Compare, Tried, TunedVariant, Tuning, VariantInfo

# No spec may have them, and no store either. Older versions of pandas take labels for the same that are so up to NUL, and with
# pyarrow pandas holds no half of a surrogate pair.
NUL, HALF = ("\x00", "\ud800") if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else ("", "")
HALF = "" if find_spec("pyarrow") else HALF
HOSTILE = (
    "<script>document.title='ran'</script>",
    "<img src=x onerror=\"document.title='ran'\">",
    '"><svg onload="document.title=\'ran\'">',
    "</style></title><script>document.title='ran'</script>",
    "{{ 7*7 }}{% raw %}",
    r"\input{/etc/passwd} \write18{id} \end{document} %&_#^~${}",
    "=cmd|' /C calc'!A0",
    "$x^2$ $\\frac{",
    "a|b `c` *d* [e](javascript:alert) ![f](x)",
    f"\x1b]0;title\x07 {NUL} \x7f \u202egnp.exe {HALF}",
    "_underscore 中文 é ß → 🙂 ĸ",
    "x" * 300,
)


def make_study(
    names: Sequence[str] = ("base", "x", "y"),
    seeds: int = 4,
    epochs: int = 3,
    metric: str = "accuracy",
    **others: Any,
) -> Results:
    """A study in which every variant is 0.02 better than the one before; nothing is missing."""
    rng = np.random.default_rng(0)
    cells, curves = [], []
    for index, name in enumerate(names):
        for seed in range(seeds):
            value = 0.5 + 0.02 * index + rng.normal(0, 0.01)
            cells.append([name, seed, f"{index:032x}{seed:032x}", "done", None, 60.0, 1234, "0" * 64, value])
            for epoch in range(1, epochs + 1):
                curves.append([name, seed, epoch, 2.0 / epoch, 0.1, 20.0, 1000.0, value * epoch / epochs])
    columns = ["variant", "seed", "key", "status", "error", "seconds", "parameters", "weights_sha256", metric]
    by_epoch = ["variant", "seed", "epoch", "train_loss", "lr", "seconds", "images_per_second", metric]
    machine = {"packages": {"torch": "2.10"}, "python": "3.11.7", "cpu": "a <b>cpu</b>", "git": None}
    given = {
        "name": "made",
        "question": "Does it help?",
        "compare": Compare(metric, "last", names[0], margin=0.005),
        "variants": tuple(
            VariantInfo(name, {}, () if index == 0 else (f"model.size: 1 → {index}",)) for index, name in enumerate(names)
        ),
        "cells": pd.DataFrame(cells, columns=columns),
        "epochs": pd.DataFrame(curves, columns=by_epoch),
        "provenance": (machine,),
    }
    return Results(**(given | others))


def make_hostile() -> Results:
    """Every text of it comes from a stranger who means ill."""
    names = list(HOSTILE)
    made = make_study(names, metric="<b>accuracy</b> $a$", seeds=2)
    cells = made.cells
    cells.loc[1, "status"], cells.loc[1, "error"] = "failed", HOSTILE[0] + "\n" + HOSTILE[9]
    cells.loc[1, made.compare.metric] = math.nan
    infos = tuple(VariantInfo(name, {}, (f"{name}: {name} → {name}",)) for name in names)
    return make_study(
        names,
        metric=made.compare.metric,
        seeds=2,
        name=HOSTILE[1],
        question=HOSTILE[3],
        cells=cells,
        variants=infos,
        published={"source": HOSTILE[0], made.compare.metric: {names[1]: [0.1, 0.2, 0.3], names[2]: 0.5}},
        provenance=({HOSTILE[0]: HOSTILE[2], "packages": {HOSTILE[4]: HOSTILE[5]}},),
    )


def make_factorial(factors: Sequence[Factor], **others: Any) -> Results:
    """Every combination of the levels of some factors."""
    levels = [(factor.base, *factor.others) for factor in factors]
    assignments = [dict(zip([factor.name for factor in factors], chosen, strict=True)) for chosen in product(*levels)]
    names = [",".join(f"{name}={level}" for name, level in assignment.items()) for assignment in assignments]
    infos = tuple(VariantInfo(name, assignment, ("x: 1 → 2",)) for name, assignment in zip(names, assignments, strict=True))
    return make_study(names, variants=infos, factors=tuple(factors), design={"use": "factorial"}, **others)


def effect(variant: str, difference: float = 0.02, **others: Any) -> Effect:
    unknown = ("corrected", "p", "p_permutation", "p_robust", "p_equivalence", "correlation", "boot_low", "boot_high")
    nothing = dict.fromkeys((*unknown, "pointwise_low", "pointwise_high"), math.nan)
    told = {"where_it_trains": None, "lost": "", "lost_reference": "", "cautions": ()}
    told |= {"seeds_least": None, "seeds_most": None, "seeds_never": False}
    ends = {"low": difference - 0.01, "high": difference + 0.01}
    given = {"variant": variant, "n": 4, "n_reference": 4, "difference": difference, **ends, "effect_size": 1.25}
    return Effect(**(given | nothing | told | {"p_adjusted": 0.0123, "verdict": "better"} | others))


def analysis(*effects: Effect, **others: Any) -> Analysis:
    return Analysis(**({"effects": effects, "factorial": None, "attribution": None, "answer": "x is better."} | others))


FACTORIAL = Factorial(
    terms=(
        Term("a=on", 0.02, 0.01, 0.03, 0.001, 0.002, (), "better"),
        Term("a=on × b=on", 0.001, -0.01, 0.012, 0.8, 0.8, ("c=on",), "undecided"),
    ),
    anova=(
        AnovaRow("a", 1, 0.4, 12.5, 0.001, 0.5),
        AnovaRow("lack of fit", 1, 0.6, 18.75, 0.0004, 0.6),
        AnovaRow("pure error", 12, 0.4, math.nan, math.nan, math.nan),
    ),
    residual_sd=0.0125,
    normality_p=0.5,
    equal_variance_p=0.25,
    note="Effects of three factors are taken to be zero.",
)
ATTRIBUTION = Attribution(
    method="shapley",
    plain="plain one",
    full="full one",
    gain=0.05,
    low=0.04,
    high=0.06,
    shares=(Share("a", 0.06, 0.05, 0.07, 120.0, -0.004, -0.01, 0.002), Share("b", -0.01, -0.02, 0.0, -20.0, -0.02, -0.03, -0.01)),
    orders=2,
)


def make_tuned(names: Sequence[str] = ("base", "x", "y"), **others: Any) -> Results:
    """Each variant with two trials, of which the last is better by 0.3; of the last variant both have failed."""
    made = make_study(names, seeds=3, **others)
    cells, variants = [], []
    metric = made.compare.metric
    for index, name in enumerate(names):
        failed = index == len(names) - 1
        trials = []
        for number, value in enumerate((0.2 + index / 100, 0.5 + index / 100), start=1):
            status = "failed" if failed else "done"
            trials.append(
                Tried(f"{name} (trial {number})", {"optimizer.lr": 0.001 * number, name: name}, None if failed else value)
            )
            key = f"{index:032x}{10 + number:032x}"
            cells.append([trials[-1].name, 2**32, key, status, "it broke" if failed else None, 20.0, 1234, "0" * 64, value])
        for seed in range(3):
            value = 0.3 + index / 50 + seed / 100
            key = f"{index:032x}{20 + seed:032x}"
            cells.append([f"{name} (untuned)", seed, key, "done", None, 60.0, 1234, "0" * 64, value])
        chosen = None if failed else 1
        variants.append(TunedVariant(name, f"{name} (untuned)", {"optimizer.lr": "0.001 to 0.1"}, tuple(trials), chosen, True))
    frame = pd.DataFrame(cells, columns=made.cells.columns)
    frame.loc[frame["status"] == "failed", metric] = math.nan
    tuning = Tuning({"use": "ablate-core:random", "seed": 0}, 2, 1, tuple(variants), frame, made.epochs.iloc[:0])
    own = made.cells[made.cells["variant"] != names[-1]].reset_index(drop=True)
    return replace(made, cells=own, tuning=tuning)
