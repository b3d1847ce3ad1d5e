"""Variants, designs and cells."""

import pytest

from ablate.errors import Problem, SpecError
from ablate.plan import make_cells, make_plan, placebo
from ablate.registry import default
from ablate.spec import load
from ablate.study import Stopping

THREE = {
    "a": {"on": {"model": {"batch_norm": True}}},
    "b": {"on": {"optimizer": {"lr": 0.5}}, "more": {"optimizer": {"lr": 0.7}}},
    "c": {"plain": {}, "fancy": {"epochs": 3}},
}


PROGRAM = {
    "name": "program",
    "base": {
        "use": "command",
        "argv": ["{python}", "-c", "", "{seed}", "{args}"],
        "metrics": {"score": "maximize"},
        "settings": {"lr": 0.1},
        "epochs": 3,
    },
    "variants": {"higher": {"settings": {"lr": 0.2}}},
}


def plan_of(spec, *overrides):
    return make_plan(load(spec, overrides), default())


def names(spec, design):
    return [variant.name for variant in plan_of(spec | {"factors": THREE, "design": design}).variants]


@pytest.mark.parametrize(
    ("design", "expected"),
    [
        ({"use": "one_at_a_time"}, ["c=plain", "a=on,c=plain", "b=on,c=plain", "b=more,c=plain", "c=fancy"]),
        ({"use": "leave_one_out"}, ["c=plain", "a=on,c=plain", "b=on,c=plain", "b=more,c=plain", "c=fancy"]),
        (
            {"use": "leave_one_out", "base": "plain"},
            [
                "a=on,b=on,c=fancy",
                "b=on,c=fancy",
                "a=on,c=fancy",
                "a=on,b=more,c=fancy",
                "a=on,b=on,c=plain",
                "c=plain",
            ],
        ),
        (
            {"use": "add_one_in"},
            [
                "a=on,b=on,c=fancy",
                "b=on,c=fancy",
                "a=on,c=fancy",
                "a=on,b=more,c=fancy",
                "a=on,b=on,c=plain",
                "c=plain",
            ],
        ),
        ({"use": "cumulative"}, ["c=plain", "a=on,c=plain", "a=on,b=on,c=plain", "a=on,b=on,c=fancy"]),
    ],
)
def test_designs_of_one_set_of_factors(spec, design, expected):
    assert names(spec, design) == expected


def test_a_comparison_after_the_last_epoch_of_any_trainer_is_refused():
    with pytest.raises(SpecError, match="variants 'base', 'higher' are not evaluated at epoch 4: the last one is 3"):
        plan_of(PROGRAM, "compare.at=4")
    assert plan_of(PROGRAM, "compare.at=3").compare.at == 3


def test_the_factorial_has_every_combination(spec):
    found = names(spec, {"use": "factorial"})
    assert len(found) == len(set(found)) == 2 * 3 * 2


def test_levels_and_named_variants_patch_the_base(spec):
    plan = plan_of(spec | {"variants": {"long": {"epochs": 9}}})
    assert [(v.name, v.recipe["epochs"], v.recipe["model"]["batch_norm"]) for v in plan.variants] == [
        ("base", 2, False),
        ("batch_norm=on", 2, True),
        ("long", 9, False),
    ]
    assert plan.infos()[1].changes == ("model.batch_norm: false → true",)


@pytest.mark.parametrize(
    ("overrides", "messages"),
    [
        (['base.optimizer={"use": "sdg"}'], ["base.optimizer.use", "Did you mean 'sgd'"]),
        (
            ["base.optimizer.larning_rate=1"],
            ["base.optimizer.larning_rate: there is no such setting", "ablate-core 0.1.0: optimizer 'sgd'"],
        ),
        (['base.optimizer.lr="fast"', "base.model.dropout=1.5"], ["base.optimizer.lr", "base.model.dropout"]),
        (["base.batch_size=0"], ["base.batch_size: found 0, expected a whole number ≥ 1"]),
        (
            ["base.train_transforms.normalize.mean=[127.5]", "base.eval_transforms.normalize.std=[0]"],
            [
                "base.train_transforms.normalize.mean.0: found 127.5, expected a number from 0 to 1, because images are",
                "base.eval_transforms.normalize.std.0: found 0, expected a number above 0 and at most 1",
            ],
        ),
        (["factors.batch_norm.on.model.batch_nrom=true"], ["factors.batch_norm.on.model.batch_nrom"]),
        (['factors.batch_norm.on={"model": {"batch_norm": false}}'], ["variant 'batch_norm=on'", "does not differ"]),
        (['factors.batch_norm.on={"scheduler": null}'], ["null removes this key, but the base has none"]),
        (['variants={"again": {"model": {"batch_norm": true}}}'], ["variant 'again'", "'batch_norm=on'"]),
        (
            ['compare={"metric": "acuracy"}'],
            ["1 problem\n", "compare.metric: variants 'base', 'batch_norm=on' have no metric 'acuracy'", "'accuracy'"],
        ),
        (['compare={"at": 5}'], ["1 problem\n", "variants 'base', 'batch_norm=on' are not evaluated at epoch 5"]),
        (['compare={"reference": "bas"}'], ["compare.reference", "Did you mean 'base'"]),
        (['published={"source": "s", "accuracy": {"batch_norm=off": 1}}'], ["published.accuracy"]),
        (['design={"use": "factorail"}'], ["design.use", "'factorial'"]),
        (
            ['base.dataset={"use": "image_folder", "path": "/no/such/folder"}'],
            ["base.dataset.path: there is no folder"],
        ),
        (['base.model={"use": "torchvision", "arch": "resnet81"}'], ["base.model.arch", "resnet18"]),
        (
            ['base.train_transforms.crop={"use": "random_apply", "transforms": {"x": {"use": "nope"}}}'],
            ["crop.transforms.x.use"],
        ),
    ],
)
def test_each_mistake_is_told_with_its_place(spec, overrides, messages):
    with pytest.raises(SpecError) as error:
        plan_of(spec, *overrides)
    for message in messages:
        assert message in str(error.value)


