"""What to write in place of an option that a verb has not: its own nearest, what it calls the same, or the key of a file that is meant."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from visiontune.errors import closest
from visiontune.spec.declarations.declare import Field
from visiontune.spec.reading.name_hints import MOST_PLACES, places_of
from visiontune.spec.space.sections import DATA, RECIPE, STUDY

_CALLED_ELSEWHERE = {
    "--tta": "--test-time",
    "--num": "-n",
    "--top": "--classes",
    "--classes": "--num-classes",
    "--channels": "--in-channels",
    "--workers": "--max-concurrent-trials",
}
_KEYS = {"init": DATA.fields, "ingest": DATA.fields, "evaluate": DATA.fields, "train": RECIPE.fields, "enqueue": RECIPE.fields}
"""What the overrides of a verb may say; of the others it is what a search space says."""


def nearest_option(option: str, known: Collection[str]) -> str:
    """The closest option if one is close, then all of them; dashes, which all have, bring none closer.

    >>> nearest_option("--retries", ["--address", "--retry"]), nearest_option("--tta", ["--to", "--test-time"])
    ("nearest is '--retry'; choices: --address, --retry", "nearest is '--test-time'; choices: --to, --test-time")
    """
    names = {one.lstrip("-") if option.startswith("--") else one: one for one in known}
    word = option.lstrip("-") if option.startswith("--") else option
    close = [_CALLED_ELSEWHERE.get(option, "")] + [names[name] for name in closest(word, names)]
    near = next((one for one in close if one in known), "")
    return f"{near and f'nearest is {near!r}; '}choices: {', '.join(known)}"


def override_hint(option: str, verb: str) -> str:
    """The tail for a verb that takes overrides: how a key is written that was given as an option.

    >>> override_hint("--num-trials", "search")
    '; what a file says is changed without dashes, by budget.num_trials=VALUE'
    """
    fields: Mapping[str, Field] = _KEYS.get(verb, STUDY.fields)
    key = option.lstrip("-").replace("-", "_")
    places = [*([key] if key.partition(".")[0] in fields else []), *places_of(key, fields)]
    keys = places if 0 < len(places) <= MOST_PLACES else ["KEY"]
    return f"; what a file says is changed without dashes, by {' or '.join(f'{one}=VALUE' for one in keys)}"
