"""A policy as a Python file that needs torchvision alone; the code of each op is in torchvision_ops.py."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from visiontune.augmentation.apply_ops import has_magnitude
from visiontune.augmentation.engines.exact_ops import BLUR_SIDE
from visiontune.augmentation.export.exportable import refusal, transform_of
from visiontune.augmentation.export.torchvision_ops import CODES
from visiontune.augmentation.policies.autoaugment import OneOf, Published
from visiontune.augmentation.policies.published import SignedOps
from visiontune.augmentation.policies.randaugment import NUM_LEVELS, Chains, Drawn
from visiontune.augmentation.policies.three_augment import DEVIATIONS, THRESHOLD, ThreeAugment
from visiontune.augmentation.policy_steps import Chance, Step
from visiontune.augmentation.resized_crop import ResizedCrop
from visiontune.errors import UserError
from visiontune.spec.declarations.image_size import ImageSize, both_sides

_DRAWN = '''
class Drawn(torch.nn.Module):
    """kernel(picture, *numbers), each number drawn evenly from its range for every picture."""

    def __init__(self, kernel, *ranges):
        super().__init__()
        self.kernel, self.ranges = kernel, ranges

    def forward(self, picture):
        return self.kernel(picture, *(low + (high - low) * torch.rand(()).item() for low, high in self.ranges))
'''
_CHAINS = '''
class Chains(torch.nn.Module):
    """AugMix: share times the weighted mean of changed copies, and the rest the picture; weights are Dirichlet's, the share is Beta's."""

    def __init__(self, op, num_chains, depths, alpha):
        super().__init__()
        self.op, self.num_chains, self.depths, self.alpha = op, num_chains, depths, alpha

    def forward(self, picture):
        share = torch.distributions.Beta(self.alpha, self.alpha).sample().item()
        weights = torch.distributions.Dirichlet(torch.full((self.num_chains,), self.alpha)).sample().tolist()
        mixed = (1 - share) * picture
        for weight in weights:
            changed = picture
            for _ in range(self.depths[torch.randint(len(self.depths), ()).item()]):
                changed = self.op(changed)
            mixed = mixed + share * weight * changed
        return mixed.round().to(torch.uint8)
'''
_AFFINE = '''
def affine(picture, shift_x, shift_y, shear_x, shear_y, scale_x, scale_y, degrees):
    """Scale, rotate, shear and shift about the centre, each axis by itself; shifts as shares of the side; black outside."""
    height, width = F.get_size(picture)
    turn, lean_x, lean_y = (math.radians(angle) for angle in (degrees, shear_x, shear_y))
    shear = torch.tensor([[1.0, -math.tan(lean_x)], [-math.tan(lean_y), 1.0]], dtype=torch.float64)
    rotate = torch.tensor([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]], dtype=torch.float64)
    back = torch.linalg.inv(shear @ rotate @ torch.diag(torch.tensor([scale_x, scale_y], dtype=torch.float64)))
    centre = torch.tensor([width / 2, height / 2], dtype=torch.float64)
    moved = centre + torch.tensor([math.trunc(shift_x * width), math.trunc(shift_y * height)], dtype=torch.float64)
    offset = centre - back @ moved
    coefficients = [*back[0].tolist(), offset[0].item(), *back[1].tolist(), offset[1].item(), 0.0, 0.0]
    return F.perspective(picture, None, None, coefficients=coefficients)
'''
_EXACT = '''
def exact(kernel):
    """A kernel on values from 0 to 1, with one rounding at the end: on bytes it would round in between."""

    @functools.wraps(kernel)
    def on_bytes(picture, *numbers):
        return (255 * kernel(picture / 255, *numbers)).round().to(torch.uint8)

    return on_bytes
'''
_NOISE = """
@exact
def noise(picture, deviation):
    return F.gaussian_noise(picture, sigma=deviation)
"""
_SHARPEN = '''
@exact
def sharpen(picture, weight):
    """The picture plus weight times its distance to its eight neighbours, mirrored at the edges."""
    height, width = F.get_size(picture)
    return F.crop(F.adjust_sharpness(F.pad(picture, [1], padding_mode="reflect"), 1 + 13 * weight), 1, 1, height, width)
'''
_BLUR = """
@exact
def blur(picture, deviation):
    side = 2 * int(3.5 * deviation) + 1
    return F.gaussian_blur(picture, [side, side], [deviation, deviation])
