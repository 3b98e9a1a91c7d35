"""Policies against their papers: what is drawn how often, how strong it is, what is mixed; and keyed like any other."""

from __future__ import annotations

import itertools
import pickle
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from visiontune.augmentation.policies.randaugment import NUM_LEVELS, Chains
from visiontune.augmentation.policy import Policy, build_policy, problem_of, suits
from visiontune.augmentation.policy_steps import Ramp
from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.spec.space.sections import RECIPE
from visiontune.spec.space.space import fill
from visiontune.spec.tables.ops import OPS
from visiontune.spec.tables.policies import AUGMIX_OPS, DRAWN_OPS, NUM_SUBS, POLICIES

PICTURES = np.random.default_rng(1).integers(0, 256, (40, 16, 16, 3), dtype=np.uint8)
INDEX = np.random.default_rng(2).permutation(1000)[:40]
WITHOUT_OPS = [name for name, entry in POLICIES.entries.items() if entry.builder and name != "fixed"]


def section(policy: str, **args: Any) -> dict[str, Any]:
    """Every default filled in, as in a recipe."""
    return fill(RECIPE.fields["augmentation"].fields, {"policy": policy, **args})  # type: ignore[union-attr]


def made(policy: str, channels: int = 3, num_epochs: int = 1, **args: Any) -> Policy:
    built = build_policy(section(policy, **args), image_size=16, channels=channels, num_epochs=num_epochs)
    assert built is not None
    return built


Applied = list[tuple[str, float, np.ndarray]]


def applied(policy: Policy, num: int = 4000, epoch: int = 1) -> Applied:
    """(op, magnitude, rows) of everything that `num` pictures would get; pixels are left alone."""
    seen: Applied = []

    def apply_drawn(kinds: Any, which_K: np.ndarray, _: Any, rows_K: np.ndarray, *__: Any) -> None:
        seen.extend((name, magnitude, rows_K[which_K == number]) for number, (name, magnitude) in enumerate(kinds))

    policy.ops.apply = lambda name, magnitude, _, rows_K, *__: seen.append((name, magnitude, rows_K))  # type: ignore[method-assign]
    policy.ops.apply_drawn = apply_drawn  # type: ignore[method-assign]
    policy(np.zeros((num, 1, 1, 3), np.uint8), seed=3, epoch=epoch, index_N=np.arange(num))
    return seen


def is_uniform(counts: Counter[Any], num_kinds: int) -> bool:
    return len(counts) == num_kinds and stats.chisquare(list(counts.values())).pvalue > 1e-3


@pytest.mark.parametrize("name", WITHOUT_OPS)
def test_same_for_any_batch_order_instance_and_process(name: str) -> None:
    args = {"flip_probability": 0.5, "crop_magnitude": 0.5}
    whole = made(name, **args)(PICTURES, seed=5, epoch=2, index_N=INDEX)
    other = pickle.loads(pickle.dumps(made(name, **args)))
    other(PICTURES[:3], seed=1, epoch=9, index_N=INDEX[:3])
    order = np.random.default_rng(3).permutation(len(INDEX))
    for rows in np.array_split(order, 5):
        np.testing.assert_array_equal(other(PICTURES[rows], seed=5, epoch=2, index_N=INDEX[rows]), whole[rows])
    for seed, epoch in ((6, 2), (5, 3)):
        changed = other(PICTURES, seed=seed, epoch=epoch, index_N=INDEX)
        assert (changed != whole).any((1, 2, 3)).mean() > 0.5


@pytest.mark.parametrize("num_ops", [1, 2, 5])
def test_randaugment_gives_every_picture_exactly_its_number_of_ops_drawn_uniformly(num_ops: int) -> None:
    seen = applied(made("soft_randaugment", num_ops=num_ops, magnitude=0.4))
    rows = np.concatenate([rows for _, _, rows in seen])
    np.testing.assert_array_equal(np.bincount(rows), np.full(4000, num_ops))
    counts: Counter[str] = Counter()
    for name, _, mine in seen:
        counts[name] += len(mine)
    assert is_uniform(counts, len(DRAWN_OPS)) and counts.keys() == {*DRAWN_OPS}
    assert {magnitude for name, magnitude, _ in seen if "magnitude" in OPS.entries[name].args} == {0.4}


