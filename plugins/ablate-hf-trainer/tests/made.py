"""Texts that a small model can learn to tell apart, and a study of them."""

import csv
import json
import random
from pathlib import Path
from typing import Any

WORDS = {
    "praise": ["splendid", "lovely", "warm", "bright", "gentle", "delight"],
    "blame": ["dreadful", "dull", "cold", "bleak", "harsh", "tedious"],
}
OTHER = ["the", "film", "book", "was", "really", "quite", "a", "evening", "and", "its", "story", "seemed", "to", "me", "so"]


def rows(count: int, seed: int) -> list[dict[str, str]]:
    """Sentences of five to fourteen words, one or two of which tell their label."""
    draw = random.Random(seed)
    made = []
    for index in range(count):
        label = ("praise", "blame")[index % 2]
        words = draw.choices(OTHER, k=draw.randint(4, 12))
        for _ in range(draw.randint(1, 2)):
            words.insert(draw.randrange(len(words)), draw.choice(WORDS[label]))
        made.append({"text": " ".join(words).capitalize() + ".", "label": label})
    return made


def write(path: Path, found: list[dict[str, Any]]) -> Path:
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in found))
        return path
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(found[0]))
        writer.writeheader()
        writer.writerows(found)
    return path


def files(folder: Path, train: int = 96, test: int = 40) -> dict[str, str]:
    """The two files of a recipe."""
    return {
        "train": str(write(folder / "train.csv", rows(train, 1))),
        "test": str(write(folder / "test.jsonl", rows(test, 2))),
    }


BERT = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def recipe(folder: Path, **more: Any) -> dict[str, Any]:
    """A two-layer BERT, and an epoch of six steps."""
    return {
        "use": "hf_trainer",
        **files(folder),
        "model": "bert",
        "config": BERT,
        "tokenizer": "word",
        "max_length": 16,
        "learning_rate": 0.003,
        "epochs": 3,
        **more,
    }
