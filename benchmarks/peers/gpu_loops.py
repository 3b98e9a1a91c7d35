"""gpu.py's peers: loops that someone who knows GPUs writes by hand for one network, without a recipe, a check or a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

MARGIN, L2 = 4, 5e-4
Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""An epoch's (x_NCHW, y_N), each time that it is called."""


class Resident:
    """All pictures on the device, normalised once in the precision of training; an epoch's are cropped with a margin and mirrored at once.

    In the manner of cifar10-airbench (Jordan 2024): reflected margins, one shift and one mirror for each picture.
    """

    def __init__(self, images_NHWC: Tensor, y_N: Tensor, mean_C: Tensor, std_C: Tensor, *, is_training: bool, dtype: torch.dtype) -> None:
        x_NCHW = images_NHWC.permute(0, 3, 1, 2).float() / 255
        x_NCHW = ((x_NCHW - mean_C[:, None, None]) / std_C[:, None, None]).to(dtype)
        self.x_NCHW = F.pad(x_NCHW, 4 * (MARGIN,), "reflect") if is_training else x_NCHW
        self.x_NCHW = self.x_NCHW.contiguous(memory_format=torch.channels_last)
        self.y_N, self.is_training = y_N, is_training

    def batches(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled, the remainder dropped, in training; in order otherwise."""
        num = len(self.y_N)
        if not self.is_training:
            yield from zip(self.x_NCHW.split(size), self.y_N.split(size), strict=True)
            return
        order = torch.randperm(num, device=self.y_N.device)[: num - num % size]
        x_NCHW, y_N = _cropped_and_mirrored(self.x_NCHW, order), self.y_N[order]
        yield from zip(x_NCHW.split(size), y_N.split(size), strict=True)


def _cropped_and_mirrored(x_NCHW: Tensor, order: Tensor) -> Tensor:
    """These pictures in turn, in channels_last memory."""
    num, size, device = len(order), x_NCHW.shape[3] - 2 * MARGIN, order.device
    top, left = torch.randint(0, 2 * MARGIN + 1, (2, num, 1), device=device)
    steps = torch.arange(size, device=device)
    columns = torch.where(torch.rand((num, 1), device=device) < 0.5, steps.flip(0), steps) + left
    rows = steps + top
    return x_NCHW.permute(0, 2, 3, 1)[order[:, None, None], rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def halved(network: nn.Module) -> nn.Module:
    """Its weights in fp16, as cifar10-airbench has them; normalisation stays in fp32."""
    network.half()
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.float()
    return network


def train(
    network: nn.Module,
    batches: Batches,
    num_steps: int,
    val: Batches,
    *,
    batch_size: int,
    lr: float,
    num_epochs: int,
    autocast: torch.dtype | None = None,
    use_compile: bool = False,
) -> Iterator[tuple[float, float]]:
    """(seconds of an epoch with its validation, share of the pictures of `val` classified right). SGD, one cycle of the rate.

    Halved weights minimise the sum of a batch's losses, at a rate that is smaller by as much: gradients of the mean would be lost.
    """
    first = next(network.parameters())
    device, is_summed = first.device, first.dtype == torch.float16
    run = torch.compile(network, dynamic=False) if use_compile else network
    scale = batch_size if is_summed else 1
    decayed = [one for one in network.parameters() if one.ndim > 1]
    others = [one for one in network.parameters() if one.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": L2 * scale}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.SGD(groups, lr / scale, 0.9, nesterov=True, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr / scale, total_steps=num_epochs * num_steps, cycle_momentum=False)
    for _ in range(num_epochs):
        started = time.perf_counter()
        network.train()
        for x_NCHW, y_N in batches():
            with _autocast(device, autocast):
                loss = F.cross_entropy(run(x_NCHW).float(), y_N, reduction="sum" if is_summed else "mean")
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        network.eval()
        share = share_right(run, val, device, autocast)
        yield time.perf_counter() - started, share


def share_right(run: Callable[[Tensor], Tensor], val: Batches, device: torch.device, autocast: torch.dtype | None) -> float:
    """Of the pictures that `val` gives; waits for the device."""
    num_right, num = torch.zeros((), device=device), 0
    with torch.inference_mode(), _autocast(device, autocast):
        for x_NCHW, y_N in val():
            num_right += (run(x_NCHW).argmax(1) == y_N).sum()
            num += len(y_N)
    return num_right.item() / max(1, num)


def _autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def jpeg_batches(
    folder: Path, size: int, batch_size: int, device: torch.device, num_workers: int, nums: tuple[int, int]
) -> tuple[Batches, Batches, int]:
    """Batches of torchvision's ImageFolder through torch's DataLoader, as torchvision's reference training has them: of the first of `nums`
    pictures to train on, of the second to validate on; and how many batches there are to train on.

    Resized to the size, cropped with a margin of an eighth, mirrored; workers that stay, pinned memory, copies that do not wait.
    """
    from torch.utils.data import DataLoader, Subset
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    resize, moves = v2.Resize((size, size)), [v2.RandomCrop(size, padding=size // 8), v2.RandomHorizontalFlip()]
    scaled = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    kept = {"persistent_workers": True, "prefetch_factor": 4} if num_workers else {}
    training, validation = (ImageFolder(str(folder), v2.Compose([resize, *more, *scaled])) for more in (moves, []))
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0)).tolist()
    num_train, num_val = nums

    def loader(dataset: object, rows: list[int], *, is_training: bool) -> DataLoader[tuple[Tensor, Tensor]]:
        use_pinned = device.type == "cuda"
        more = {"shuffle": is_training, "drop_last": is_training, "num_workers": num_workers, "pin_memory": use_pinned, **kept}
        return DataLoader(Subset(dataset, rows), batch_size, **more)  # type: ignore[arg-type]

    def batches_of(source: DataLoader[tuple[Tensor, Tensor]]) -> Batches:
        def batches() -> Iterator[tuple[Tensor, Tensor]]:
            for x_NCHW, y_N in source:
                x = x_NCHW.to(device, non_blocking=True, memory_format=torch.channels_last)
                yield x, y_N.to(device, non_blocking=True)

        return batches

    train_loader = loader(training, order[:num_train], is_training=True)
    val_loader = loader(validation, order[num_train : num_train + num_val], is_training=False)
    return batches_of(train_loader), batches_of(val_loader), len(train_loader)
