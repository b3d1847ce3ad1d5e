"""What is planned, as records: variants, and all of a study."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from ablate.blocking import references
from ablate.contracts import Cell, Factor, Json, Space
from ablate.spec import Spec
from ablate.spec.inputs import Named
from ablate.spec.patch import changes
from ablate.spec.recipe import Recipe
from ablate.spec.trainer import Trainer
from ablate.study import Compare, Input, Stopping, Tuning, VariantInfo


@dataclass(frozen=True)
class Search:
    """What is searched.

    Attributes:
        tuner: The tuner's resolved spec.
        trials: Settings that each variant is tried with, what the spec says among them.
        seeds: Seeds of each trial, none of which a study can have.
        spaces: What is searched for each variant.
    """

    tuner: dict[str, Json]
    trials: int
    seeds: tuple[int, ...]
    spaces: dict[str, Space]


@dataclass(frozen=True)
class Variant:
    """One combination of levels, or one named patch, with its resolved recipe."""

    name: str
    levels: dict[str, str]
    recipe: Recipe
    trainer: Trainer  # what trains it, with what is known of the recipe
    canonical: Json  # the recipe as keys see it
    seed_shift: int = 0  # added to every seed of the plan
    given: Json = None  # the recipe as the spec has it, patches applied


@dataclass(frozen=True)
class Plan:
    """What a study will run: every variant with every seed.

    Attributes:
        spec: Where it came from.
        variants: In the order of the spec.
        seeds: In the order of the spec.
        compare: How the study compares; its reference is the name of one of the variants.
        published: Somebody's numbers, by metric and name of the variant.
        factors: What varies.
        design: The design's resolved spec; None without factors.
        stopping: Where seeds are added until comparisons are decided; None for all seeds.
        search: What is tuned before variants are compared; None for nothing.
        tuning: What `tuning.advance` decided so far.
        inputs: The cells whose weights recipes name, as recipes of cells have them.
    """

    spec: Spec
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    compare: Compare
    published: dict[str, Json]
    factors: tuple[Factor, ...] = ()
    design: Json = None
    stopping: Stopping | None = None
    search: Search | None = None
    tuning: Tuning | None = None
    inputs: Mapping[Named, Json] = field(default_factory=dict)

    @property
    def reference(self) -> Variant:
        return next(variant for variant in self.variants if variant.name == self.compare.reference)

    @property
    def references(self) -> dict[str, str]:
        """The variant that each variant is compared with."""
        return references(self.variants, self.compare.blocks, self.compare.reference)

    @property
    def imports(self) -> tuple[str, ...]:
        """The modules that its trainers train with."""
        return tuple(dict.fromkeys(name for variant in self.variants for name in variant.trainer.imports))

    def infos(self) -> tuple[VariantInfo, ...]:
        """The variants with what each changes of the reference."""
        reference = self.reference.recipe
        return tuple(VariantInfo(v.name, v.levels, changes(reference, v.recipe)) for v in self.variants)

    def owners(self) -> dict[str, str]:
        """The variant that cells belong to, by what they are called: its own name, or that of a trial or of it without tuning."""
        owners = {variant.name: variant.name for variant in self.variants}
        for told in self.tuning.variants if self.tuning else ():
            owners |= dict.fromkeys((told.untuned, *(trial.name for trial in told.trials)), told.variant)
        return owners

    def record(self) -> dict[str, Json]:
        """What `Store.study` needs to know."""
        return {
            "question": self.spec.document.get("question", ""),
            "compare": asdict(self.compare),
            "variants": [asdict(info) for info in self.infos()],
            "metrics": list(dict.fromkeys(name for variant in self.variants for name in variant.trainer.metrics)),
            "published": self.published,
            "factors": [asdict(factor) for factor in self.factors],
            "design": self.design,
            "stopping": self.stopping and {name: value for name, value in asdict(self.stopping).items() if value is not None},
            "tuning": self.tuning and self.tuning.record(),
            "split": self.reference.recipe.get("split"),
            "inputs": [asdict(Input(*named, found["key"], found["sha256"])) for named, found in self.inputs.items()],
        }


@dataclass(frozen=True)
class PlannedCell:
    """A cell with its place in the study."""

    variant: str
    seed: int
    cell: Cell
