"""Blocks, such as datasets: what is compared in each of them, and which variant stands for it there.

Of the factors of a study, some may be blocks. The others make *treatments*, which is the word of block designs: a variant is one
treatment in one block, and is compared with the reference of its block.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Protocol

from .contracts import Assignment, Factor
from .names import says_itself


class Named(Protocol):
    """A variant of a plan or of a study."""

    @property
    def name(self) -> str: ...
    @property
    def levels(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class Grid:
    """The variants of a study by treatment and block.

    Attributes:
        variants: For each treatment, and each block that it is in, the variant; in the order of the study.
        blocks: The names of all blocks.
        reference: The treatment that the others are compared with.
    """

    variants: Mapping[str, Mapping[str, str]]
    blocks: tuple[str, ...]
    reference: str


def grid_of(variants: Sequence[Named], blocks: Sequence[str], reference: str) -> Grid:
    """Sorts variants into treatments and blocks.

    Args:
        variants: All of which have a level of every factor.
        blocks: Names of the factors that are blocks.
        reference: The variant that is the reference of its block.
    """
    treatments = named([{factor: level for factor, level in v.levels.items() if factor not in blocks} for v in variants])
    places = named([{factor: v.levels[factor] for factor in blocks} for v in variants])
    found: dict[str, dict[str, str]] = {}
    for variant, treatment, place in zip(variants, treatments, places, strict=True):
        found.setdefault(treatment, {})[place] = variant.name
    return Grid(
        found, tuple(dict.fromkeys(places)), next(t for t, v in zip(treatments, variants, strict=True) if v.name == reference)
    )


def named(levels: Sequence[Mapping[str, str]]) -> list[str]:
    """A name for each combination of levels: the level itself where there is one factor, and all or two of its levels are names.

    So `none` beside `adam` and `sgd` needs no more words, and 0.1 beside 0.01 does.
    """
    words = {level: says_itself(level) for own in levels for level in own.values()}
    alone = all(len(own) == 1 for own in levels) and (all(words.values()) or sum(words.values()) > 1)
    names: dict[tuple[str, ...], str] = {}
    taken = set()
    for key, own in {tuple(own.values()): own for own in levels}.items():
        plain = ",".join(key if alone else (f"{name}={level}" for name, level in own.items()))
        names[key] = plain if plain not in taken else repr(key)
        taken.add(names[key])
    return [names[tuple(own.values())] for own in levels]


def references(variants: Sequence[Named], blocks: Sequence[str], reference: str) -> dict[str, str]:
    """The variant that each one is compared with: the study's reference, or where there are blocks, that of its block.

    Empty where a block has none.
    """
    if not blocks:
        return {variant.name: reference for variant in variants}
    grid = grid_of(variants, blocks, reference)
    own = grid.variants[grid.reference]
    return {name: own.get(block, "") for treatment in grid.variants.values() for block, name in treatment.items()}


def in_blocks(made: Sequence[Assignment], factors: Sequence[Factor], blocks: Sequence[str]) -> Iterator[Assignment]:
    """Every combination of the design with every one of the levels of the blocks, factors in their order."""
    places = product(*((factor.base, *factor.others) for factor in factors if factor.name in blocks))
    names = [factor.name for factor in factors if factor.name in blocks]
    for assignment, levels in product(made, list(places)):
        both = {**assignment, **dict(zip(names, levels, strict=True))}
        yield {factor.name: both[factor.name] for factor in factors}
