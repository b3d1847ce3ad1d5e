"""Specs from a stranger: valid ones that are changed somewhere, garbage, and what explodes; and how each of them is taken."""

import copy
import json
import random
import re
import resource
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

from ablate.contracts import Json

SPECS = Path(__file__).parents[2] / "specs"
RAW = (
    "NaN",
    "-Infinity",
    "1e999",
    "-1e-999",
    "9" * 30,
    "9" * 5000,
    "1e300",
    "-0",
    "01",
    "0x10",
    "tru",
    "''",
    '"\\x"',
    '"\t"',
    "{,}",
    "",
)
EVIL: tuple[Json, ...] = (
    None, True, False, 0, 1, -1, 0.0, 1.0, 3.0, 1.5, 1e300, -1e300, 5e-324, 2**31, 2**53 + 1, 2**63 - 1, 2**63, -(2**63) - 1,
    10**400, "", " ", "\n", "tiny\n", "a" * 10_000, "\ud800", "\udfff\ud800", "\x00", "\x1b]0;t\x07", "\u202egnp", "..",
    "../../x", "/etc/passwd", "/dev/zero", "/dev/stdin", "~nobody-at-all/x", "~", "x/" * 3000, "=cmd|' /C calc'!A0",
    "<script>alert(1)</script>", "os:system", "ablate-core:sgd", "ablate-core:", ":", "a:b:c", "sgd", "adam", "torchvision",
    "image_folder", "normalize", "digits", "random_apply", [], [None], [[]], {}, {"use": ""}, {"use": None}, {"use": "sgd"},
    {"use": "sgd", "use ": 1}, {"use": "torchvision", "arch": "resnet18"},
    {"use": "torchvision", "arch": "resnet18", "weights_path": "/dev/zero"}, {"use": "image_folder", "path": "/dev"},
    {"use": "image_folder", "path": "x" * 5000}, {"use": "torchvision", "name": "Lambda"},
    {"use": "torchmetrics", "name": "exec"},
    {"use": "random_apply", "transforms": {"a": {"use": "random_apply", "transforms": None}}},
    {"use": "normalize", "mean": [], "std": []}, {"a": {"b": {"c": {"d": 1}}}}, {"": 1}, {"a.b": {'"': 1}}, {"\ud800": 1},
    {"min": 3, "max": 2, "stop": "decided"}, [1, 1.0, True, "1"], list(range(300)), ["\ud800"] * 3,
    {str(i): {} for i in range(300)}, "\u2028", "é", "e\u0301", "🙂" * 100,
)  # fmt: skip


def valid() -> list[Json]:
    """What the mutations begin from."""
    files = [json.loads(path.read_text("utf-8")) for path in sorted(SPECS.glob("*.json"))]
    rich = next(document for document in files if document["name"].startswith("q3"))
    space = {"optimizer.lr": {"low": 0.001, "high": 1, "log": True}, "batch_size": {"choices": [32, 64]}}
    tune = {"trials": 3, "seeds": 1, "space": space, "spaces": {"optimizer=adam": space}, "tuner": {"use": "random"}}
    tuned = {**rich, "base": {**rich["base"], "dataset": {"use": "cifar10", "validation": 0.1}}, "tune": tune}
    return [
        *files,
        *[tuned] * 3,  # as much as all of tune deserves
        {**rich, "seeds": {"min": 2, "max": 4, "stop": "decided"}, "compare": {"metric": "accuracy", "at": 2, "margin": 0.1}},
    ]


def mutated(rng: random.Random, documents: list[Json]) -> str:
    """A valid spec with up to four changes, and sometimes one of its text."""
    document = copy.deepcopy(rng.choice(documents))
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        rng.choice((_replace, _replace, _replace, _remove, _insert, _rename, _swap, _nest))(rng, document)
    text = json.dumps(document, ensure_ascii=rng.random() < 0.9)
    if rng.random() < 0.15:
        place = rng.choice([match.span() for match in re.finditer(r'"[^"]*"|[\d.]+|[\[\]{},:]', text)])
        text = text[: place[0]] + rng.choice((*RAW, '"epochs"', '"base":{},', "[" * 200)) + text[place[1] :]
    return text


