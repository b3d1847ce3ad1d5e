"""Which of the variants of some runs is the one that the others are compared with."""

from collections.abc import Mapping

from ablate.blocking import named
from ablate.errors import UsageError, did_you_mean
from ablate.names import levels_as_name

from .naming import BASES
from .roles import Roles


def reference_of(variants: Mapping[str, Mapping[str, str]], roles: Roles, asked: str | None) -> tuple[str, str]:
    """The name of a variant, and a sentence on how it was chosen; where there are blocks, the one of the first block.

    Raises:
        UsageError: There is none of the name that was asked for.
    """
    if not roles.blocks:
        return _chosen(variants, roles, asked)
    alone = [{factor: level for factor, level in own.items() if factor not in roles.blocks} for own in variants.values()]
    names = named(alone)
    found, said = _chosen(dict(zip(names, alone, strict=True)), roles, asked)
    return next(variant for variant, name in zip(variants, names, strict=True) if name == found), said


def _chosen(variants: Mapping[str, Mapping[str, str]], roles: Roles, asked: str | None) -> tuple[str, str]:
    if asked is not None:
        for name, levels in variants.items():
            if asked in (name, levels_as_name(levels)):
                return name, f"Reference: {name}, as said"
        raise UsageError(f"--reference {asked}: there is no such variant. {did_you_mean(asked, variants)}")
    bases = [name for name, levels in variants.items() if all(level.lower() in BASES for level in levels.values())]
    if len(bases) == 1:
        return bases[0], f"Reference: {bases[0]}, by its name (--reference chooses another)"
    parts = {
        factor: [level for level in dict.fromkeys(roles.values[factor]) if level.lower() in BASES]
        for factor in next(iter(variants.values()))
    }
    first = {factor: found[0] if len(found) == 1 else None for factor, found in parts.items()}
    fitting = (n for n, levels in variants.items() if all(first[factor] in (None, level) for factor, level in levels.items()))
    name = next(fitting, next(iter(variants)))
    return name, f"Reference: {name}, the first in the order of the runs (--reference chooses another)"
