"""What names of columns and settings usually mean: seeds, steps, how a run ended. Whatever is taken from a name is said."""

from typing import Any

from .runs import Status

SEEDS = ("seed", "random_seed", "rng_seed", "manual_seed", "random_state", "randomseed", "seed_everything", "global_seed")
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
    plain = name.lower().replace("-", "_")
    return plain in SEEDS or plain.replace("/", ".").rpartition(".")[2] in SEEDS


def status_of(word: Any) -> Status | None:
    """How a run ended, by the word of a tracker; None for no word that is known."""
    return STATUSES.get(word.strip().lower()) if isinstance(word, str) else None