def test_all_mistakes_are_told_at_once(spec):
    with pytest.raises(SpecError) as error:
        plan_of(spec, "base.epochs=0", 'base.model={"use": "nte"}', "base.optimizer.lr=-1", "factors.batch_norm.on.x=1")
    assert {problem.path for problem in error.value.problems} == {
        "base.epochs",
        "base.model.use",
        "base.optimizer.lr",
        "factors.batch_norm.on.x",
    }


def test_published_numbers_find_their_variant(spec):
    published = {
        "source": "s",
        "accuracy": {"a=on": 0.5, "base": 0.4, "b=more,c=fancy": [0.1, 0.2]},
        "train_loss": {"base": 1.0},
    }
    plan = plan_of(spec | {"factors": THREE, "design": {"use": "factorial"}, "published": published})
    assert plan.published["accuracy"] == {"a=on,c=plain": 0.5, "c=plain": 0.4, "b=more,c=fancy": [0.1, 0.2]}


def keys(spec, environment, *overrides):
    plan = plan_of(spec, *overrides)
    return {(p.variant, p.seed): p.cell.key for p in make_cells(plan, default(), environment, "cpu")}


def test_studies_share_identical_cells(spec, environment):
    one = keys(spec, environment)
    other = keys(spec, environment, 'name="other"', 'question="?"', 'factors={"x": {"y": {"epochs": 5}}}', "seeds=[1, 7]")
    assert one["base", 1] == other["base", 1]
    assert len(set(one.values()) & set(other.values())) == 1


def test_defaults_that_are_written_out_change_no_key(spec, environment):
    written = ['base.scheduler={"use": "ablate-core:constant", "warmup_epochs": 0}', "base.accumulate=1.0"]
    assert keys(spec, environment) == keys(spec, environment, *written)


@pytest.mark.parametrize(
    "override",
    [
        "base.epochs=3",
        "base.optimizer.lr=0.051",
        "base.threads=2",
        'base.precision="bfloat16"',
        "base.dataset.limit=100",
        'base.split="by_seed"',
    ],
)
def test_what_changes_a_result_changes_the_key(spec, environment, override):
    assert not set(keys(spec, environment).values()) & set(keys(spec, environment, override).values())


def test_the_split_is_in_the_recipes_that_have_one_alone(spec, environment):
    """Keys are older than it."""
    assert "split" not in plan_of(spec).reference.recipe
    plan = plan_of(spec, 'base.split="by_seed"')
    assert (plan.reference.canonical["split"], plan.record()["split"]) == ("by_seed", "by_seed")


def test_all_variants_have_one_kind_of_split(spec):
    with pytest.raises(SpecError, match=r"base\.split: only a part of the variants has a split by seed \(variant 'anew'\)"):
        plan_of(spec, 'variants={"anew": {"split": "by_seed"}}')
    with pytest.raises(SpecError, match='base.split: found "own", expected "by_seed", or nothing for the parts that the dataset'):
        plan_of(spec, 'base.split="own"')


def test_the_order_of_transforms_counts(spec, environment):
    flip, crop = {"use": "random_horizontal_flip"}, {"use": "pad", "padding": 2}
    one = spec | {"base": spec["base"] | {"train_transforms": {"f": flip, "c": crop}}}
    other = spec | {"base": spec["base"] | {"train_transforms": {"c": crop, "f": flip}}}
    assert not set(keys(one, environment).values()) & set(keys(other, environment).values())


