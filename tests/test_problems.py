"""Problems are reported in one way: what can find some is a generator that yields them, and returns what it makes."""

import ast
from collections.abc import Iterator
from pathlib import Path

import ablate
from ablate.errors import Checking, Problem, checked, in_variants

ROOT = Path(ablate.__file__).parent
MODULES = {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8")) for path in ROOT.rglob("*.py")}
YIELDING = ("Checking[", "Iterator[Problem]")


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for module, tree in MODULES.items():
        yield from ((module, node) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


INTERFACES = {  # of others: a trainer appends its notices, and a contract test has a method that gives both
    "trainers/image_classification.py: preflight",
    "testing/component.py: resolve",
    "testing/trainers.py: resolve",
}


def both(first: Problem, second: Problem) -> Checking[int]:
    yield first
    yield second
    return 3


def test_what_a_generator_makes_comes_with_the_problems_that_it_yields():
    first, second = Problem("a", "is wrong"), Problem("b", "is wrong")
    assert checked(both(first, second)) == (3, [first, second])


def test_a_problem_of_several_variants_is_told_once():
    first, second = Problem("a", "is wrong"), Problem("b", "is wrong")
    told = in_variants([("x", first), ("x", second), ("y", first), ("y", first)])
    assert [str(problem) for problem in told] == ["a: is wrong (in variants 'x', 'y')", "b: is wrong (in variant 'x')"]


def test_no_list_of_problems_is_handed_through_or_comes_beside_a_value():
    found = {
        f"{module}: {node.name}"
        for module, node in functions()
        for annotation in (*(each.annotation for each in node.args.args), node.returns)
        if annotation and "list[Problem]" in ast.unparse(annotation).replace("Checking[list[Problem]]", "")
    }
    assert found == INTERFACES


def test_no_generator_of_problems_is_called_and_left():
    """It would check nothing, and nobody would see that."""
    yielding = {
        (module, node.name) for module, node in functions() if node.returns and ast.unparse(node.returns).startswith(YIELDING)
    }
    public = {name for _, name in yielding if not name.startswith("_")}
    assert {"resolve", "compare_of"} < public
    left = []
    for module, tree in MODULES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
                name = ast.unparse(node.value.func).rpartition(".")[2]
                if name in public or (module, name) in yielding:
                    left.append(f"{module}:{node.lineno}: {name}")
    assert not left
