"""Mistakes of a spec in the words of who made them: names alone, settings in another place, members of families."""

from dataclasses import replace
from functools import partial

import pytest

from ablate.errors import SpecError, UsageError
from ablate.plan import judged, make_plan
from ablate.registry import Component, Loaded, Registry, default
from ablate.registry.families import suggestion
from ablate.registry.params import Choices, Parameter, Signature
from ablate.spec import load


def told(document):
    """The problems by their places."""
    with pytest.raises(SpecError) as error:
        make_plan(load(document, (), partial(judged, default())), default())
    return {problem.path: (problem.message, problem.hint) for problem in error.value.problems}


def test_a_name_alone_is_shown_as_a_component_wherever_one_is_expected(spec):
    spec["base"] |= {"dataset": "digits", "scheduler": "cosin", "train_transforms": {"normalize": "normalize"}}
    spec |= {"design": "factorial", "tune": {"tuner": "random", "trials": 3}}
    spec["factors"]["model"] = {"plain": {"model": "net"}}
    found = told(spec)
    assert found["design"] == ('found "factorial", expected a component', 'Write {"use": "factorial"}.')
    assert found["base.dataset"][1] == 'Write {"use": "digits"}.'
    assert found["base.train_transforms.normalize"][1] == 'Write {"use": "normalize"}.'
    assert found["factors.model.plain.model"][1] == 'Write {"use": "net"}.'
    assert found["base.scheduler"][0] == 'found "cosin", expected a component, such as {"use": "…"}'
    assert found["base.scheduler"][1].endswith("Did you mean 'cosine'?")


@pytest.mark.parametrize("given", [[{"use": "normalize"}], {"use": "normalize", "mean": [0.5], "std": [0.5]}, "normalize"])
def test_transforms_without_names_are_told_to_have_them(spec, given):
    spec["base"]["train_transforms"] = given
    message, hint = told(spec)["base.train_transforms"]
    assert message.endswith("expected components by name")
    assert hint == 'Give each a name of its own: {"a name": {"use": "transform"}}.'


def test_a_mistake_of_the_structure_hides_no_other(spec):
    spec |= {"seeds": [1, 1], "design": "factorial", "colour": 1}
    spec["base"]["model"] = {"use": "nett"}
    spec["factors"] = {"a": {"on": {"optimizer": {"lr": -1}}}, "b": {}}
    found = told(spec)
    assert found["seeds"] == ("1 is there twice", "Keep one.")
    assert found["factors.b"][0] == "is empty"
    assert found["base.model.use"][0].endswith("Did you mean 'net'?")
    assert "expected a number > 0" in found["factors.a.on.optimizer.lr"][0]
    assert {"design", "colour"} <= found.keys()


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        (["epochs"], "It belongs there: base.epochs."),
        (["margin"], "It belongs there: compare.margin."),
        (["trials"], "It belongs there: tune.trials."),
        (["lr"], "It belongs there: base.optimizer.lr."),
        (["base", "question"], "It belongs there: question."),
        (["base", "lr"], "It belongs there: base.optimizer.lr."),
        (["base", "optimizer", "batch_size"], "It belongs there: base.batch_size."),
        (["base", "model", "momentum"], "It belongs there: base.optimizer.momentum."),
        (["factors", "batch_norm", "on", "lr"], "It belongs there: factors.batch_norm.on.optimizer.lr."),
        (["factors", "batch_norm", "on", "model", "epochs"], "It belongs there: factors.batch_norm.on.epochs."),
        (
            ["factors", "batch_norm", "on", "question"],
            "A level changes the recipe, and this is a setting of the study: question.",
        ),
        (["factors", "batch_norm", "on", "base"], "A level is a patch on the base: write what is in it without `base` around."),
        (["compare", "epochs"], "It belongs there: base.epochs."),
    ],
)
def test_a_setting_in_another_place_is_told_its_own(spec, place, hint):
    spec.setdefault("compare", {})
    owner = spec
    for key in place[:-1]:
        owner = owner[key]
    owner[place[-1]] = {} if place[-1] == "base" else 1
    message, found = told(spec)[".".join(place)]
    assert message.startswith("there is no such setting")
    assert found == hint


def family(broken=False):
    """A registry with a plain component, a family, and a family that fails when it is asked."""

    def fails():
        raise RuntimeError("no network")

    components, loaded = {}, {}
    for name, members in (("net", None), ("zoo", lambda: ["resnet18", "resnet34", "vit_b"]), ("ruin", fails)):
        component = Component("model", name, "nowhere:at_all", f"ablate-{name}", "1")
        parameter = Parameter("arch", {"type": "string"}, True, None, "", None, Choices(members) if members else None, None)
        components[name] = [component]
        loaded["model", component.qualified_name] = Loaded(component, Signature({"arch": parameter}, "", ""), dict)
    components["gone"] = [replace(component, name="gone", problem="there is no module 'nowhere'")]
    return Registry({"model": components}, loaded=loaded)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("resnet18", 'Write {"use": "zoo", "arch": "resnet18"}.'),
        ("ResNet-18", 'Write {"use": "zoo", "arch": "resnet18"}.'),
        ("zoo.models.resnet34", 'Write {"use": "zoo", "arch": "resnet34"}.'),
        ("resnet81", 'Did you mean {"use": "zoo", "arch": "resnet18"}?'),
        ("NET", "Did you mean 'net'?"),
        ("quite_another", "There is: gone, net, ruin, zoo. The members of families are listed by `ablate show model zoo`."),
    ],
)
def test_families_are_asked_for_a_name_that_no_component_has(name, hint):
    """Neither one that fails nor one that cannot be imported has a say."""
    assert suggestion(family(), "model", name) == hint
    with pytest.raises(UsageError) as error:
        family().find("model", name)
    assert str(error.value).endswith(hint)


def test_the_members_of_torchvision_are_offered(spec):
    spec["base"]["model"] = {"use": "resnet18"}
    assert '{"use": "torchvision", "arch": "resnet18"}' in told(spec)["base.model.use"][0]


def test_many_choices_are_not_listed_in_a_message(spec):
    spec["base"]["model"] = {"use": "torchvision", "arch": "nothing like it"}
    _, hint = told(spec)["base.model.arch"]
    assert "in all)" in hint
    assert hint.endswith("`ablate show model torchvision` lists them.")
    assert hint.count(",") < 10


def test_a_package_that_is_gone_is_to_be_installed_again():
    with pytest.raises(UsageError, match=r"ablate-lion is not installed here. Install ablate-lion again.$"):
        default().find("optimizer", "ablate-lion:lion")
