"""What other programs call the keys of a file: their words, in lower case with "_" for "-", and the dotted keys that they mean."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

PARAMS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("lr", "learning_rate", "base_lr", "init_lr"), "optimizer.lr"),
        **dict.fromkeys(("optimizer", "optim", "opt"), "optimizer.name"),
        **dict.fromkeys(("weight_decay", "wd"), "optimizer.weight_decay"),
        "momentum": "optimizer.momentum",
        "nesterov": "optimizer.nesterov",
        "beta1": "optimizer.beta1",
        "beta2": "optimizer.beta2",
        "l1": "regularization.l1",
        **dict.fromkeys(("l2", "l2_penalty"), "regularization.l2"),
        **dict.fromkeys(("batch_size", "bs", "batchsize", "train_batch_size"), "training.batch_size"),
        **dict.fromkeys(("model", "arch", "architecture", "network", "backbone", "model_name"), "model.name"),
        **dict.fromkeys(("activation", "activation_function", "act"), "model.activation"),
        **dict.fromkeys(("dropout", "dropout_rate", "drop_rate", "dropout_p"), "model.dropout"),
        "width": "model.width",
        "depth": "model.depth",
        "kernel_size": "model.kernel_size",
        **dict.fromkeys(("label_smoothing", "smoothing"), "loss.label_smoothing"),
        **dict.fromkeys(("scheduler", "lr_scheduler", "schedule", "lr_schedule"), "schedule.name"),
        **dict.fromkeys(("warmup", "warmup_epochs"), "schedule.warmup_epochs"),
        **dict.fromkeys(("gamma", "lr_gamma"), "schedule.gamma"),
        "step_size": "schedule.step_epochs",
        **dict.fromkeys(("mixing", "mix"), "augmentation.mixing"),
        **dict.fromkeys(("epochs", "num_epochs", "max_epochs", "n_epochs"), "budget.max_epochs"),
    }
)
"""Of a recipe: what a search of another program may have as a param."""

_OF_A_FILE: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("n_trials", "num_samples", "max_trials", "maxtrialnumber", "run_cap"), "budget.num_trials"),
        **dict.fromkeys(("timeout", "time_budget", "time_budget_s"), "budget.hours"),
        **dict.fromkeys(("max_t", "nepochs"), "budget.max_epochs"),
        **dict.fromkeys(("grace_period", "min_iter", "min_t"), "budget.min_epochs"),
        "eta": "budget.reduction_factor",
        **dict.fromkeys(("direction", "goal"), "objective.mode"),
        **dict.fromkeys(("study_name", "experiment", "experimentname", "project"), "study"),
        **dict.fromkeys(("search_space", "searchspace", "param_space", "params", "parameters", "hyperparameters", "config"), "space"),
        **dict.fromkeys(("tuner", "search_alg", "algorithm", "method"), "sampler"),
        "pruner": "trial_scheduler",
        **dict.fromkeys(("n_jobs", "max_concurrent", "trialconcurrency", "parallel_trials"), "resources.max_concurrent_trials"),
        **dict.fromkeys(("num_gpus", "n_gpus"), "resources.gpus_per_trial"),
        **dict.fromkeys(("num_cpus", "num_workers", "n_workers"), "resources.cpus_per_trial"),
        "dataset": "data.source",
        **dict.fromkeys(("img_size", "imgsz", "input_size", "resolution"), "data.image_size"),
        **dict.fromkeys(("val_split", "validation_split", "val_size", "valid_pct"), "data.val_fraction"),
        **dict.fromkeys(("test_split", "test_size"), "data.test_fraction"),
        **dict.fromkeys(("data_dir", "root_dir", "data_path"), "data.path"),
        **dict.fromkeys(("drop_path", "drop_path_rate"), "model.stochastic_depth"),
        "pretrained": "transfer.regime",
        **dict.fromkeys(("ema", "model_ema"), "regularization.ema_decay"),
        **dict.fromkeys(("early_stopping", "early_stopping_patience"), "regularization.early_stop_epochs"),
        **dict.fromkeys(("grad_clip", "clip_grad", "gradient_clip_val", "max_grad_norm"), "regularization.clip_norm"),
        **dict.fromkeys(("aug", "augment", "augmentations", "transforms"), "augmentation.policy"),
        "n": "augmentation.num_ops",
        "m": "augmentation.magnitude",
        **dict.fromkeys(("criterion", "loss_fn"), "loss.name"),
        **dict.fromkeys(("amp", "fp16", "mixed_precision"), "training.precision"),
    }
)
"""Of a search-space file beside these, and those that no import may take for a param."""


def plain(word: str) -> str:
    """As the tables have it."""
    return word.lower().replace("-", "_")


def meant_by(word: str) -> str:
    """The dotted key that another program's word means, "" for none.

    >>> meant_by("learning-rate"), meant_by("n_trials"), meant_by("colour")
    ('optimizer.lr', 'budget.num_trials', '')
    """
    return {**PARAMS, **_OF_A_FILE}.get(plain(word), "")
