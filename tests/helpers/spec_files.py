"""A good file, and wrong forms of it: each replaces whole lines and must be told at one line, with these words."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from visiontune.spec.parse import load_study
from visiontune.spec.space.study_spec import StudySpec

GOOD = """\
study: small
data: {source: digits}
objective: {metric: val_top1}
budget: {num_trials: 8, max_epochs: 9}
sampler: {name: tpe}
trial_scheduler: {name: asha}
space:
  model: {name: cnn, depth: {int: [1, 3]}}
  optimizer:
    name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}}, adamw: {}}}
    lr: {float: [1e-4, 1.0], log: true}
  augmentation: {policy: none}
"""

FULL = """\
study: cifar10_small
data: {source: parquet, train: a/train.parquet, val_fraction: 0.1, seed: 0, image_size: 32}
objective: {metric: val_loss, mode: min}
budget: {num_trials: 64, min_epochs: 2, max_epochs: 54, reduction_factor: 3, hours: 1}
sampler: {name: tpe, seed: 0}
resources: {gpus_per_trial: 0.25, cpus_per_trial: 4, max_concurrent_trials: auto}
storage:
confirm: {num_seeds: 2}
space:
  model:
    name: {choice: {resnet18: {stem: small}, lenet5: {width: {choice: [1, 2, 4]}}, cnn: {kernel_size: {int: [1, 7], step: 2}}}}
    activation: {choice: {relu: , prelu: {slope: 0.1}, leaky_relu: {slope: {float: [0, 0.5], step: 0.1}}}}
    init: {choice: [he_normal, glorot_uniform, lecun_normal]}
    dropout: {float: [0.0, 0.5]}
  regularization: {l1: {float: [1e-8, 1e-4], log: true}, l2: 0}
  optimizer:
    name: {choice: {sgd: {momentum: {float: [0.8, 0.99]}, nesterov: {choice: [true, false]}}, adamw: {}}}
    weight_decay: {choice: [0, 1e-4, 1e-3]}
    lr: {float: [1e-4, 1.0], log: true}
  schedule: {name: {choice: {cosine: {warmup_epochs: {int: [0, 3]}}, plateau: {factor: {float: [0.1, 0.5]}}}}}
  augmentation:
    policy:
      choice:
        fixed:
          Affine: {probability: 0.5, magnitude: {float: [0, 1]}}
          HorizontalFlip:
        none: {}
  training: {batch_size: {choice: [32, 64]}}
"""


BRANCHED = """\
study: branched
data: {source: digits}
objective: {metric: val_top1}
budget: {num_trials: 8, max_epochs: 9}
space:
  model:
    name:
      choice:
        lenet5:
          width: {choice: [1, 2]}
          dropout: {choice: [0.0, 0.5]}
          activation: {choice: {leaky_relu: {slope: {choice: [0.1, 0.2]}, norm: layer}, tanh: {}}}
        cnn: {activation: elu, alpha: {float: [0.5, 1.0], step: 0.25}}
        resnet18:
    init: {choice: [he_normal, lecun_normal]}
  optimizer:
    name:
      choice:
        sgd: {lr: {float: [0.01, 1], log: true}, momentum: {float: [0.8, 0.99]}}
        adamw: {lr: {float: [1e-4, 1e-2], log: true}, head_lr_factor: 10}
  augmentation:
    mixing: {choice: {none: {policy: {choice: {trivialaugment: {flip_probability: 0.5}, augmix: {severity: {int: [1, 5]}}}}}, cutmix: {}}}
"""
"""Keys of sections in branches, tables among them."""


class Bad(NamedTuple):
    """`text` replaces line `line` of GOOD; the only problem is at line `at`. `is_shape`: a JSON Schema can see it too."""

    line: int
    text: str
    words: tuple[str, ...]
    is_shape: bool = True
    at: int = 0

    @property
    def content(self) -> str:
        lines = GOOD.splitlines()
        lines[self.line - 1] = self.text
        return "\n".join(lines) + "\n"


VALUES = False
"""What a JSON Schema can't see, because it compares values."""

