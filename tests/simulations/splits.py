"""What intervals over seeds cover: with the dataset's own split, and with one by seed.

Every pool has 200 training and 50 test images: normal features of two classes, which two linear discriminants tell apart, one
of which does not see the last feature. A seed decides which half of the training images a run takes, as batches and first
weights do in a network. The difference of their accuracies is paired by seed.
"""

from collections.abc import Iterator

import numpy as np

from ablate.stats import comparison

from .noise import Rate, rate

TRAIN, TEST, FEATURES = 200, 50, 6
SEEDS = (5, 10, 30)
MANY = 300  # splits whose mean stands for that of all splits of a pool
APART = 0.6  # how far the means of the classes are from 0 in every feature


def coverage(pools: int, n: int, seed: int = 0) -> tuple[Rate, Rate, Rate, Rate]:
    """How often 95 % intervals of n seeds cover a difference.

    Returns:
        Own split, the mean over all images there could be; split by seed, the mean over all splits of the pool; split by seed,
        the mean over all images there could be, without and with the correction of Nadeau and Bengio (2003).
    """
    rng = np.random.default_rng(seed)
    own, anew = np.empty((pools, n)), np.empty((pools, MANY + n))
    for pool in range(pools):
        features, labels = _pool(rng)
        fixed = np.tile(np.arange(TRAIN + TEST), (n, 1))
        own[pool] = _differences(rng, features, labels, fixed)
        anew[pool] = _differences(rng, features, labels, rng.permuted(np.tile(fixed[0], (MANY + n, 1)), axis=1))
    everywhere, of_pool = anew.mean(), anew[:, :MANY].mean(1)
    seen = anew[:, MANY:]
    wider = np.sqrt(1 + n * TEST / TRAIN)
    return (
        _covers(own, everywhere, 1),
        _covers(seen, of_pool, 1),
        _covers(seen, everywhere, 1),
        _covers(seen, everywhere, wider),
    )


def _covers(differences: np.ndarray, truth: float | np.ndarray, wider: float) -> Rate:
    found = comparison.estimate(differences, np.zeros_like(differences), True)
    low, high = comparison.interval(found, 0.05)
    half = (high - low) / 2 * wider
    return rate(np.abs(found.difference - truth) <= half)


def _pool(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    labels = rng.permutation(np.arange(TRAIN + TEST) % 2)
    return rng.normal(size=(TRAIN + TEST, FEATURES)) + APART / 2 * np.where(labels, 1, -1)[:, None], labels


def _differences(rng: np.random.Generator, features: np.ndarray, labels: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Differences of accuracy, one a run, whose training images come first in its order and whose test images last."""
    runs = len(orders)
    seen = rng.permuted(orders[:, :TRAIN], axis=1)[:, : TRAIN // 2]
    tests = orders[:, TRAIN:]
    accuracies = [_accuracy(features[:, :of], labels, seen, tests) for of in (FEATURES, FEATURES - 1)]
    assert accuracies[0].shape == (runs,)
    return accuracies[0] - accuracies[1]


def _accuracy(features: np.ndarray, labels: np.ndarray, seen: np.ndarray, tests: np.ndarray) -> np.ndarray:
    """Of Fisher's linear discriminant with equal priors, for every run."""
    x, is_one = features[seen], labels[seen][..., None].astype(float)
    ones = (x * is_one).sum(1) / is_one.sum(1)
    zeros = (x * (1 - is_one)).sum(1) / (1 - is_one).sum(1)
    centred = x - np.where(is_one > 0, ones[:, None], zeros[:, None])
    covariance = np.einsum("rni,rnj->rij", centred, centred) / x.shape[1]
    weights = np.linalg.solve(covariance, (ones - zeros)[..., None])[..., 0]
    scores = np.einsum("rni,ri->rn", features[tests] - ((ones + zeros) / 2)[:, None], weights)
    return ((scores > 0) == labels[tests]).mean(1)


def rows(pools: int) -> Iterator[str]:
    yield "| seeds | own split, other images | split by seed, other splits | split by seed, other images | corrected |"
    yield "|---:|---:|---:|---:|---:|"
    for n in SEEDS:
        yield f"| {n} | {' | '.join(map(str, coverage(pools, n)))} |"
