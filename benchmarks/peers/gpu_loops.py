"""gpu.py's peers: loops that someone who knows GPUs writes by hand for one network, without a recipe, a check or a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MARGIN = 4
Batches = Callable[[], Iterator[tuple[Tensor, Tensor]]]
"""An epoch's (x_NCHW, y_N), each time that it is called."""


class Resident:
    """All pictures on the device, normalised once in the precision of training; cropped with a margin and mirrored a batch at a time.

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
        order = torch.randperm(num, device=self.y_N.device)
        for low in range(0, num - size + 1, size):
            rows = order[low : low + size]
            yield _cropped_and_mirrored(self.x_NCHW[rows]), self.y_N[rows]


def _cropped_and_mirrored(x_NCHW: Tensor) -> Tensor:
    num, _, padded, _ = x_NCHW.shape
    size, device = padded - 2 * MARGIN, x_NCHW.device
    top, left = torch.randint(0, 2 * MARGIN + 1, (2, num, 1), device=device)
    steps = torch.arange(size, device=device)
    columns = torch.where(torch.rand((num, 1), device=device) < 0.5, steps.flip(0), steps) + left
    rows = steps + top
    return x_NCHW[torch.arange(num, device=device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def train(
    network: nn.Module, batches: Batches, num_steps: int, val: Batches, *, lr: float, num_epochs: int, dtype: torch.dtype
) -> Iterator[tuple[float, float]]:
    """(seconds of an epoch with its validation, share of the pictures of `val` classified right). SGD, one cycle of the rate, autocast."""
    device = next(network.parameters()).device
    optimizer = torch.optim.SGD(network.parameters(), lr, 0.9, weight_decay=5e-4, nesterov=True, fused=device.type == "cuda")
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=num_epochs * num_steps, cycle_momentum=False)
    for _ in range(num_epochs):
        started = time.perf_counter()
        network.train()
        for x_NCHW, y_N in batches():
            with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
                loss = F.cross_entropy(network(x_NCHW), y_N)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            schedule.step()
        share = share_right(network, val, dtype)
        yield time.perf_counter() - started, share


def share_right(network: nn.Module, val: Batches, dtype: torch.dtype) -> float:
    """Of the pictures that `val` gives; waits for the device."""
    device = next(network.parameters()).device
    network.eval()
    num_right, num = torch.zeros((), device=device), 0
    with torch.inference_mode(), torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
        for x_NCHW, y_N in val():
            num_right += (network(x_NCHW).argmax(1) == y_N).sum()
            num += len(y_N)
    return num_right.item() / max(1, num)


def jpeg_batches(folder: Path, size: int, batch_size: int, device: torch.device, num_workers: int) -> tuple[Batches, int]:
    """Batches of torchvision's ImageFolder through torch's DataLoader, as torchvision's reference training does it; and their number.

    Resized to the size, cropped with a margin of an eighth, mirrored; workers that stay, pinned memory, copies that do not wait.
    """
    from torch.utils.data import DataLoader
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    moves = [v2.Resize((size, size)), v2.RandomCrop(size, padding=size // 8), v2.RandomHorizontalFlip()]
    scaled = [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    use_pinned = device.type == "cuda"
    kept = {"persistent_workers": True, "prefetch_factor": 4} if num_workers else {}
    dataset = ImageFolder(str(folder), v2.Compose([*moves, *scaled]))
    loader = DataLoader(dataset, batch_size, shuffle=True, drop_last=True, num_workers=num_workers, pin_memory=use_pinned, **kept)

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        for x_NCHW, y_N in loader:
            x = x_NCHW.to(device, non_blocking=True, memory_format=torch.channels_last)
            yield x, y_N.to(device, non_blocking=True)

    return batches, len(loader)
