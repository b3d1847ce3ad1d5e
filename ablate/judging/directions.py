"""Which way a metric is better, as far as its name says."""

import re
from typing import Literal

Goal = Literal["maximize", "minimize"]

_SMALLER = """loss losses error errors err errs eer wer cer mer rmse mse mae mape smape rmsle nll nlpd ece brier perplexity ppl
    bpc bpb fid kid lpips regret latency hinge crossentropy logloss xent deviance"""
_RATES = "acc accuracy accuracies auc auroc auprc f1 precision recall specificity sensitivity map miou iou dice top1 top5"
_LARGER = """jaccard bleu rouge meteor chrf psnr ssim r2 mcc kappa ndcg mrr roc aucroc reward rewards return returns elbo
    throughput"""
SMALLER, RATES = frozenset(_SMALLER.split()), frozenset(_RATES.split())
LARGER = RATES | frozenset(_LARGER.split())


def goal_of(metric: str) -> Goal | None:
    """None where no word of the name says it, or two contradict each other."""
    words = words_of(metric)
    smaller, larger = bool(words & SMALLER), bool(words & LARGER)
    if smaller and not larger:
        return "minimize"
    if larger and not smaller:
        return "maximize"
    if words & {"error", "err", "loss"} and words & {"top1", "top5"}:  # such as top1_error
        return "minimize"
    return None


def is_rate(metric: str) -> bool:
    """Whether its name is that of a part of a whole, from 0 to 1, or in percent."""
    return goal_of(metric) == "maximize" and bool(words_of(metric) & RATES)


def words_of(name: str) -> set[str]:
    """The words of a name such as `val/topOneAcc` or `mAP`, in small letters."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return {word.lower() for word in re.split(r"[^A-Za-z0-9]+", f"{split} {name}") if word}