def garbage(rng: random.Random) -> str:
    """JSON of any form, or nearly."""
    kind = rng.randrange(4)
    if kind == 0:
        return json.dumps(_value(rng, 4))
    if kind == 1:
        return "".join(
            rng.choice(("{", "}", "[", "]", ",", ":", '"', "\\", '"base"', '"use"', "1", *RAW)) for _ in range(rng.randrange(40))
        )
    if kind == 2:
        return "".join(chr(rng.choice((rng.randrange(128), rng.randrange(0x110000)))) for _ in range(rng.randrange(60)))
    keys = ("name", "base", "factors", "variants", "seeds", "compare", "published", "design", "timeout")
    return json.dumps({key: _value(rng, 3) for key in rng.sample(keys, rng.randrange(len(keys)))})


def exploding() -> dict[str, Json]:
    """Small files that mean a lot, and files that are a lot; by what they try."""
    base = {"dataset": {"use": "mnist"}, "model": {"use": "net"}, "optimizer": {"use": "sgd"}}
    ten = {f"l{i}": {"epochs": i + 1} for i in range(10)}
    study = {"name": "big", "base": base}
    many = {f"v{i}": {"epochs": i + 20} for i in range(9000)}
    return {
        "10^9 cells by factors": study
        | {"factors": {f"f{i}": ten for i in range(9)}, "design": {"use": "factorial"}, "seeds": 1},
        "2^99 combinations": study
        | {"factors": {f"f{i}": {"x": {"epochs": 1}} for i in range(99)}, "design": {"use": "factorial"}},
        "9,000 variants × 10,000 seeds": study | {"variants": many, "seeds": 10_000},
        "a million seeds": study | {"seeds": list(range(1_000_000))},
        "25,000 seeds of two types": study | {"seeds": [i if i % 2 else str(i) for i in range(25_000)]},
        "25,000 seeds that are none": study | {"seeds": [None] * 25_000},
        "10^12 seeds": study | {"seeds": 10**12},
        "10^9 random orders": study
        | {"factors": {f"f{i}": ten for i in range(9)}, "design": {"use": "cumulative", "orders": 10**9}},
        "10,000 factors": study | {"factors": {f"f{i}": {"x": {"epochs": i + 1}} for i in range(10_000)}},
        "14,000 levels": study | {"factors": {"f": {f"l{i}": {"epochs": i + 1} for i in range(14_000)}}},
        "25,000 unknown settings": study | {"base": base | {f"optimiser{i}": 1 for i in range(25_000)}},
        "9,000 wrong patches": study | {"variants": {f"v{i}": {"epochz": 1, "model": {"use": "nett"}} for i in range(9000)}},
        "25,000 published": study | {"published": {"source": "x", "accuracy": {f"bas{i}": 1 for i in range(25_000)}}},
        "a list of 29,000 means": study
        | {"base": base | {"train_transforms": {"n": {"use": "normalize", "mean": [0.5] * 29_000, "std": [1]}}}},
        "digits of 10^9 pixels": study | {"base": base | {"dataset": {"use": "digits", "size": 32_000}}},
        "a key of 900,000 characters": study | {"k" * 900_000: 1},
        "a name of 900,000 characters": study | {"name": "n" * 900_000},
        "an optimizer of 900,000 characters": study | {"base": base | {"optimizer": {"use": "s" * 900_000}}},
    }


def _value(rng: random.Random, depth: int) -> Json:
    if depth and rng.random() < 0.5:
        items = [_value(rng, depth - 1) for _ in range(rng.randrange(4))]
        names = ("use", "lr", "epochs", "name", "base", "model", "a", "", "\n", "a.b", "\ud800", "k" * 200)
        return items if rng.random() < 0.4 else {rng.choice(names): item for item in items}
    return copy.deepcopy(rng.choice(EVIL))


def _owners(document: Json) -> list[tuple[Json, Json]]:
    """Every place of a document: its owner, and its key there."""
    inner = document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    return [place for key, item in inner for place in ((document, key), *_owners(item))]


def _replace(rng: random.Random, document: Json) -> None:
    if places := _owners(document):
        owner, key = rng.choice(places)
        owner[key] = _value(rng, 2)


def _remove(rng: random.Random, document: Json) -> None:
    if places := _owners(document):
        owner, key = rng.choice(places)
        del owner[key]