"""
_POSTERIZE = """
def posterize(picture, bits):
    return F.posterize(picture, int(bits))
"""
_TRANSPOSE = """
def transpose(picture):
    return F.vertical_flip(F.rotate(picture, 90))
"""
_EQUALIZE = '''
def equalize(picture):
    """Each channel's histogram made flat as OpenCV does it: torchvision's own steps are whole numbers, which shows on few pixels."""
    planes = []
    for plane in picture:
        counts = torch.bincount(plane.flatten().long(), minlength=256)
        least = counts[counts.nonzero()[0]]
        table = 255 * (counts.cumsum(0) - least) / (plane.numel() - least).clamp(min=1)
        flat = table.clamp(min=0).round().to(torch.uint8)[plane.long()]
        planes.append(plane if least == plane.numel() else flat)
    return torch.stack(planes)
'''
_AUTO_CONTRAST = '''
def auto_contrast(picture):
    """Each channel's darkest value to 0, its lightest below 255 to 255, as albumentations does it: torchvision's own counts 255 too."""
    low = picture.amin((1, 2), keepdim=True).double()
    high = torch.where(picture == 255, 0, picture).amax((1, 2), keepdim=True).double()
    stretched = ((picture - low) * (255 / (high - low))).round().clamp(0, 255)
    stretched = torch.where(picture > high, 255.0, stretched)
    return torch.where(high <= low, picture, stretched).to(torch.uint8)
'''
HELPERS: Mapping[str, str] = {
    "Drawn(": _DRAWN,
    "Chains(": _CHAINS,
    "affine,": _AFFINE,
    "@exact": _EXACT,
    "noise,": _NOISE,
    "sharpen,": _SHARPEN,
    "blur,": _BLUR,
    "posterize,": _POSTERIZE,
    "(transpose)": _TRANSPOSE,
    "(equalize)": _EQUALIZE,
    "(auto_contrast)": _AUTO_CONTRAST,
}
"""Helpers by the text with which code, or another helper, calls them."""


_MANY_LEVELS = 10_000
"""Of a magnitude that is no thirtieth."""


def torchvision_code(steps: Sequence[Step], image_size: ImageSize, title: str = "") -> str:
    """A module with `transform`. Raises UserError with every op that torchvision lacks."""
    missing = dict.fromkeys(name for step in steps for name in _names(step) if _code_of(name, 0.5, image_size) is None)
    if missing:
        raise UserError(f"torchvision has nothing that equals {', '.join(missing)}; export to .yaml or .json, or take other ops")
    lines = [line for step in steps for line in _lines(step, image_size)]
    body = "".join(f"        {line},\n" for line in ["v2.ToImage()", *lines])
    called = body + "".join(text for call, text in HELPERS.items() if call in body)
    helpers = "".join(f"\n{text}" for call, text in HELPERS.items() if call in called)
    wanted = {"math.": "import math\n", "functools.": "import functools\n"}
    standard = "".join(line for use, line in sorted(wanted.items()) if use in helpers)
    others = "import torch\n" if "torch." in helpers else ""
    others += "from torchvision.transforms import v2\n"
    others += "from torchvision.transforms.v2 import functional as F\n" if "F." in helpers + body else ""
    size = f"{both_sides(image_size)}"
    comes = "any size" if steps and isinstance(steps[0], ResizedCrop) else size
    said = f"{title}\nIn: a uint8 picture of {comes} (CHW tensor, HWC array or Pillow's). Out: a uint8 tensor of {size}.".strip()
    imports = f"{standard}\n{others}" if standard else others
    return f'"""{said}\n"""\n\n{imports}{helpers}\n\ntransform = v2.Compose(\n    [\n{body}    ]\n)\n'


def _names(step: Step) -> Iterable[str]:
    if isinstance(step, Chance):
        return (step.name,)
    if isinstance(step, Published | ResizedCrop | SignedOps | ThreeAugment):
        return ()
    if isinstance(step, Chains) and isinstance(step.drawn, SignedOps):
        return ()
    if isinstance(step, Drawn | Chains):
        return step.names
    if isinstance(step, OneOf):
        return (op.name for sub in step.subs for op in sub if not op.is_nothing)
    raise UserError(refusal(step, "torchvision"))


def _lines(step: Step, image_size: ImageSize) -> list[str]:
    if isinstance(step, ResizedCrop):
        return [f"v2.RandomResizedCrop({image_size}, scale={step.scale}, ratio={step.ratio}, antialias=True)"]
    if isinstance(step, Chance):
        return [_by_chance(step, image_size)]
    if isinstance(step, SignedOps):
        return [_signed(step)]
    if isinstance(step, ThreeAugment):
        one_of = f"v2.RandomGrayscale(1.0), v2.RandomSolarize({THRESHOLD}, 1.0), v2.GaussianBlur({BLUR_SIDE}, {DEVIATIONS})"
        return [f"v2.RandomChoice([{one_of}])", f"v2.ColorJitter({', '.join([repr(step.colour_jitter)] * 3)})"]
    if isinstance(step, Chains) and isinstance(step.drawn, SignedOps):
        return [_augmix(step, step.drawn)]
    if isinstance(step, Drawn | Chains):
        drawn = step if isinstance(step, Drawn) else step.drawn
        op = _one_of([_any_strength(name, drawn.magnitudes(1), image_size) for name in drawn.names])
        return [op] * step.num_ops if isinstance(step, Drawn) else [f"Chains({op}, {step.num_chains}, {step.depths}, {step.alpha!r})"]
    if isinstance(step, OneOf):
        subs = [[_by_chance(op, image_size) for op in sub if not op.is_nothing] for sub in step.subs]
        return [_one_of([_sequence(sub) for sub in subs])]
    assert isinstance(step, Published)
    return [f"v2.AutoAugment(v2.AutoAugmentPolicy.{step.transform.policy.name})"]


def _signed(step: SignedOps) -> str:
    """torchvision's RandAugment with as many levels as it takes to have the magnitude, or TrivialAugmentWide."""
    magnitudes, interpolation = step.magnitudes(1), _interpolation(step)
    if len(magnitudes) > 1:
        return f"v2.TrivialAugmentWide({interpolation})"
    last = NUM_LEVELS - 1 if (magnitudes[0] * (NUM_LEVELS - 1)).is_integer() else _MANY_LEVELS
    return f"v2.RandAugment({step.num_ops}, {round(magnitudes[0] * last)}, {last + 1}, {interpolation})"