BAD = [
    # names of studies
    Bad(1, "study: ../x", ("study", "'../x'", "nearest is 'x'")),
    Bad(1, "study: .data", ("starts with a letter or digit",)),
    Bad(1, "study: a b", ("nearest is 'a_b'",)),
    Bad(1, "study: größe", ("letters",)),
    Bad(1, f"study: {'x' * 65}", ("1 to 64",)),
    Bad(1, "study: mlflow.db", ("belongs to the database",), VALUES),
    Bad(1, "study: ok\nregister: a/b", ("register", "nearest is 'a_b'"), VALUES, at=2),
    Bad(1, "study: ok\nregister: digits\nconfirm: {num_seeds: 0}", ("once its winner is confirmed", "nearest is 1"), VALUES, at=2),
    Bad(1, "study: 5", ("must be a string", "5", "quotes")),
    Bad(1, "study:", ("must be a string", "null")),
    Bad(1, "# nothing", ("required key 'study' is missing",), at=2),
    # sections and keys
    Bad(2, "data: {sorce: digits, source: digits}", ("data.sorce: unknown key 'sorce'", "nearest is 'source'")),
    Bad(2, "data: {source: digit}", ("must name one source", "'digit'", "nearest is 'digits'", "parquet")),
    Bad(2, "data: {source: digits, train: a.parquet}", ("'train' is an argument of parquet", "not of digits")),
    Bad(2, "data: {source: parquet}", ("source 'parquet' needs the argument 'train'",)),
    Bad(2, "data: [digits]", ("must be a mapping of keys", "['digits']")),
    Bad(2, "data: {}", ("required key 'source' is missing", "digits")),
    Bad(2, "data: {source: {choice: [digits, parquet]}}", ("must name one source",)),
    Bad(2, "data: {source: digits, seed: {int: [0, 3]}}", ("domains stand only under `space`",)),
    Bad(2, "data: {source: digits, source: digits}", ("data.source: a key may stand once", "line 2"), VALUES),
    Bad(2, "data: {source: digits, val_fraction: 0.9}", ("from 0.01 to 0.5", "0.9", "nearest is 0.5")),
    Bad(6, "bugdet: {num_trials: 3}", ("unknown key 'bugdet'", "nearest is 'budget'")),
    Bad(
        4,
        "# no budget",
        ("required section 'budget' is missing; it needs max_epochs and one of num_trials, epochs, hours, gpu_hours",),
        at=1,
    ),
    Bad(4, "budget: {max_epochs: 9}", ("budget: must have at least one of num_trials, epochs, hours, gpu_hours",)),
    Bad(4, "budget: {max_epochs: 9, hours: null}", ("budget: must have at least one of",), VALUES),
    Bad(4, "budget: {max_epochs: 9, time_limit_s: 60}", ("unknown key 'time_limit_s', which is hours now (seconds / 3600)",)),
    Bad(4, "budget: {max_epochs: 9, hours: 0}", ("from 0.001 to 100000",)),
    Bad(5, "study: again", ("a key may stand once", "line 1"), VALUES),
    Bad(6, "trial_scheduler: {name: median, stop: true}", ("'stop' is an argument of asha, not of median",)),
    # what a search begins with (tests/spec/declarations/test_start.py has more)
    Bad(5, "start: [{optimizer.lrr: 1}]", ("start.recipes[0].optimizer.lrr: unknown key of a recipe", "nearest is 'optimizer.lr'"), VALUES),
    Bad(5, "start: {portfolio: smal_pictures}", ("start.portfolio", "nearest is 'small_pictures'")),
    Bad(5, "start: {studies: digits}", ("must be none, auto or a list of names", "nearest is ['digits']")),
    Bad(5, "start: [{training.num_epochs: 5, optimizer.lr: 0.1}]", ("is the study's own", "budget.max_epochs says it"), VALUES),
    Bad(4, "budget: {num_trials: 8, max_epochs: 9, stop_at: 2}", ("val_top1 lies between 0 and 1, but got 2; nearest is 1",), VALUES),
    Bad(5, "start: [7]", ("start.recipes[0]: must be one of files and mappings",)),
    # types
    Bad(4, "budget: {num_trials: true, max_epochs: 9}", ("budget.num_trials: must be an int from 1 to 1,000,000, but got true",)),
    Bad(4, "budget: {num_trials: '8', max_epochs: 9}", ("'8'", "out of its quotes")),
    Bad(4, "budget: {num_trials: 8.0, max_epochs: 9}", ("8.0", "nearest is 8"), VALUES),
    Bad(4, "budget: {num_trials: 0, max_epochs: 9}", ("from 1 to", "nearest is 1")),
    Bad(4, "budget: {num_trials: 0o1e, max_epochs: 9}", ("'0o1e'",)),
    Bad(4, "budget: {num_trials: 8, max_epochs: 9, hours: .inf}", ("finite",)),
    Bad(4, "budget: {num_trials: 8, max_epochs: 9, hours: 1e999}", ("finite",)),
    Bad(4, "budget: {num_trials: 8, max_epochs: 9, hours: .nan}", ("finite", "nan"), VALUES),
    Bad(5, "sampler: {name: tpe, seed: 1_0}", ("'1_0'",)),
    Bad(5, "sampler: {name: {tpe: {}}}", ("must name one sampler",)),
    Bad(5, "sampler: {name: optuna}", ("sampler 'optuna' needs the argument 'class'",)),
    Bad(5, "sampler: {name: optuna, class: a.B, kwargs: [1]}", ("sampler.kwargs: must be a mapping", "[1]")),
    Bad(5, "sampler: {name: tpe, gamma: 2}", ("from 0.01 to 0.9", "nearest is 0.9")),
    Bad(5, "sampler: {name: cmaes, sigma0: wide}", ("from 0.001 to 1, or auto", "choices: auto")),
    Bad(5, "sampler: {name: random, num_startup: 3}", ("'num_startup' is an argument of tpe, gp and optuna, not of random",)),
    Bad(5, "sampler: {name: TPE}", ("'TPE'", "choices: tpe")),
    Bad(6, "trial_scheduler: ash", ("trial_scheduler.name: must name one trial scheduler", "'ash'", "nearest is 'asha'")),
    Bad(6, "trial_scheduler: {name: asha, stop: yes}", ("'yes'", "nearest is true")),
    Bad(
        6,
        "resources: {gpus_per_trial: 1.5, workers_per_trial: 2}",
        ("each of 2 workers takes whole GPUs, but got 1.5", "nearest is 2"),
        VALUES,
    ),
    Bad(6, "resources: {gpus_per_trial: autoo}", ("from 0 to 64, or auto", "nearest is 'auto'")),
    # what is kept
    Bad(6, "confirm: {weights: soup, use_val: true}", ("confirm.weights: soup is the mean of the seeds'", "nearest is best_seed"), VALUES),
    Bad(6, "confirm: {weights: soup, num_seeds: 1}", ("two seeds or more, but num_seeds is 1", "nearest is best_seed"), VALUES),
    Bad(6, "confirm: {use_val: true, num_seeds: 0}", ("confirm.use_val", "num_seeds is 0; nearest is false"), VALUES),
    # objective
    Bad(3, "objective: {metric: val_top_1}", ("'val_top_1'", "nearest is 'val_top1'", "val_loss")),
    Bad(3, "objective: {metric: val_loss, mode: max}", ("objective.mode", "better when it is lower", "nearest is 'min'"), VALUES),
    Bad(3, "objective: {metric: val_top1, mode: maxx}", ("'maxx'", "nearest is 'max'")),
    # rungs
    Bad(4, "budget: {num_trials: 8, max_epochs: 25}", ("max_epochs=25", "nearest max_epochs is 27 (rungs 1, 3, 9, 27)"), VALUES),
    Bad(4, "budget: {num_trials: 8, min_epochs: 2, max_epochs: 9, reduction_factor: 4}", ("nearest max_epochs is 8",), VALUES),
    Bad(4, "budget: {num_trials: 8, min_epochs: 9, max_epochs: 3}", ("`min_epochs <= max_epochs`", "nearest is 9"), VALUES),
    # a population (tests/spec/reading/test_population_rules.py has more)
    Bad(6, "trial_scheduler: {name: pbt}", ("equal in model.depth and", "parts the 8 trials into 6 groups", "at most 2"), VALUES, at=4),
    Bad(6, "trial_scheduler: {name: pbt, interval: 9}", ("before the last of 9, but got 9", "nearest is 8"), VALUES, at=-1),
    Bad(6, "trial_scheduler: {name: pbt, interval: 0}", ("an int from 1 to 100,000, or auto", "nearest is 1"), at=-1),
    Bad(6, "trial_scheduler: {name: pbt, quantile: 0.6}", ("from 0.01 to 0.5", "nearest is 0.5"), at=-1),
    # domains
    Bad(11, "    lr: {flaot: [0.1, 1]}", ("lr.flaot: unknown kind of domain 'flaot'", "nearest is 'float'", "int, choice")),
    Bad(
        11,
        "    lr: {loguniform: [0.1, 1]}",
        ("unknown kind of domain 'loguniform'; nearest is {float: [low, high], log: true}; choices: ",),
    ),
    Bad(11, "    lr: {categorical: [0.1, 1]}", ("unknown kind of domain 'categorical'; nearest is {choice: [...]}",)),
    Bad(11, "    lr: {log_uniform: [0.1, 1]}", ("unknown kind of domain 'log_uniform'; nearest is {float: [low, high], log: true}",)),
    Bad(11, "    lr: {value: 0.1}", ("lr.value: unknown kind of domain 'value'; nearest is 0.1; choices: ",)),
    Bad(11, "    lr: {min: 0.1, max: 1}", ("optimizer.lr: a domain is named by its kind, but got {", "; nearest is {float: [0.1, 1]}")),
    Bad(
        11,
        "    lr: {distribution: log_uniform_values, min: 0.1, max: 1}",
        ("optimizer.lr: a domain is named by its kind", "; nearest is {float: [0.1, 1], log: true}"),
    ),
    Bad(
        12,
        "  augmentation: {policy: flip}",
        ("an op stands beside the policy fixed: `policy: fixed, HorizontalFlip: {...}`; choices: none",),
    ),
    Bad(11, "    lr: {float: 1e-4..1e-1}", ("a range is [low, high], but got '1e-4..1e-1'; nearest is [1e-4, 1e-1]",)),
    Bad(8, "  model: {name: cnn, depth: randint(1, 3)}", ("depth: ", "but got 'randint(1, 3)'; nearest is {int: [1, 3]}")),
    Bad(11, "    lr: loguniform(0.1, 1)", ("but got 'loguniform(0.1, 1)'; nearest is {float: [0.1, 1], log: true}",)),
    # names of entries where keys are expected
    Bad(10, "    sgd: {momentum: 0.9}", ("optimizer.sgd: unknown key 'sgd'; one is named by `name: sgd`, with its arguments beside it",)),
    Bad(10, "    sgd:\n    adamw:", ("unknown keys 'sgd', 'adamw'; several are named by `name: {choice: {sgd: {...}, adamw: {...}}}`",)),
    Bad(10, "    choice: {sgd: {}, adamw: {}}", ("optimizer.choice: unknown key 'choice'; one is written `name: {choice: {...}}`",)),
    Bad(8, "  model: cnn", ("space.model: must be a mapping of keys, but got 'cnn'; nearest is {name: cnn}; keys: name, ",)),
    Bad(
        8,
        "  model: {name: {cnn: {depth: 2}}}",
        ("name.cnn: unknown key 'cnn' in place of the model; one is named by `name: cnn`, with its",),
    ),
    Bad(
        8,
        "  model: {name: cnn, lenet5: {}}",
        ("unknown key 'lenet5'; one is named by `name: lenet5`, with its arguments beside it, several by",),
    ),
    Bad(12, "  augmentation: {policy: {fixed: {}}}", ("one is named by `policy: fixed`, with its arguments beside it, several by",)),
    Bad(10, "    type: sgd", ("optimizer.type: unknown key 'type'; nearest is 'name'",)),
    Bad(10, "    type: sdg", ("optimizer.type: unknown key 'type'; nearest is 'name'",)),
    Bad(10, "    algo: {choice: {sgd: {momentum: 0.9}, adamw: {}}}", ("optimizer.algo: unknown key 'algo'; nearest is 'name'",)),
    Bad(8, "  model: {name: {type: cnn}}", ("name.type: unknown key 'type' in place of the model; nearest is `name: cnn`",)),
    Bad(5, "sampler: {kind: tpe}", ("sampler.kind: unknown key 'kind'; nearest is 'name'",)),
    # a key that is nearly one that must be there
    Bad(4, "budgett: {num_trials: 8, max_epochs: 9}", ("budgett: unknown key 'budgett'; nearest is 'budget'",)),
    Bad(4, "budget: {num_trials: 8, max_epoch: 9}", ("budget.max_epoch: unknown key 'max_epoch'; nearest is 'max_epochs'",)),
    # what other programs call a key, and a key of another section
    Bad(11, "    learning_rate: 0.1", ("optimizer.learning_rate: unknown key 'learning_rate'; nearest is 'lr'; choices: name, lr",)),
    Bad(11, "    lr: 0.1\n    wd: 1e-4", ("optimizer.wd: unknown key 'wd'; nearest is 'weight_decay'",), at=12),
    Bad(4, "budget: {n_trials: 8, max_epochs: 9}", ("budget.n_trials: unknown key 'n_trials'; nearest is 'num_trials'",)),
    Bad(6, "n_trials: 8", ("n_trials: unknown key 'n_trials'; nearest is 'budget.num_trials'",)),
    Bad(6, "learning-rate: 0.1", ("unknown key 'learning-rate'; nearest is 'space.optimizer.lr'",)),
    Bad(6, "optimizer: {name: sgd}", ("optimizer: unknown key 'optimizer'; nearest is 'space.optimizer'",)),
    Bad(6, "optimizer: sgd", ("optimizer: unknown key 'optimizer'; nearest is 'space.optimizer.name'",)),
    Bad(8, "  network: {name: cnn, depth: {int: [1, 3]}}", ("space.network: unknown key 'network'; nearest is 'model'; choices: ",)),
    Bad(12, "  training: {epochs: 9}", ("unknown key 'epochs'; it stands at 'budget.max_epochs'; choices here: batch_size",)),
    Bad(12, "  schedule: {name: cosine, lr: 0.1}", ("schedule.lr: unknown key 'lr'; it stands at 'space.optimizer.lr'; choices here: ",)),
    Bad(11, "    lr: 0.1\n    epochs: 9", ("optimizer.epochs: unknown key 'epochs'; it stands at 'budget.max_epochs'",), at=12),
    Bad(12, "  num_trials: 8", ("space.num_trials: unknown key 'num_trials'; it stands at 'budget.num_trials'; choices here: ",)),
    Bad(6, "trial_scheduler: {name: asha, max_t: 9}", ("unknown key 'max_t'; it stands at 'budget.max_epochs'; choices here: name",)),
    Bad(
        12,
        "  augmentation.policy: none",
        ("a dot parts keys on the command line, here one stands below", "`augmentation: {policy: ...}`"),
    ),
    Bad(12, "  augmentation: {policy: mixup}", ("must name one policy, but got 'mixup'; mixup is a mixing; choices: none",)),
    Bad(3, "objective: {metric: accuracy}", ("'accuracy', which is val_top1 here; nearest is 'val_top1'; choices: val_top1",)),
    # lists and scalars in place of what should stand
    Bad(10, "    name: [sgd, adamw]", ("must name one optimizer, but got ['sgd', 'adamw']; nearest is {choice: [sgd, adamw]}",)),
    Bad(5, "sampler: {name: [tpe]}", ("must name one sampler, but got ['tpe']; choices: tpe",)),
    Bad(11, "    lr: [0.1, 1]", ("is a list: [0.1, 1]; a choice of these is {choice: [0.1, 1]}, a range {float: [0.1, 1]}",)),
    Bad(4, "budget: {num_trials: [8], max_epochs: 9}", ("num_trials: must be an int", "but is a list: [8]; nearest is 8")),
    Bad(4, "budget: [num_trials: 8, max_epochs: 9]", ("budget: must be a mapping of keys", "nearest is the same without the dashes")),
    Bad(4, "budget: 9", ("budget: must be a mapping of keys, but got 9; keys: num_trials",)),
    Bad(
        2,
        "data: pictures/",
        (
            "data: must be a mapping",
            "'pictures/'; nearest is {source: folder, path: pictures/}; keys",
        ),
    ),
    Bad(11, "    lr: {float: [0.1, 1], q: 0.1}", ("unknown key 'q' of a domain 'float'; nearest is 'step'",)),
    Bad(11, "    lr: 1e\u22123", ("lr: must be a float", "; nearest is 1e-3, with the - of a keyboard")),
    Bad(1, "study: \u201cmine\u201d", ("nearest is 'mine'",)),
    # another spelling, another unit
    Bad(5, "sampler: {name: TPE}", ("sampler.name: must name one sampler, but got 'TPE'; nearest is 'tpe'",)),
    Bad(2, "data: {source: digits, val_fraction: 20%}", ("val_fraction: must be a float", "but got '20%'; nearest is 0.2")),
    Bad(2, "data: {source: digits, image_size: 16x24}", ("image_size: ", "but got '16x24'; nearest is [16, 24]")),
    Bad(2, "data: {source: digits, image_size: 16px}", ("image_size: ", "but got '16px'; a number stands alone, without 'px'")),
    Bad(4, "budget: {hours: 30m, max_epochs: 9}", ("budget.hours: ", "but got '30m'; a number stands alone, without 'm'")),
    Bad(4, "budget: {num_trials: 1_000, max_epochs: 9}", ("num_trials: must be an int", "but got '1_000'; nearest is 1000")),
    Bad(12, "  training: {num_epochs: 9}", ("unknown key 'num_epochs', which is budget.max_epochs; choices: batch_size",)),
    Bad(11, "    lr: {float: [0.1, 1], lgo: true}", ("unknown key 'lgo'", "nearest is 'log'")),
    Bad(11, "    lr: {float: [0.1, 1], log: tru}", ("lr.log: must be true or false, but got 'tru'; nearest is 'true'",)),
    Bad(11, "    lr: {float: [0.1, 1], log: 1}", ("lr.log: must be true or false",)),
    Bad(11, "    lr: {float: [0.1, 1], choice: [0.1]}", ("one kind", "float and choice")),
    Bad(11, "    lr: {log: true}", ("needs its kind",)),
    Bad(11, "    lr: {}", ("needs its kind",)),
    Bad(11, "    lr: {int: [1, 3]}", ("can't be 'int'", "nearest is 'float'")),
    Bad(8, "  model: {name: cnn, depth: {float: [1, 3]}}", ("can't be 'float'", "nearest is 'int'")),
    Bad(11, "    lr: {float: [1.0, 0.1]}", ("`low < high`", "low=1.0, high=0.1", "nearest is [0.1, 1.0]"), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.1]}", ("`low < high`", "the constant 0.1"), VALUES),
    Bad(11, "    lr: {float: []}", ("[low, high]",)),
    Bad(11, "    lr: {float: [0.1, 0.2, 0.3]}", ("[low, high]",)),
    Bad(11, "    lr: {float: 0.1}", ("[low, high]",)),
    Bad(11, "    lr: {float: [0.1, x]}", ("'x'",)),
    Bad(11, "    lr: {float: [0.1, true]}", ("true",)),
    Bad(11, "    lr: {float: [0.1, 1000]}", ("1000", "nearest is 100")),
    Bad(11, "    lr: {float: [0.1, .inf]}", ("finite",)),
    Bad(8, "  regularization: {l1: {float: [0, 1], log: true}}\n  model: {name: cnn}", ("with log `low > 0`", "low=0.0"), VALUES),
    Bad(8, "  model: {name: cnn, depth: {int: [1.0, 3]}}", ("1.0",), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.55], step: 0.1}", ("step must divide", "nearest high is 0.5"), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.5], step: 0.5}", ("`step <= high - low`",), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.5], step: 0}", ("`step > 0`",), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.5], step: -0.1}", ("`step > 0`",), VALUES),
    Bad(11, "    lr: {float: [0.1, 0.5], step: 0.1, log: true}", ("log and step exclude",), VALUES),
    Bad(8, "  model: {name: cnn, depth: {int: [1, 4], step: 2}}", ("step must divide", "nearest high is 5"), VALUES),
    Bad(8, "  model: {name: cnn, depth: {int: [1, 4], step: 1.5}}", ("must be an int", "1.5")),
    Bad(8, "  model: {name: cnn, depth: {int: [0, 3]}}", ("from 1 to 8", "nearest is 1"), VALUES),
    Bad(8, "  model: {name: cnn, kernel_size: {int: [1, 7]}}", ("one of 1, 3, 5, 7",), VALUES),
    Bad(8, "  model: {name: cnn, kernel_size: 4}", ("got 4", "choices: 1, 3, 5, 7")),
    Bad(8, "  model: {name: cnn, kernel_size: {choice: [3, 4]}}", ("got 4",)),
    Bad(11, "    lr: {choice: [0.1, 0.1]}", ("must differ", "0.1 stands 2 times")),
    Bad(11, "    lr: {choice: [1, 1.0]}", ("must differ",)),
    Bad(11, "    lr: {choice: []}", ("one or more values",)),
    Bad(11, "    lr: {choice: {a: {}}}", ("only under the choice of a name",)),
    Bad(11, "    lr:\n      float:\n        - 0.1\n        - 500", ("nearest is 100",), at=14),
    # conditions (tests/spec/test_conditions.py has more)
    Bad(11, "    lr: {float: [0.1, 1], when: {model.depth: 1}}", ("`otherwise` is needed, since lr has no default", "peak learning rate")),
    Bad(11, "    lr: {float: [0.1, 1], otherwise: 1}", ("lr.otherwise: `otherwise` is what lr has where", "there is no `when`")),
    Bad(11, "    lr: {float: [0.1, 1], when: {model.depth: 1}, otherwise: 1000}", ("lr.otherwise: must be a float", "nearest is 100")),
    Bad(11, "    lr: {float: [0.1, 1], when: sgd, otherwise: 1}", ("lr.when: must be a mapping of recipe keys", "but got 'sgd'")),
    Bad(11, "    lr: {float: [0.1, 1], when: {}, otherwise: 1}", ("lr.when: must be a mapping of recipe keys",)),
    Bad(11, "    lr: {float: [0.1, 1], when: {model.depth: []}, otherwise: 1}", ("needs a value or a list of one or more",)),
    Bad(11, "    lr: {when: {model.depth: 1}, otherwise: 1}", ("a domain needs its kind",)),
    Bad(11, "    lr: {float: [0.1, 1], whem: {model.depth: 1}}", ("unknown key 'whem'", "nearest is 'when'")),
    Bad(
        11,
        "    lr: {float: [0.1, 1], when: {model.dept: 1}, otherwise: 1}",
        ("unknown key of the space 'model.dept'", "nearest is 'model.depth'"),
        VALUES,
    ),
    Bad(11, "    lr: {float: [0.1, 1], when: {optimizer.sgd.momentum: 1}, otherwise: 1}", ("nearest is 'optimizer.momentum'",), VALUES),
    Bad(
        11, "    lr: {float: [0.1, 1], when: {optimizer.name: sdg}, otherwise: 1}", ("must name one optimizer", "nearest is 'sgd'"), VALUES
    ),
    Bad(
        11, "    lr: {float: [0.1, 1], when: {optimizer.name: adam}, otherwise: 1}", ("never 'adam' in this space", "choices: sgd"), VALUES
    ),
    Bad(11, "    lr: {float: [0.1, 1], when: {model.depth: 4}, otherwise: 1}", ("model.depth is never 4", "nearest is 3"), VALUES),
    Bad(
        11, "    lr: {float: [0.1, 1], when: {optimizer.momentum: 0.9}, otherwise: 1}", ("momentum is never 0.9", "without a step"), VALUES
    ),
    Bad(11, "    lr: {float: [0.1, 1], when: {optimizer.lr: 1}, otherwise: 1}", ("optimizer.lr can't be a condition of itself",), VALUES),
    Bad(11, "    lr: {float: [0.1, 1], when: {training.batch_size: 64}, otherwise: 1}", ("this condition always holds",), VALUES),
    Bad(
        8,
        "  model: {name: cnn, depth: {int: [1, 3], when: {model.width: 8}}, width: {choice: [8, 16], when: {model.depth: 1}}}",
        ("depth.when.model.width: a circle of conditions: model.depth needs model.width needs model.depth",),
        VALUES,
    ),
    Bad(12, "  augmentation: {policy: {choice: [none, augmix], whn: {model.depth: 1}}}", ("unknown key 'whn'", "nearest is 'when'"), at=-1),
    # tables and their arguments
    Bad(8, "  model: {name: resnet81}", ("must name one model", "nearest is 'resnet18'", "`visiontune list models` has all")),
    Bad(8, "  model: {name: 'timm:resnet18'}", ("nearest is {name: timm, model: resnet18}",)),
    Bad(8, "  model: {name: {choice: ['timm:resnet18', nin]}}", ("nearest is {choice: {timm: {model: resnet18}}}",)),
    Bad(8, "  model: {name: {choice: [nin, cnn: {width: 8}]}}", ("branches stand in a mapping: {choice: {cnn: {...}, ...}}",)),
    Bad(8, "  model: {name: {chioce: [cnn]}}", ("unknown key 'chioce'", "nearest is 'choice'")),
    Bad(8, "  model: {name: {choice: [cnn, cnn]}}", ("must differ", "'cnn'")),
    Bad(8, "  model: {name: {choice: []}}", ("{choice: [a, b]}",)),
    Bad(8, "  model: {name: {choice: {cnn: 3}}}", ("model.name.choice.cnn: must be a mapping", "3")),
    Bad(8, "  model: {name: {choice: {cnn: {width: 0}}}}", ("model.name.choice.cnn.width", "nearest is 1")),
    Bad(8, "  model: {name: {choice: {cnn: {}, lennet5: {}}}}", ("'lennet5'", "nearest is 'lenet5'")),
    Bad(8, "  model: {name: {choice: [cnn, lenet5]}, depth: 3}", ("cnn can take 'depth', but lenet5 can't", "branch")),
    Bad(8, "  model: {name: {choice: {cnn: {width: 3}}}, width: 4}", ("here and in a branch",), VALUES),
    Bad(8, "  model: {name: cnn, slope: 0.1}", ("'slope' is an argument of leaky_relu and prelu, not of published",)),
    Bad(8, "  model: {activation: elu}", ("required key 'name' is missing",)),
    Bad(11, "    lr: 0.1\n    betta1: 0.9", ("unknown key 'betta1'",), at=12),
    Bad(10, "    name: {choice: {sgd: {momentun: 0.9}}}", ("choice.sgd.momentun: unknown key", "nearest is 'momentum'")),
    Bad(
        10,
        "    name: adam\n    momentum: 0.9",
        ("'momentum' is an argument of sgd, rmsprop, schedule_free_sgd and muon, not of adam",),
        at=11,
    ),
    Bad(10, "    name: sgd\n    nesterov: true\n    momentum: 0", ("sgd needs `momentum > 0` where nesterov can be true",), VALUES, at=12),
    Bad(10, "    name: {choice: {sgd: {nesterov: {choice: [true, false]}, momentum: {float: [0, 0.9]}}}}", ("`momentum > 0`",), VALUES),
    # keys of the section in branches
    Bad(11, "    lr_scaling: none", ("required key 'lr' is missing",), at=9),
    Bad(10, "    name: {choice: {sgd: {lr: 0.1}, adamw: {}}}", ("optimizer.lr: stands here and in a branch",), VALUES, at=11),
    Bad(8, "  model: {name: {choice: {cnn: {dropout: 0.3}, lenet5: {}}}, dropout: 0}", ("dropout: stands here and in a branch",), VALUES),
    Bad(
        8,
        "  model:\n    name: {choice: {cnn: {dropout: 0.3}}}\n    activation: {choice: {relu: {dropout: 0.5}}}",
        ("activation.choice.relu.dropout: stands in a branch of name and in one of activation",),
        VALUES,
        at=10,
    ),
    Bad(
        8,
        "  model: {name: {choice: {cnn: {activation: {choice: {relu: {dropout: 0.3}}}, dropout: 0.1}}}}",
        ("name.choice.cnn.dropout: stands here and in a branch",),
        VALUES,
    ),
    Bad(
        8,
        "  model: {activation: {choice: {relu: {name: cnn}, elu: {}}}}",
        ("choice.elu.name: required key 'name' stands in the branch of relu, but not in that of elu; write",),
    ),
    Bad(
        8,
        "  model: {name: {choice: {cnn: {activation: prelu}, lenet5: {}}}, slope: 0.1}",
        ("model.slope: belongs to activation, which stands in branches: write 'slope' there",),
    ),
    Bad(8, "  model: {name: {choice: {cnn: {name: lenet5}}}}", ("cnn.name: unknown key 'name'",)),
    Bad(8, "  model: {name: {choice: {cnn: {slope: 0.1}}}}", ("cnn.slope: unknown key 'slope'",)),
    Bad(8, "  model: {name: {choice: {cnn: {activation: relu, slope: 0.1}}}}", ("argument of leaky_relu and prelu, not of relu",)),
    Bad(8, "  model: {name: {choice: {cnn: {activation: {choice: {relu: {slope: 1}}}}}}}", ("relu.slope: unknown key 'slope'",)),
    Bad(8, "  model: {name: {choice: {cnn: {drop_out: 0.1}}}}", ("unknown key 'drop_out'", "nearest is 'dropout'", "choices: width")),
    Bad(8, "  model: {name: {choice: {cnn: {dropout: 1}}}}", ("name.choice.cnn.dropout: must be a float from 0 to 0.95",)),
    # auto
    Bad(10, "    name: {choice: {sgd: {lr: auto}, adamw: {lr: autoo}}}", ("adamw.lr: must be a float", "'autoo'"), at=-1),
    Bad(10, "    name: adam\n    eps: auto", ("optimizer.eps: auto: no range of eps is worth searching", "{float: [1e-16, 1]}"), at=11),
    Bad(11, "    lr: {int: auto}", ("can't be 'int'", "nearest is 'float'")),
    Bad(11, "    lr: {choice: auto}", ("auto is a float here, but got 'choice'; nearest is {float: auto}",)),
    Bad(11, "    lr: {float: auto, log: true}", ("auto has its own log and step: leave out log",)),
    Bad(11, "    lr: 0.1\n    lr_scaling: auto", ("no range of lr_scaling", "{choice: [none, linear, sqrt]}"), at=12),
    Bad(8, "  training: {use_compile: {choice: auto}}\n  model: {name: cnn}", ("no range of use_compile", "[true, false]")),
    Bad(8, "  model: {name: auto}", ("must name one model, but got 'auto'",)),
    Bad(4, "budget: {num_trials: auto, max_epochs: 9}", ("must be an int", "'auto'")),
    Bad(12, "  augmentation: {policy: fixed, Afine: {}}", ("unknown key 'Afine'", "nearest is 'Affine'"), at=-1),
    Bad(12, "  augmentation: {policy: fixed, HorizontalFlip: {magnitude: 0.3}}", ("HorizontalFlip.magnitude: unknown key",)),
    Bad(12, "  augmentation: {policy: fixed, Affine: {magnitude: 1.5}}", ("from 0 to 1", "1.5")),
    Bad(12, "  augmentation: {policy: fixed, Affine: 0.5}", ("must be a mapping of keys",)),
    Bad(12, "  augmentation: {policy: fixed}", ("at least one", "Affine")),
    Bad(12, "  augmentation: {policy: none, Affine: {}}", ("'Affine' is an argument of fixed, not of none",)),
    Bad(12, "  schedule: {name: cosine, warmup_epochs: 9}", ("warm-up must end before", "nearest is 8"), VALUES),
    Bad(12, "  schedule: {name: step, step_epochs: 4, step_share: 0.5}", ("step_epochs or step_share, not both",), VALUES),
    Bad(5, "sampler: {name: grid}\nconfirm: {num_seeds: 0}", ("the grid sampler needs a step", "[0.0001, 1.0]"), VALUES, at=-1),
]


def write(folder: Path, text: str) -> Path:
    path = folder / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def load(folder: Path, text: str, *overrides: str) -> StudySpec:
    return load_study(write(folder, text), overrides)
