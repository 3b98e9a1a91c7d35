"""What goes around any optimizer, against the formulas of its papers: SAM, ASAM, Lookahead; and what they leave alone."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import make_recipe, make_store, model_section
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from visiontune.errors import UserError
from visiontune.spec.parse import load_study
from visiontune.training.loop import train
from visiontune.training.optim.lookahead import lookahead
from visiontune.training.optim.sharpness_aware import asam, sam
from visiontune.training.setup import set_up
from visiontune.tuning.preflight.preflight import preflight

CNN = model_section("cnn", width=4, depth=2, dropout=0.5)


def quadratic() -> tuple[nn.Module, Any]:
    """A linear layer, and what fills its gradients with those of sum of a w^2 / 2 + w."""
    torch.manual_seed(0)
    network = nn.Linear(3, 2).double()
    curvatures = [torch.rand_like(one) for one in network.parameters()]

    def gradients() -> Tensor:
        loss = sum((a * one**2 / 2 + one).sum() for a, one in zip(curvatures, network.parameters(), strict=True))
        loss.backward()
        return loss.detach()

    return network, gradients


def test_sam_and_asam_take_their_gradients_where_their_papers_say() -> None:
    """Foret et al. 2021, equation 2; Kwon et al. 2021, equation 4, with T = |w| + eta for weights and 1 for biases (its section 4.3)."""
    for builder, args, rho in ((sam, {"sam_rho": 0.3}, 0.3), (asam, {"asam_rho": 0.7, "asam_eta": 0.1}, 0.7)):
        network, gradients = quadratic()
        before = gradients()
        params = [one.detach().clone() for one in network.parameters()]
        first = [one.grad.clone() for one in network.parameters()]  # type: ignore[union-attr]
        sizes = [torch.ones_like(one) if builder is sam or one.ndim == 1 else one.abs() + 0.1 for one in params]
        norm = torch.cat([(t * g).flatten() for t, g in zip(sizes, first, strict=True)]).norm()
        with torch.no_grad():
            for one, t, g in zip(network.parameters(), sizes, first, strict=True):
                one += rho * t**2 * g / norm
        network.zero_grad()
        gradients()
        expected = [one.grad.clone() for one in network.parameters()]  # type: ignore[union-attr]
        with torch.no_grad():
            for one, old in zip(network.parameters(), params, strict=True):
                one.copy_(old)
        network.zero_grad()
        assert torch.equal(builder(network, **args)(gradients), before)
        for one, old, gradient in zip(network.parameters(), params, expected, strict=True):
            assert torch.equal(one, old)
            assert torch.allclose(one.grad, gradient, rtol=1e-12)  # type: ignore[arg-type]


def test_lookahead_is_its_papers() -> None:
    """Zhang et al. 2019, algorithm 1, for 7 steps of an epoch with k = 3; then the next epoch begins anew."""
    weight = nn.Linear(1, 1, bias=False).double()
    made, slow, fast = lookahead(weight, lookahead_steps=3, lookahead_alpha=0.25), weight.weight.item(), weight.weight.item()
    for epoch in range(2):
        for step in range(1, 8):
            made.step(lambda step=step: weight.weight.data.add_(step))
            fast += step
            if step % 3 == 0 or step == 7:
                slow = fast = slow + 0.25 * (fast - slow)
            if step < 7:
                assert weight.weight.item() == pytest.approx(fast, rel=1e-12)
        made.end_epoch()
        made.end_epoch()
        assert weight.weight.item() == pytest.approx(slow, rel=1e-12), epoch


def test_batches_count_once_and_both_passes_draw_the_same_dropout() -> None:
    """Statistics of batch normalisation and random state after a step are those of one without SAM, at whatever rho; so is the loss."""
    x_NCHW, y_N = torch.randn(16, 1, 16, 16, generator=torch.Generator().manual_seed(0)), torch.arange(16) % 3
    seen = []
    for args in ({}, {"sharpness": "sam", "sam_rho": 0.5}, {"sharpness": "sam", "sam_rho": 1e-6}):
        setup = set_up(make_recipe(CNN, optimizer_args=args, micro_batch=8), make_store(), torch.device("cpu"))
        setup.tail.train()
        torch.manual_seed(1)
        loss = setup.stepper.step(x_NCHW, y_N, lr=0.1, number=0)
        seen.append((loss, torch.rand(1), dict(setup.tail.named_buffers()), list(setup.tail.parameters())))
    for other in seen[1:]:
        assert torch.equal(seen[0][0], other[0]) and torch.equal(seen[0][1], other[1])
        assert all(torch.equal(value, other[2][name]) for name, value in seen[0][2].items())
    moves = [max(float((a - b).detach().abs().max()) for a, b in zip(seen[0][3], other[3], strict=True)) for other in seen[1:]]
    assert moves[0] > 100 * moves[1]  # with other draws of dropout a move by next to nothing would be a step far off


@pytest.mark.parametrize(
    ("optimizer_args", "regularization", "training", "rule"),
    [
        (
            {"sharpness": "asam"},
            {},
            {"precision": "fp16"},
            "asam needs gradients without a loss scale, but precision is fp16; nearest is bf16",
        ),
        ({}, {"ema_decay": 0.9, "swa_share": 0.5}, {}, "ema_decay and swa_share are both above 0"),
        ({"name": "schedule_free_sgd"}, {"ema_decay": 0.9}, {}, "averages its weights itself, so ema_decay must be left at 0"),
        ({"name": "schedule_free_adamw", "slow_weights": "lookahead"}, {}, {}, "itself, so slow_weights must be left at none"),
    ],
)
def test_what_can_not_go_together_is_refused(optimizer_args: Any, regularization: Any, training: Any, rule: str) -> None:
    recipe = make_recipe(CNN, optimizer_args=optimizer_args, regularization=regularization, **training)
    with pytest.raises(UserError, match=rule):
        set_up(recipe, make_store(), torch.device("cpu"))


@pytest.mark.parametrize(
    ("optimizer", "regularization", "where"),
    [
        ("{choice: {sgd: {}, schedule_free_sgd: {\n slow_weights: lookahead}}}", "{l2: 0.0}", "study.yaml:6: space.optimizer.slow_weights"),
        ("schedule_free_sgd", "{l2: 0.0,\n ema_decay: 0.9}", "study.yaml:7: space.regularization.ema_decay"),
        ("sgd", "{ema_decay: 0.9,\n swa_share: 0.5}", "study.yaml:7: space.regularization.swa_share"),
    ],
)
def test_weights_that_would_be_averaged_twice_are_told_at_the_key_that_has_to_change(
    optimizer: str, regularization: str, where: str, tmp_path: Path
) -> None:
    file = tmp_path / "study.yaml"
    lines = f"{{model: {{name: lenet5}},\n optimizer: {{lr: 0.1, name: {optimizer}}},\n regularization: {regularization}}}"
    file.write_text(f"study: a\ndata: {{source: digits}}\nbudget: {{num_trials: 2, max_epochs: 3}}\nspace: {lines}\n")
    with pytest.raises(UserError) as caught:
        preflight(load_study(file))
    assert str(caught.value).startswith(f"{tmp_path}/{where}: ")


def test_a_recipe_from_before_these_keys_trains_as_it_did() -> None:
    recipe = make_recipe(CNN, num_epochs=1)
    optimizer = {key: value for key, value in recipe.optimizer.items() if key not in ("sharpness", "slow_weights")}
    regularization = {key: value for key, value in recipe.regularization.items() if key != "swa_share"}
    (now,), (before,) = (train(one, make_store()) for one in (recipe, replace(recipe, optimizer=optimizer, regularization=regularization)))
    assert before.metrics["val_loss"] == now.metrics["val_loss"]


def test_the_last_half_of_the_epochs_is_averaged_evenly_and_evaluated_and_training_goes_on_from_its_own_weights() -> None:
    """torch's AveragedModel over the weights of a run without averages; a run resumed within that half ends at the same bits."""
    recipe = make_recipe(CNN, num_epochs=4, regularization={"swa_share": 0.5})
    plain = [{k: v.clone() for k, v in e.model.state_dict().items()} for e in train(make_recipe(CNN, num_epochs=4), make_store())]
    states, weights = [], []
    for epoch in train(recipe, make_store()):
        weights.append({k: v.clone() for k, v in epoch.model.state_dict().items()})
        states.append(copy.deepcopy(epoch.state()))
    assert all(torch.equal(weights[1][name], plain[1][name]) for name, _ in epoch.model.named_parameters())
    reference = AveragedModel(epoch.model)
    for one in plain[2:]:
        epoch.model.load_state_dict(one)
        reference.update_parameters(epoch.model)
        number = len(weights) if one is plain[3] else 3
        for name, averaged in reference.module.named_parameters():
            assert torch.allclose(weights[number - 1][name], averaged, rtol=1e-6, atol=1e-7)
    (again,) = train(recipe, make_store(), resume=states[2])
    assert all(torch.equal(value, weights[3][name]) for name, value in again.model.state_dict().items())