def test_the_device_is_part_of_the_key(spec, environment):
    plan = plan_of(spec)
    cpu, gpu = ({p.cell.key for p in make_cells(plan, default(), environment, device)} for device in ("cpu", "cuda"))
    assert not cpu & gpu


@pytest.mark.parametrize("number", range(9))
def test_the_seed_studies_have_a_plan(number):
    from pathlib import Path

    plan = make_plan(load(Path(__file__).parents[2] / "specs" / f"q{number}.json"), default())
    assert len(plan.variants) >= 2
    assert plan.published["accuracy"]


def test_seeds_can_be_added_until_comparisons_are_decided(spec):
    plan = plan_of(spec | {"seeds": {"min": 3, "max": 8, "stop": "decided"}})
    assert plan.seeds == tuple(range(8))
    assert plan.stopping == Stopping(3, 8)
    assert plan.record()["stopping"] == {"least": 3, "most": 8}
    with pytest.raises(SpecError, match="seeds: min 5 is more than max 4"):
        plan_of(spec | {"seeds": {"min": 5, "max": 4, "stop": "decided"}})
    with pytest.raises(SpecError, match=r"seeds.min: found 1, expected a whole number ≥ 2"):
        plan_of(spec | {"seeds": {"min": 1, "max": 4, "stop": "decided"}})


def test_a_placebo_has_the_reference_everywhere_and_no_seed_twice(spec, environment):
    plan = plan_of(spec | {"factors": THREE, "seeds": [0, 7], "compare": {"reference": "a=on,c=plain", "paired": True}})
    fake = placebo(plan)
    assert [variant.name for variant in fake.variants] == ["a=on,c=plain", *(f"placebo {i}" for i in range(1, 5))]
    assert (fake.spec.name, fake.compare.paired) == ("tiny-placebo", False)
    cells = make_cells(fake, default(), environment, "cpu")
    assert len({planned.cell.key for planned in cells}) == len({planned.seed for planned in cells}) == 10
    real = {p.cell.key for p in make_cells(plan, default(), environment, "cpu") if p.variant == "a=on,c=plain"}
    assert {p.cell.key for p in cells if p.variant == "a=on,c=plain"} == real, "the reference's own cells are shared"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (['base.select="accuracy"'], "on the test images, which are to be looked at once"),
        (['base.select="acuracy"', 'base.eval_split="validation"'], "there is no metric 'acuracy'"),
        (['base.select="loss"', 'base.eval_split="validation"', "compare.at=1"], "compare.at: variants .* select their epochs"),
    ],
)
def test_selection_happens_on_validation_images(spec, overrides, message):
    with pytest.raises(SpecError, match=message):
        plan_of(spec, *overrides)


def test_the_direction_is_the_metrics_own(spec):
    assert plan_of(spec).compare.goal == "maximize"
    assert plan_of(spec, 'compare.metric="loss"').compare.goal == "minimize"
    assert plan_of(spec, 'compare.metric="loss"', 'compare.goal="maximize"').compare.goal == "maximize"


def test_the_record_has_all_that_a_stored_study_needs(spec):
    spec["factors"]["schedule"] = {"none": {}, "cosine": {"scheduler": {"use": "cosine"}}}
    plan = plan_of(spec | {"question": "Which?", "published": {"source": "s", "accuracy": {"base": 0.5}}})
    assert plan.record() == {
        "question": "Which?",
        "compare": vars(plan.compare),
        "variants": [
            {"name": "schedule=none", "levels": {"batch_norm": "base", "schedule": "none"}, "changes": ()},
            {
                "name": "batch_norm=on,schedule=none",
                "levels": {"batch_norm": "on", "schedule": "none"},
                "changes": ("model.batch_norm: false → true",),
            },
            {
                "name": "schedule=cosine",
                "levels": {"batch_norm": "base", "schedule": "cosine"},
                "changes": plan.infos()[2].changes,
            },
        ],
        "metrics": ["accuracy", "loss"],
        "published": {"source": "s", "accuracy": {"schedule=none": 0.5}},
        "factors": [
            {"name": "batch_norm", "base": "base", "others": ("on",)},
            {"name": "schedule", "base": "none", "others": ("cosine",)},
        ],
        "design": {"use": "ablate-core:one_at_a_time"},
        "stopping": None,
        "tuning": None,
        "split": None,
        "inputs": [],
    }
    assert plan.infos()[2].changes[0].startswith("scheduler: constant(")


def test_a_placebo_of_a_study_that_stops_by_itself_has_its_first_seeds(spec):
    plan = plan_of(spec | {"seeds": {"min": 3, "max": 8, "stop": "decided"}})
    fake = placebo(plan)
    assert fake.seeds == (0, 1, 2)
    assert (fake.stopping, fake.published, fake.spec.source) == (None, {}, "spec")
    assert [(v.levels, v.seed_shift) for v in fake.variants] == [({}, 0), ({}, 8)]


