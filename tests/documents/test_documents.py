"""What commands print for programs: it fits its schema, and no field of a version goes."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from ablate import documents
from ablate.cli import app
from ablate.contracts import Factor
from ablate.documents.schemas import names, schema, schema_of
from ablate.errors import UsageError
from ablate.report.content import page
from ablate.report.data import as_json
from ablate.stats.records import Effect
from ablate.version import JSON_VERSION
from tests.report.studies import ATTRIBUTION, FACTORIAL, analysis, effect, make_factorial, make_hostile, make_study, make_tuned
from tests.watch.studies import finished

KEPT = Path(__file__).with_name("fields.json")


def wrong(name, document):
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema(name)).iter_errors(document)]


def printed(*words):
    done = CliRunner().invoke(app, [*map(str, words), "--json"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", names())
def test_every_schema_is_one(name):
    Draft202012Validator.check_schema(schema(name))
    assert schema(name)["properties"]["version"]["const"] == JSON_VERSION


def test_a_name_that_nothing_has():
    with pytest.raises(UsageError, match="no document is called 'studdy'. Did you mean 'study'"):
        documents.schema("studdy")


def full():
    study = make_factorial([Factor("a", "off", ("on",)), Factor("b", "off", ("on",))])
    found = map(effect, [variant.name for variant in study.variants[1:]])
    return page(study, analysis(*found, factorial=FACTORIAL, attribution=ATTRIBUTION))


@pytest.mark.parametrize("made", [make_study, make_hostile, make_tuned, full], ids=lambda made: made.__name__)
def test_a_report_fits(made):
    shown = made() if made is full else page(made())
    assert wrong("study", json.loads(as_json([shown]))) == []
    assert wrong("studies", json.loads(as_json([shown, shown]))) == []


def test_what_does_not_fit_is_found():
    document = json.loads(as_json([page(make_study())]))
    assert wrong("study", document | {"version": 2}) == ["$.version: 1 was expected"]
    document["analysis"]["effects"][0]["verdict"] = "great"
    del document["compare"]["alpha"]
    assert sorted(line.partition(":")[0] for line in wrong("study", document)) == ["$.analysis.effects[0].verdict", "$.compare"]


def test_commands_of_a_store_print_what_python_gives(tmp_path):
    finished(tmp_path / "store")
    store = ("--store", tmp_path / "store")
    for name, words, told in (
        ("status", ["status", *store], documents.status(tmp_path / "store")),
        ("store-list", ["store", "list", *store], documents.store_list(tmp_path / "store")),
        ("store-size", ["store", "size", *store], documents.store_size(tmp_path / "store")),
        ("power", ["power", "s", *store], documents.power("s", store=tmp_path / "store")),
        ("diff", ["diff", "s", "s", *store], documents.diff("s", "s", store=tmp_path / "store")),
    ):
        document = printed(*words)
        assert wrong(name, document) == []
        assert document == json.loads(json.dumps(told)), name
    for words in ("list", "size"):
        assert wrong(f"store-{words}", printed("store", words, *store)) == []
    from ablate import load_study

    report = printed("report", "s", *store)
    assert report == json.loads(json.dumps(documents.study(load_study("s", store=tmp_path / "store"))))
    assert report == json.loads(CliRunner().invoke(app, ["report", "s", *map(str, store), "--format", "json"]).stdout)
    assert documents.status(tmp_path / "store")["studies"][0]["done"] == 6


def test_a_check_prints_what_python_gives(tmp_path, spec, write):
    words = ["check", write(spec), "--store", tmp_path / "store", "--device", "cpu"]
    document = printed(*words)
    assert wrong("check", document) == []
    assert document == json.loads(json.dumps(documents.check(spec, store=tmp_path / "store", device="cpu")))
    assert [variant["cells"] for variant in document["variants"]] == [2, 2]


def test_a_table_that_is_judged_is_a_study(tmp_path):
    rows = [f"{lr},{seed},{0.5 + lr + seed / 100}" for lr in (0.1, 0.2) for seed in range(3)]
    (tmp_path / "runs.csv").write_text("\n".join(["lr,seed,accuracy", *rows]))
    assert wrong("study", printed("judge", tmp_path / "runs.csv", "--metric", "accuracy")) == []


def test_two_formats_are_refused(tmp_path):
    finished(tmp_path)
    done = CliRunner().invoke(app, ["report", "s", "--store", str(tmp_path), "--json", "--format", "csv"])
    assert isinstance(done.exception, UsageError)
    assert "--json and --format csv" in str(done.exception)


def test_what_is_installed():
    assert wrong("list", printed("list", "metric")) == []
    shown = printed("show", "metric", "accuracy")
    assert wrong("show", shown) == []
    assert (shown["version"], shown["distribution"]) == (1, "ablate-core")
    assert shown["distribution_version"]


def test_attributes_bring_their_words_along():
    made = schema_of(Effect)["properties"]
    assert made["difference"]["description"]
    assert made["seeds_least"]["anyOf"] == [{"type": "integer"}, {"type": "null"}]


def flat(made, path):
    """Every field of a schema by its path, with its type."""
    found = {}
    for key, part in made.get("properties", {}).items():
        kinds = [str(one.get("const", one.get("type", "enum" if "enum" in one else "any"))) for one in part.get("anyOf", [part])]
        found[f"{path}.{key}"] = " or ".join(kinds)
        for inner in (part, part.get("items") or {}, *part.get("anyOf", ())):
            found |= flat(inner, f"{path}.{key}") | flat(inner.get("items") or {}, f"{path}.{key}[]")
    return found


def fields():
    return {path: kind for name in names() if name != "studies" for path, kind in flat(schema(name), name).items()}


def test_no_field_of_this_version_has_gone():
    """Who takes one away or changes its type counts `JSON_VERSION` up, and runs this file to write the fields anew."""
    now, kept = fields(), json.loads(KEPT.read_text())
    assert kept["version"] == JSON_VERSION
    assert {path: kind for path, kind in kept["fields"].items() if now.get(path) != kind} == {}


if __name__ == "__main__":
    KEPT.write_text(json.dumps({"version": JSON_VERSION, "fields": fields()}, indent=0) + "\n")