def _insert(rng: random.Random, document: Json) -> None:
    owner = rng.choice([document, *(owner[key] for owner, key in _owners(document) if isinstance(owner[key], dict))])
    names = [key for _, key in _owners(document) if isinstance(key, str)]
    owner[rng.choice([*names, "x", "", "tiny\n", "\ud800", "a=b", "a,b", "k" * 10_000])] = _value(rng, 2)


def _rename(rng: random.Random, document: Json) -> None:
    if places := [(owner, key) for owner, key in _owners(document) if isinstance(owner, dict)]:
        owner, key = rng.choice(places)
        owner[rng.choice((f"{key}\n", f"{key}s", "", key.upper(), "use", "\udc00"))] = owner.pop(key)


def _swap(rng: random.Random, document: Json) -> None:
    places = _owners(document)
    if len(places) > 1:
        (one, a), (other, b) = rng.sample(places, 2)
        one[a] = copy.deepcopy(other[b])


def _nest(rng: random.Random, document: Json) -> None:
    if places := _owners(document):
        owner, key = rng.choice(places)
        for _ in range(rng.choice((1, 3, 70))):
            owner[key] = rng.choice(({"x": owner[key]}, [owner[key]]))


PLACED = re.compile(
    r"^(line \d+, column \d+: |.* is missing$|there are more than |there is no such setting|found .*, expected an object$"
    r"|half of a surrogate pair stands alone in (a key|the text)$|the key is there twice$|the number .* is not allowed$)"
)


def outcome(path: Path) -> tuple[str, str]:
    """How `ablate check` takes a spec: (`taken`, `refused` or `broken`, what is to be told of it)."""
    from rich.console import Console

    from ablate.errors import SpecError, UsageError
    from ablate.report.variants import variants_view
    from ablate.runner.job import Options, prepare

    options = Options(device="cpu", download=False, data_dir=path.parent / "data")
    try:
        job = prepare(path, (), options)
        infos = job.plan.infos()
        Console(file=StringIO()).print(variants_view(infos, [job.plan.compare.reference], {info.name: (0, 1) for info in infos}))
        json.dumps(job.plan.record(), allow_nan=False, ensure_ascii=False).encode()
    except SpecError as error:
        lost = [p for p in error.problems if not p.path and not PLACED.search(p.message)]
        str(error).encode("utf-8", "backslashreplace")
        long = [p for p in str(error).splitlines() if len(p) > 2100]
        return (
            ("broken", f"a message without a place: {lost[0]}")
            if lost
            else ("broken", "a long line")
            if long
            else ("refused", "")
        )
    except UsageError as error:
        return ("refused", "") if str(path) in str(error) else ("broken", f"no place in {error}")
    except BaseException:
        return "broken", traceback.format_exc(limit=-4)
    return "taken", ""


def stream(seed: int) -> Iterator[str]:
    """Specs without end: three of four are valid ones with changes."""
    rng, documents = random.Random(seed), valid()
    while True:
        yield garbage(rng) if rng.random() < 0.25 else mutated(rng, documents)


def tried(texts: Iterator[str], count: int, tell: Callable[[str], None]) -> dict[str, Json]:
    """Checks so many specs; counts outcomes, and seconds of the processor."""
    counts: Counter[str] = Counter()
    slowest, slow = 0.0, 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spec.json"
        for text, _ in zip(texts, range(count), strict=False):
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
            start = time.process_time()
            found, why = outcome(path)
            seconds = time.process_time() - start
            counts[found] += 1
            slowest, slow = max(slowest, seconds), slow + (seconds > 1)
            if found == "broken" or seconds > 1:
                tell(f"{found}, {seconds:.1f} s: {why}\n{text[:3000]!r}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {**counts, "slowest": slowest, "slow": slow, "peak": peak}


def main(seed: int, count: int) -> None:
    """A worker: with 6 GB of address space, of which torch takes a part; what it found is one line of JSON."""
    resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
    for document in valid():  # imports are not part of the time
        tried(iter([json.dumps(document)]), 1, lambda _: None)
    print(json.dumps(tried(stream(seed), count, lambda text: print(text, file=sys.stderr, flush=True))))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
