"""A factor of a spec may be a block: the design of the others is run in each of its levels, and compared there."""

import pytest

import ablate
from ablate.blocking import grid_of, named
from ablate.errors import SpecError, UsageError
from ablate.plan import make_cells, make_plan, placebo
from ablate.registry import default
from ablate.runner.job import Options, prepare
from ablate.runner.power import follow_up, power
from ablate.runner.probing import in_words, probe
from ablate.spec import load
from ablate.study import VariantInfo

BLOCKS = {"all": {}, "half": {"dataset": {"validation": 0.5}}}


def plan_of(document, *overrides):
    return make_plan(load(document, overrides), default())


@pytest.fixture
def blocked(spec):
    spec["factors"] = {
        "batch_norm": {"on": {"model": {"batch_norm": True}}},
        "data": BLOCKS,
        "rate": {"low": {"optimizer": {"lr": 0.01}}},
    }
    return spec | {"name": "blocked", "seeds": 2, "compare": {"blocks": ["data"]}}


def test_the_design_is_run_in_every_block(blocked):
    plan = plan_of(blocked)
    assert [variant.name for variant in plan.variants] == [
        "data=all",
        "data=half",
        "batch_norm=on,data=all",
        "batch_norm=on,data=half",
        "data=all,rate=low",
        "data=half,rate=low",
    ]
    assert len(plan_of(blocked, 'design={"use": "factorial"}').variants) == 8
    assert plan.compare.blocks == ("data",)
    assert plan.references["batch_norm=on,data=half"] == "data=half"
    assert plan_of(blocked, "compare={}").references["batch_norm=on,data=all"] == "data=all"


def test_no_key_depends_on_it(blocked, environment):
    def keys(*overrides):
        return {(p.variant, p.seed): p.cell.key for p in make_cells(plan_of(blocked, *overrides), default(), environment, "cpu")}

    both = keys('design={"use": "factorial"}')
    assert both == keys('design={"use": "factorial"}', "compare={}")
    assert keys().items() < both.items()


@pytest.mark.parametrize(
    ("override", "messages"),
    [
        ('compare.blocks=["dta"]', ["compare.blocks: the study has no factor 'dta'", "Did you mean 'data'"]),
        ('compare.blocks=["data", "rate", "batch_norm"]', ["every factor is a block"]),
        ("compare.blocks=[]", ["compare.blocks: is empty"]),
        ('variants={"x": {"epochs": 9}}', ["variants: named patches belong to no block"]),
        ('seeds={"min": 2, "max": 4, "stop": "decided"}', ["seeds: seeds are not added"]),
    ],
)
def test_what_cannot_go_with_blocks_is_told(blocked, override, messages):
    with pytest.raises(SpecError) as error:
        plan_of(blocked, override)
    for message in messages:
        assert message in str(error.value)


def test_what_is_about_seeds_is_refused(blocked, write):
    with pytest.raises(UsageError, match="compare.blocks"):
        placebo(plan_of(blocked))
    with pytest.raises(UsageError, match="it takes more blocks"):
        power(str(write(blocked)), (), None, 0.01, (), (), 0.8)


@pytest.mark.slower
def test_a_study_is_run_stored_and_judged_over_its_blocks(blocked, tmp_path, in_this_process):
    study = ablate.run(blocked, overrides=["base.epochs=1"], store=tmp_path, device="cpu", progress=False)
    assert study.compare.blocks == ("data",)
    assert ablate.load_study("blocked", store=tmp_path).compare == study.compare
    found = study.analysis().blocks
    assert found.reference == "batch_norm=base,rate=base"
    assert [one.variant for one in found.comparisons] == ["batch_norm=on,rate=base", "batch_norm=base,rate=low"]
    assert found.blocks == ("all", "half")
    cells = study.cells.groupby("variant")["accuracy"].mean()
    gaps = [cells[f"batch_norm=on,data={block}"] - cells[f"data={block}"] for block in BLOCKS]
    assert found.comparisons[0].difference == pytest.approx(sum(gaps) / 2)
    assert study.figure("ranks").axes
    with pytest.raises(UsageError, match="it takes more blocks"):
        follow_up("blocked", (), tmp_path, (), 0.8)


def test_a_probe_compares_with_the_reference_of_the_block(blocked, tmp_path):
    blocked["factors"].pop("rate")
    job = prepare(blocked, ["base.epochs=1"], Options(store=tmp_path, data_dir=tmp_path, device="cpu"))
    ran = []
    found = {one.variant: one for one in probe(job, ran.append)}
    assert ran == ["data=all", "data=half", "data=all", "data=half", "batch_norm=on,data=all", "batch_norm=on,data=half"]
    assert {name: one.same for name, one in found.items()} == {
        "data=all": True,
        "data=half": True,
        "batch_norm=on,data=all": False,
        "batch_norm=on,data=half": False,
    }
    assert in_words(found["data=half"], found[job.plan.references["data=half"]]).startswith("the same numbers twice")


def test_names_of_treatments_and_blocks():
    assert named([{"m": "adam"}, {"m": "sgd"}]) == ["adam", "sgd"]
    assert named([{"m": "adam"}, {"m": "0.1"}]) == ["m=adam", "m=0.1"]
    assert named([{"m": "adam"}, {"m": "none"}, {"m": "sgd"}]) == ["adam", "none", "sgd"]
    assert named([{"a": "1,b=2", "b": "3"}, {"a": "1", "b": "2,b=3"}]) == ["a=1,b=2,b=3", "('1', '2,b=3')"]
    levels = [{"m": m, "d": d, "s": s} for m in "xy" for d in "pq" for s in "uv"]
    variants = [VariantInfo(f"v{i}", own, ()) for i, own in enumerate(levels)]
    grid = grid_of(variants, ("d", "s"), "v6")
    assert (grid.reference, grid.blocks) == ("y", ("d=p,s=u", "d=p,s=v", "d=q,s=u", "d=q,s=v"))
    assert grid.variants["x"] == {"d=p,s=u": "v0", "d=p,s=v": "v1", "d=q,s=u": "v2", "d=q,s=v": "v3"}