def test_randaugments_draws_are_independent_of_each_other() -> None:
    """Which op comes second has nothing to do with the first, and neither with the neighbour's."""
    op_2N = np.full((2, 4000), -1)
    for name, _, rows in applied(made("soft_randaugment", num_ops=2)):
        op_2N[(op_2N[:, rows] >= 0).sum(0), rows] = DRAWN_OPS.index(name)
    for one, other in ((op_2N[0], op_2N[1]), (op_2N[0, :-1], op_2N[0, 1:])):
        table = np.zeros((len(DRAWN_OPS), len(DRAWN_OPS)))
        np.add.at(table, (one, other), 1)
        assert stats.chi2_contingency(table).pvalue > 1e-3


def test_trivialaugment_gives_one_op_at_a_uniform_magnitude() -> None:
    seen = applied(made("soft_trivialaugment"), num=20_000)
    np.testing.assert_array_equal(np.sort(np.concatenate([rows for _, _, rows in seen])), np.arange(20_000))
    ops: Counter[str] = Counter()
    levels: Counter[int] = Counter()
    for name, magnitude, rows in seen:
        ops[name] += len(rows)
        if "magnitude" in OPS.entries[name].args:
            levels[round(magnitude * 30)] += len(rows)
            assert magnitude * 30 == pytest.approx(round(magnitude * 30))
    assert is_uniform(ops, len(DRAWN_OPS)) and is_uniform(levels, NUM_LEVELS)
    assert min(levels) == 0 and max(levels) == 30


def test_magnitude_goes_linearly_over_the_full_budget() -> None:
    ramp = Ramp(0.2, 0.8, num_epochs=7)
    assert [ramp.at(epoch) for epoch in range(1, 8)] == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
    assert ramp.at(0) == 0.2 and ramp.at(9) == 0.8
    assert Ramp(0.2).at(5) == Ramp(0.2, 0.8, num_epochs=1).at(1) == 0.2
    for policy, args in (
        ("soft_randaugment", {"magnitude": 0.9, "final_magnitude": 0.1}),
        ("fixed", {"Affine": {"probability": 1.0, "magnitude": 0.9, "final_magnitude": 0.1}}),
    ):
        strengths = [
            {m for name, m, _ in applied(made(policy, num_epochs=5, **args), epoch=e) if name in ("Affine", "Rotate")} for e in (1, 3, 5)
        ]
        assert [strength.pop() for strength in strengths] == pytest.approx([0.9, 0.5, 0.1])


def test_a_ramped_op_changes_more_as_its_magnitude_grows_and_nothing_at_0() -> None:
    policy = made("fixed", num_epochs=3, GaussNoise={"probability": 1.0, "magnitude": 0.0, "final_magnitude": 1.0})
    distances = [np.abs(policy(PICTURES, seed=0, epoch=e, index_N=INDEX).astype(int) - PICTURES).mean() for e in (1, 2, 3)]
    assert distances[0] == 0 and all(low < high for low, high in itertools.pairwise(distances))


def subs(**args: Any) -> dict[str, Any]:
    """Sub-policies that do nothing but what is given."""
    off = {f"sub{sub}_probability{place}": 0.0 for sub in range(1, NUM_SUBS + 1) for place in (1, 2)}
    return {**off, **args}


def test_each_picture_gets_one_sub_policy_and_its_ops_by_chance() -> None:
    names = [f"sub{sub}_op1" for sub in range(1, NUM_SUBS + 1)]
    ops = dict(zip(names, ("Affine", "Rotate", "ShearX", "ShearY", "GaussNoise"), strict=True))
    first = {f"sub{sub}_probability1": 1.0 for sub in range(1, NUM_SUBS + 1)}
    second = {"sub2_op2": "Solarize", "sub2_probability2": 0.3, "sub2_magnitude2": 0.8}
    seen = applied(made("autoaugment", **subs(**ops, **first, **second)), num=10_000)
    rows = {name: {*rows.tolist()} for name, _, rows in seen}
    assert is_uniform(Counter({name: len(rows[name]) for name in ops.values()}), NUM_SUBS)
    assert sum(len(rows[name]) for name in ops.values()) == len(set.union(*(rows[name] for name in ops.values()))) == 10_000
    assert rows["Solarize"] < rows["Rotate"]
    low, high = stats.binom.interval(0.9999, len(rows["Rotate"]), 0.3)
    assert low <= len(rows["Solarize"]) <= high
    assert [name for name, _, _ in seen].index("Rotate") < [name for name, _, _ in seen].index("Solarize")
    assert {magnitude for name, magnitude, _ in seen if name == "Solarize"} == {0.8}


def test_sub_policies_without_a_chance_are_no_policy() -> None:
    assert build_policy(section("autoaugment", **subs()), image_size=16, channels=3) is None
    assert build_policy(section("autoaugment", **subs(flip_probability=0.5)), image_size=16, channels=3) is not None