def test_a_cell_has_its_recipe_and_what_it_depends_on(spec, environment):
    digits = default().load("dataset", "digits").factory
    plan = plan_of(spec | {"variants": {"few": {"dataset": {"limit": 80}}}})
    cells = {(p.variant, p.seed): p.cell for p in make_cells(plan, default(), environment, "cpu")}
    assert [(p.variant, p.seed) for p in make_cells(plan, default(), environment, "cpu")][:4] == [
        ("base", 0),
        ("batch_norm=on", 0),
        ("few", 0),
        ("base", 1),
    ]
    for variant, limit in (("base", 160), ("batch_norm=on", 160), ("few", 80)):
        cell = cells[variant, 1]
        assert (cell.seed, cell.device) == (1, "cpu")
        assert cell.recipe == next(v.recipe for v in plan.variants if v.name == variant)
        assert cell.identity["data"] == digits(environment, size=16, limit=limit).fingerprint()
        assert cell.identity["packages"]["torch"]


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (
            ['variants={"again": {"model": {"batch_norm": true}}}'],
            Problem(
                "variant 'again'",
                "its recipe does not differ from that of 'batch_norm=on': comparing them would show nothing",
                "Correct what it changes, or remove it.",
            ),
        ),
        (
            ['variants={"base": {"epochs": 9}}'],
            Problem("variants.base", "another variant has this name", "Choose another."),
        ),
    ],
)
def test_a_repetition_has_a_place_and_a_remedy(spec, overrides, problem):
    with pytest.raises(SpecError) as error:
        plan_of(spec, *overrides)
    assert problem in error.value.problems
    assert error.value.source == "spec"


def test_factors_that_do_not_fit_a_design_are_told(spec):
    with pytest.raises(SpecError) as error:
        plan_of(spec, 'design={"use": "cumulative", "orders": -1}')
    assert {problem.path for problem in error.value.problems} == {"design.orders"}
    with pytest.raises(SpecError, match=r"design: .*screening"):
        plan_of(spec | {"factors": THREE, "design": {"use": "screening"}})


def test_a_study_needs_no_factors(spec):
    del spec["factors"]
    plan = plan_of(spec | {"variants": {"long": {"epochs": 9}}})
    assert ([v.name for v in plan.variants], plan.factors, plan.design) == (["base", "long"], (), None)
    assert plan.record()["question"] == ""


def test_tensor_float_is_refused_on_a_cpu_and_is_another_cell_on_a_gpu(spec, environment):
    plan = plan_of(spec, 'base.precision="tf32"')
    with pytest.raises(SpecError, match=r"base\.precision: tf32 is a form of numbers that GPUs have, and this is a CPU"):
        make_cells(plan, default(), environment, "cpu")
    plain = plan_of(spec)
    keys = [{p.cell.key for p in make_cells(one, default(), environment, "cuda")} for one in (plan, plain)]
    assert not keys[0] & keys[1]


ODD = 'base.metrics.odd={"use": "torchmetrics", "name": "multiclass_specificity"}'
VALIDATION = ('base.eval_split="validation"', "base.dataset.validation=0.2")
LARGEST_LOSS = 'compare={"metric": "loss", "goal": "maximize"}'


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((ODD, 'compare.metric="odd"'), "compare.goal: nothing says whether 'odd' is better"),
        ((ODD, *VALIDATION, 'base.select="odd"'), "select: nothing says whether 'odd' is better"),
        (('base.metrics.train_loss={"use": "accuracy"}',), "metrics.train_loss: a column of the results has this name already"),
        (
            (*VALIDATION, 'base.select="loss"', LARGEST_LOSS),
            "selects the epoch where it is smallest, and the goal is to",
        ),
        (
            ('factors.batch_norm.on.metrics={"accuracy": {"use": "loss"}}',),
            "compare.goal: 'accuracy' is better when it is larger in some variants, smaller in others",
        ),
    ],
)
def test_a_metric_whose_direction_is_not_known_has_to_be_given_one(spec, overrides, message):
    with pytest.raises(SpecError) as caught:
        plan_of(spec, *overrides)
    assert message in str(caught.value)


def test_a_goal_is_all_that_such_a_metric_needs(spec):
    metric = 'base.metrics={"odd": {"use": "torchmetrics", "name": "multiclass_specificity"}}'
    assert plan_of(spec, metric, 'compare.goal="maximize"').compare.goal == "maximize"
    error = 'base.metrics={"ece": {"use": "torchmetrics", "name": "multiclass_calibration_error"}}'
    assert plan_of(spec, error).compare.goal == "minimize"