def _augmix(step: Chains, drawn: SignedOps) -> str:
    depth, severity = step.depths[0] if len(step.depths) == 1 else -1, len(drawn.magnitudes(1))
    return f"v2.AugMix({severity}, {step.num_chains}, {depth}, {step.alpha!r}, all_ops=False, {_interpolation(drawn)})"


def _interpolation(step: SignedOps) -> str:
    return f"interpolation=v2.InterpolationMode.{step.interpolation.upper()}"


def _by_chance(step: Chance, image_size: ImageSize) -> str:
    code = str(_code_of(step.name, step.magnitude.at(1), image_size))
    return code if step.probability == 1 else f"v2.RandomApply([{code}], p={step.probability!r})"


def _any_strength(name: str, magnitudes: Sequence[float], image_size: ImageSize) -> str:
    codes = [str(_code_of(name, magnitude, image_size)) for magnitude in (magnitudes if has_magnitude(name) else magnitudes[:1])]
    return codes[0] if len(codes) == 1 else _one_of(codes)


def _one_of(codes: Sequence[str]) -> str:
    return f"v2.RandomChoice([{', '.join(codes)}])"


def _sequence(codes: Sequence[str]) -> str:
    return codes[0] if len(codes) == 1 else f"v2.Compose([{', '.join(codes)}])" if codes else "v2.Identity()"


def _code_of(name: str, magnitude: float, image_size: ImageSize) -> str | None:
    """An expression that makes the op of torchvision; None where it has no equal one."""
    transform = transform_of(name, magnitude, image_size)
    make_code = CODES.get(type(transform).__name__)
    return make_code(transform, image_size) if make_code else None