def test_the_published_policy_is_torchvisions_and_leaves_torchs_numbers_alone() -> None:
    import torch
    from torchvision.transforms import v2

    policy = made("autoaugment_published", preset="svhn")
    torch.manual_seed(1)
    before = torch.get_rng_state()
    ours = policy(PICTURES, seed=4, epoch=7, index_N=INDEX)
    assert torch.equal(torch.get_rng_state(), before)
    theirs = v2.AutoAugment(v2.AutoAugmentPolicy.SVHN)
    policy.ops.stream.rekey(4, 7, "autoaugment")
    for row, index in enumerate(INDEX.tolist()):
        policy.ops.stream.seek(index)
        torch.manual_seed(int(policy.ops.stream.generator.integers(1 << 63)))
        np.testing.assert_array_equal(ours[row], theirs(torch.from_numpy(PICTURES[row]).permute(2, 0, 1)).permute(1, 2, 0))
    assert (ours != PICTURES).any((1, 2, 3)).mean() > 0.5


def chains_of(policy: Policy) -> Chains:
    [chains] = (step for step in policy.steps if isinstance(step, Chains))
    return chains


@pytest.mark.parametrize(("num_chains", "alpha"), [(3, 1.0), (2, 0.5), (5, 4.0)])
def test_augmixs_weights_are_dirichlets_and_its_share_is_betas(num_chains: int, alpha: float) -> None:
    policy = made("soft_augmix", num_chains=num_chains, augmix_alpha=alpha)
    share_NS = chains_of(policy).shares(policy.ops, np.arange(3000), seed=0, epoch=1)
    np.testing.assert_allclose(share_NS.sum(1), 1)
    assert (share_NS >= 0).all()
    m_N = 1 - share_NS[:, 0]
    assert stats.kstest(m_N, stats.beta(alpha, alpha).cdf).pvalue > 1e-3
    weight_NC = share_NS[:, 1:][m_N > 1e-6] / m_N[m_N > 1e-6, np.newaxis]
    for weight_N in weight_NC.T:  # a part of Dirichlet(alpha, ...) is Beta(alpha, (C - 1) alpha)
        assert stats.kstest(weight_N, stats.beta(alpha, (num_chains - 1) * alpha).cdf).pvalue > 1e-3


def test_augmixs_output_is_the_convex_mix_of_its_chains() -> None:
    policy = made("soft_augmix", severity=8)
    ours, chains = policy(PICTURES, seed=3, epoch=1, index_N=INDEX), chains_of(policy)
    share_NS = chains.shares(policy.ops, INDEX, seed=3, epoch=1)
    copies = [PICTURES, *(chains.changed(chain, policy.ops, PICTURES, INDEX, seed=3, epoch=1) for chain in range(3))]
    mixed = np.einsum("ns,snhwc->nhwc", share_NS, np.stack(copies).astype(np.float64))
    assert np.abs(ours - mixed).max() <= 0.5 + 1e-3
    assert (ours >= np.min(copies, 0)).all() and (ours <= np.max(copies, 0)).all()
    assert len({copy.tobytes() for copy in copies}) == 4


def test_augmixs_chains_are_one_to_three_ops_long_and_as_strong_as_severity_says() -> None:
    seen = applied(made("soft_augmix", severity=2, num_chains=1), num=3000)
    lengths = np.bincount(np.concatenate([rows for _, _, rows in seen]), minlength=3000)
    assert is_uniform(Counter(lengths.tolist()), 3) and {*lengths} == {1, 2, 3}
    strengths = {round(magnitude * 30, 6) for name, magnitude, _ in seen if "magnitude" in OPS.entries[name].args}
    assert strengths == {1, 2, 3, 4, 5, 6}
    assert {name for name, _, _ in seen} == {*AUGMIX_OPS}
    longer = applied(made("soft_augmix", num_chains=2, chain_depth=5), num=50)
    assert (np.bincount(np.concatenate([rows for _, _, rows in longer])) == 2 * 5).all()


@pytest.mark.parametrize("name", WITHOUT_OPS)
def test_weak_augmentation_comes_first(name: str) -> None:
    off = subs() if name == "autoaugment" else {}
    args = {"flip_probability": 1.0, "crop_magnitude": 0.5}
    seen = applied(made(name, **args, **off), num=10) if name != "autoaugment_published" else None
    if seen is None:
        weak = made("fixed", HorizontalFlip={"probability": 1.0}, PadAndCrop={"probability": 1.0, "magnitude": 0.5})
        before = weak(PICTURES, seed=0, epoch=1, index_N=INDEX)
        np.testing.assert_array_equal(
            made(name, **args)(PICTURES, seed=0, epoch=1, index_N=INDEX), made(name)(before, seed=0, epoch=1, index_N=INDEX)
        )
        return
    assert [(op, len(rows)) for op, _, rows in seen[:2]] == [("HorizontalFlip", 10), ("PadAndCrop", 10)]
    assert seen[1][1] == 0.5


