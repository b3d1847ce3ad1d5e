"""What variants cost beside what they bring."""

import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from studies import HOSTILE, make_hostile, make_study

from ablate.report.content import page
from ablate.report.cost import Differs, differs_of, front
from ablate.stats.summary import summarise
from ablate.study import Compare

CPU = {"cpu": "slow", "cores": 2, "device": "cpu"}


def costly(seconds=(60.0, 90.0, 30.0), parameters=(1000, 5000, 1000), **others):
    """The made study, with costs of its own for each variant."""
    made = make_study(**others)
    for variant, took, count in zip(made.variants, seconds, parameters, strict=True):
        own = made.cells["variant"] == variant.name
        made.cells.loc[own, "seconds"] = took
        made.cells.loc[own, "parameters"] = count
    return made


def section(study):
    return next(section for section in page(study).sections if section.title == "Cost")


def axes_of(study, panel):
    axes = Figure().add_subplot()
    section(study).pictures[0].panels[panel].draw(axes)
    return axes


def test_where_nothing_differs_the_verdict_stands_alone():
    found = section(make_study())
    assert found.pictures == ()
    assert found.tables[0].headings == ("variant", "parameters", "time/cell", "time", "images/s")


def test_the_verdict_stands_beside_what_it_costs():
    (table,) = section(costly()).tables
    assert table.headings == ("variant", "verdict", "accuracy", "parameters", "time/cell", "time", "images/s")
    assert [row[:2] for row in table.rows] == [("base", "reference"), ("x", "better"), ("y", "better")]
    assert table.rows[1][3:5] == ("5,000", "1 min 30 s")


def test_nobody_is_on_the_front_whom_another_beats_in_both():
    rows = [
        {"variant": name, "mean": mean, "seconds": seconds}
        for name, mean, seconds in [
            ("a", 0.5, 10),
            ("b", 0.6, 20),
            ("c", 0.55, 30),
            ("d", 0.7, 40),
            ("e", 0.7, 50),
            ("f", 0.4, 10),
        ]
    ]
    assert front(rows, "seconds", maximize=True) == ["a", "b", "d"]
    assert front(rows, "seconds", maximize=False) == ["f"]


def test_a_point_for_each_variant_stands_at_its_mean_and_its_cost():
    study = costly()
    axes = axes_of(study, 0)
    points = {line.get_xydata()[0].tolist()[0]: line.get_xydata()[0][1] for line in axes.lines if len(line.get_xydata()) == 1}
    means = study.cells.groupby("variant")["accuracy"].mean()
    assert points == pytest.approx({60: means["base"], 90: means["x"], 30: means["y"]})
    assert axes.get_xlabel() == "seconds a cell"
    line = next(line for line in axes.lines if line.get_drawstyle() == "steps-post")
    assert line.get_xdata().tolist() == [30], "y is the best and the cheapest"


@pytest.mark.parametrize(
    ("seconds", "unit", "largest"),
    [((60, 200, 80), "seconds", 200), ((60, 600, 80), "minutes", 10), ((60, 7200, 80), "hours", 2)],
)
def test_times_have_a_unit_that_people_read(seconds, unit, largest):
    axes = axes_of(costly(seconds), 0)
    assert axes.get_xlabel() == f"{unit} a cell"
    assert max(line.get_xdata().max() for line in axes.lines) == pytest.approx(largest)


def test_sizes_that_differ_by_much_are_on_a_logarithmic_axis():
    small, large = (axes_of(costly((60.0,) * 3, sizes), 0) for sizes in ((1000, 5000, 1000), (1000, 50_000_000, 1000)))
    assert (small.get_xscale(), large.get_xscale()) == ("linear", "log")
    assert small.get_xlabel() == "trainable parameters"


def test_times_that_a_machine_cannot_tell_apart_are_no_difference():
    study = costly((60.0, 64.0, 62.0), (1000,) * 3)
    assert differs_of(study, summarise(study)) == Differs(False, False)
    assert not section(study).pictures


def test_times_differ_where_every_cell_of_one_variant_is_slower_than_every_cell_of_another():
    study = costly((60.0, 100.0, 60.0), (1000,) * 3)
    assert differs_of(study, summarise(study)).seconds
    study.cells.loc[study.cells["variant"] == "x", "seconds"] = [61.0, 100.0, 150.0, 100.0]
    assert not differs_of(study, summarise(study)).seconds


def test_times_of_several_machines_are_not_compared_and_that_is_said():
    study = costly(provenance=(CPU, {**CPU, "cpu": "fast"}))
    found = section(study)
    assert "They ran on 2 different machines (fast, 2 cores; slow, 2 cores): times say as much of these" in found.notes[1]
    assert [axes_of(study, panel).get_xlabel() for panel in range(len(found.pictures[0].panels))] == ["trainable parameters"]
    again = section(costly(provenance=(CPU, {**CPU, "git": "another revision"})))
    assert len(again.notes) == 1, "one machine with other packages is one machine"
    assert len(again.pictures[0].panels) == 2


def test_cells_that_took_turns_on_a_gpu_are_told():
    notes = section(costly(provenance=({**CPU, "device": "NVIDIA H100"},))).notes
    assert notes[1].startswith("Cells that took turns on a GPU have the time of each other in theirs")


def test_cells_of_a_busy_machine_are_told():
    study = costly()
    study.cells.loc[study.cells["variant"] == "x", "seconds"] = [60.0, 60.0, 150.0, 90.0]
    assert section(study).notes[1].startswith("Cells of 'x' took up to 2.5 times as long as others of it")


def test_variants_within_blocks_are_not_on_one_scale():
    study = costly()
    in_blocks = replace(study, compare=Compare("accuracy", "last", "base", blocks=("data",)))
    assert not differs_of(in_blocks, summarise(study))


def test_a_variant_without_a_value_or_a_cost_has_no_point():
    study = costly()
    study.cells.loc[study.cells["variant"] == "x", "accuracy"] = math.nan
    study.cells["parameters"] = study.cells["parameters"].astype(object)
    study.cells.loc[study.cells["variant"] == "y", "parameters"] = None
    found = section(study)
    assert len(found.pictures[0].panels) == 1, "one variant alone has parameters and a value"
    assert sum(len(line.get_xydata()) == 1 for line in axes_of(study, 0).lines) >= 2


def test_of_many_variants_those_that_differ_least_are_grey():
    names = ["base", *(f"v{i:02}" for i in range(30))]
    study = costly(np.linspace(10, 100, 31), np.arange(1000, 1031), names=names)
    (picture,) = section(study).pictures
    assert len(picture.key) == 12
    assert "In grey: the 19 variants that differ least" in picture.caption


def test_names_from_strangers_are_drawn_as_text():
    study = make_hostile()
    study.cells["parameters"] = pd.factorize(study.cells["variant"])[0] + 1
    (picture,) = section(study).pictures
    from ablate.report.drawing import files

    svg = files(picture)["cost.svg"].decode()
    assert "<script" not in svg
    assert len(picture.key) == min(12, len(HOSTILE))
