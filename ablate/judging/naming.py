"""What names of columns and settings usually mean: seeds, steps, how a run ended. Whatever is taken from a name is said."""

from collections.abc import Collection
from typing import Any

from .runs import Status

SEEDS = ("seed", "random_seed", "rng_seed", "manual_seed", "random_state", "randomseed", "seed_everything", "global_seed")
BLOCKS = ("dataset", "data_set", "dataset_name", "dataset_id", "task", "task_name", "task_id", "env", "env_id", "env_name")
REMARKS = ("info", "error", "exception", "message", "reason", "note", "notes", "remark", "traceback")
STEPS = ("epoch", "epochs", "step", "global_step", "_step", "iteration", "iter", "round", "update")
LEVELS = "base baseline reference control default vanilla none off false no without null main (none)"
BASES = frozenset(LEVELS.split(" "))  # levels that leave things as they are
STATUSES: dict[str, Status] = {
    **dict.fromkeys(("done", "finished", "complete", "completed", "success", "succeeded", "ok"), "done"),
    **dict.fromkeys(("failed", "fail", "failure", "crashed", "error", "oom", "pruned", "diverged"), "failed"),
    **dict.fromkeys(("running", "scheduled", "pending", "waiting", "queued", "unfinished"), "running"),
    **dict.fromkeys(("interrupted", "killed", "cancelled", "canceled", "preempted", "stopped", "missing"), "interrupted"),
}


def is_seed(name: str) -> bool:
    """Whether a setting is named like a seed, the last part of a dotted path as well."""
    return _is_one_of(name, SEEDS)


def is_block(name: str) -> bool:
    """Whether a setting is named like what methods are compared in, such as a dataset."""
    return _is_one_of(name, BLOCKS)


def is_remark(name: str) -> bool:
    """Whether a setting is named like what is said of a run that went wrong."""
    return _is_one_of(name, REMARKS)


def _is_one_of(name: str, names: Collection[str]) -> bool:
    plain = name.lower().replace("-", "_")
    return plain in names or plain.replace("/", ".").rpartition(".")[2] in names


def status_of(word: Any) -> Status | None:
    """How a run ended, by the word of a tracker; None for no word that is known."""
    return STATUSES.get(word.strip().lower()) if isinstance(word, str) else None