def test_sets_leave_out_what_grey_pictures_can_not_have_and_named_ops_are_refused() -> None:
    grey = np.ascontiguousarray(PICTURES[..., :1])
    left = [name for name in DRAWN_OPS if suits(name, 1)]
    assert {*DRAWN_OPS} - {*left} == {"Saturation"} and all(suits(name, 1) for name in AUGMIX_OPS)
    assert {name for name, _, _ in applied(made("soft_randaugment", channels=1))} == {*left}
    for name in WITHOUT_OPS:
        assert problem_of(section(name), 1) is None, name
        assert made(name, channels=1)(grey, seed=0, epoch=1, index_N=INDEX).shape == grey.shape
    wrong = section("autoaugment", sub3_op2="Hue")
    assert problem_of(wrong, 3) is None
    sentence = str(problem_of(wrong, 1))
    assert "augmentation.sub3_op2: Hue" in sentence and "3 channels" in sentence and "every op but" in sentence
    with pytest.raises(UserError, match="sub3_op2"):
        build_policy(wrong, image_size=16, channels=1)


def test_stated_sets_are_ops() -> None:
    assert {*DRAWN_OPS} <= {*OPS.entries} and {*AUGMIX_OPS} < {*DRAWN_OPS} and len(DRAWN_OPS) == 13 and len(AUGMIX_OPS) == 9


STUDY = """
study: a
data: {source: digits}
budget: {num_trials: 4, max_epochs: 9}
space:
  model: {name: lenet5}
  optimizer: {name: adam, lr: 0.001}
  schedule: {name: constant}
  augmentation: AUGMENTATION
"""


def read(tmp_path: Path, augmentation: str) -> Any:
    file = tmp_path / "study.yaml"
    file.write_text(STUDY.replace("AUGMENTATION", augmentation))
    return load_study(file)


def test_everything_of_a_policy_can_be_searched(tmp_path: Path) -> None:
    spec = read(
        tmp_path,
        "{policy: {choice: {autoaugment: {sub1_op1: {choice: [Affine, ShearX]}, sub1_probability1: {float: [0, 1]}}, "
        "randaugment: {num_ops: {int: [1, 3]}, magnitude: {float: [0, 1]}, final_magnitude: {float: [0, 1]}}, "
        "fixed: {Affine: {final_magnitude: {float: [0, 1]}}}}}, "
        "mixing: {choice: {mixup: {mixup_alpha: {float: [0.1, 1]}}, none: {}}}}",
    )
    assert {name for name, _, _ in spec.space.domains()} == {
        *("augmentation.policy", "augmentation.autoaugment.sub1_op1", "augmentation.autoaugment.sub1_probability1"),
        *("augmentation.randaugment.num_ops", "augmentation.randaugment.magnitude", "augmentation.randaugment.final_magnitude"),
        *("augmentation.fixed.Affine.final_magnitude", "augmentation.mixing", "augmentation.mixup.mixup_alpha"),
    }


@pytest.mark.parametrize(
    ("augmentation", "words"),
    [
        ("{policy: randaugment, magnitude: 1.5}", ("from 0 to 1", "1.5")),
        ("{policy: randaugment, num_ops: 0}", ("from 1 to 13",)),
        ("{policy: randaugment, severity: 3}", ("'severity' is an argument of augmix and soft_augmix, not of randaugment",)),
        ("{policy: autoaugment, sub1_op1: Afine}", ("Afine", "nearest is 'Affine'")),
        ("{policy: autoaugment, sub6_op1: Affine}", ("sub6_op1",)),
        ("{policy: fixed, HorizontalFlip: {final_magnitude: 1}}", ("final_magnitude",)),
        ("{policy: none, mixing: cutmix, mixup_alpha: 1.0}", ("'mixup_alpha' is an argument of mixup and alternate, not of cutmix",)),
        ("{mixing: mixup, mixup_alpha: 0}", ("from 0.01 to 10",)),
        ("{mixing: cutmixx}", ("nearest is 'cutmix'",)),
    ],
)
def test_what_a_policy_does_not_take_is_refused(tmp_path: Path, augmentation: str, words: tuple[str, ...]) -> None:
    with pytest.raises(UserError) as caught:
        read(tmp_path, augmentation)
    for word in words:
        assert word in str(caught.value)
