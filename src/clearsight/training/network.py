"""The network: one frame and, if there is one, the clear reference of its place -> how well the ground can be seen.

A U-Net whose heavy work lies at 40 to 320 m, with a light stage at 20 m and a lighter head at 10 m. Everything that
isn't there is NaN in what it is given: nodata pixels, bands that a product lacks, a reference that nobody has. What is
done to reflectance before the first convolution happens in here, so that the exported file takes plain reflectance.

Pixel sizes (10 m, 20 m …) are those of a frame at 10 m; the same weights also look at frames of 20 to 60 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional

CAUSES: Final = 5
"""Causes the network tells apart: codes 0 to 4 of `clearsight.simulate.imaging.truth.CAUSES`."""
PRIORS: Final = 3
"""Shares of a place's scores at 0, spread between, and at 1."""
CONDITIONS: Final = 20
"""Length of ``conditions``: 13 presence flags of bands, level, pixel size, four of the sun, the view."""
STRIDE: Final = 32
"""Sides of a frame must be multiples of this many 10 m pixels."""

_DARK: Final = 0.02
"""Added to reflectance before its logarithm: noise of dark water mustn't look like a signal."""
_DARK_B10: Final = 0.002
_B10: Final = 8
"""Place of B10 among the nine bands on the 20 m grid."""
_EVIDENCE: Final = 2.0
_DAYS: Final = 60.0


@dataclass(frozen=True)
class Widths:
    """Channels of the stages at 20, 40, 80, 160 and 320 m, and of the head at 10 m."""

    stages: tuple[int, int, int, int, int] = (24, 40, 64, 96, 112)
    head: int = 8


class Network(nn.Module):
    """See the module. ``forward`` documents what goes in and comes out."""

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        widths = widths or Widths()
        a, b, c, d, e = widths.stages
        self.conditions = nn.Sequential(nn.Linear(CONDITIONS, 48), nn.ReLU(), nn.Linear(48, a + c + e))
        self.split = (a, c, e)
        # 2 x 2 fine pixels at a time, so that nothing of them is lost; frame and reference have 4 and 9 bands each;
        # spread 6, evidence 2, valid 1, reference 1.
        self.stem_fine = nn.Conv2d(2 * 4, a, 2, stride=2)
        self.stem = nn.Conv2d(2 * 9 + 6 + 2 + 2, a, 1)
        self.down40 = _down(a, b)
        self.at40 = _conv(b, b)
        self.down80 = _down(b, c)
        self.at80 = Residual(c)
        self.down160 = _down(c, d)
        self.at160 = Residual(d)
        self.down320 = _down(d, e)
        self.at320 = Residual(e)
        self.up160, self.back160 = nn.Conv2d(e, d, 1), _conv(d, d)
        self.up80, self.back80 = nn.Conv2d(d, c, 1), _conv(c, c)
        self.up40, self.back40 = nn.Conv2d(c, b, 1), _conv(b, b)
        self.up20, self.back20 = nn.Conv2d(b, a, 1), _conv(a, a)
        self.coarse = nn.Conv2d(a, widths.head, 1)
        self.fine = nn.Conv2d(8, widths.head, 3, padding=1)
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(widths.head, widths.head, 1), nn.ReLU(), nn.Conv2d(widths.head, 1, 1)
        )
        self.causes = nn.Conv2d(a, CAUSES, 1)
        self.priors = nn.Conv2d(b, PRIORS, 1)

    def forward(
        self,
        ten: Tensor,
        twenty: Tensor,
        ground_ten: Tensor,
        ground_twenty: Tensor,
        support: Tensor,
        conditions: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Look at frames.

        Parameters
        ----------
        ten : (n, 4, y, x)
            Reflectance of B02, B03, B04, B08; sides multiples of ``STRIDE``; NaN = nodata, or a band that isn't there.
        twenty : (n, 9, y/2, x/2)
            Reflectance of B05, B06, B07, B8A, B11, B12, B01, B09, B10 on the 20 m grid.
        ground_ten, ground_twenty
            The same of the clear reference; NaN where there is none.
        support : (n, 8, y/2, x/2)
            Spread of the reference in B02, B03, B04, B08, B11, B12; evidence behind it (whole clear frames); days to
            the nearest clear frame. NaN where there is none.
        conditions : (n, 20)
            From `clearsight.model.conditions`.

        Returns
        -------
        score, causes, priors
            Logits: (n, 1, y, x) of ``cs``, (n, 5, y/2, x/2), (n, 3, y/4, x/4).
        """
        early, middle, deep = self.conditions(conditions)[:, :, None, None].split(self.split, dim=1)
        sharp = torch.cat([_scaled(ten, _DARK), _scaled(ground_ten, _DARK)], dim=1)
        at20 = self.stem_fine(sharp) + self.stem(_coarse_inputs(ten, twenty, ground_twenty, support))
        at20 = functional.relu(at20 + early)
        at40 = self.at40(self.down40(at20))
        at80 = self.at80(self.down80(at40) + middle)
        at160 = self.at160(self.down160(at80))
        at320 = self.at320(self.down320(at160) + deep)
        back = self.back160(at160 + _double(self.up160(at320)))
        back = self.back80(at80 + _double(self.up80(back)))
        back = self.back40(at40 + _double(self.up40(back)))
        priors = self.priors(back)
        back = self.back20(at20 + _double(self.up20(back)))
        score = self.head(self.fine(sharp) + _double(self.coarse(back)))
        return score, self.causes(back), priors


def _coarse_inputs(ten: Tensor, twenty: Tensor, ground: Tensor, support: Tensor) -> Tensor:
    """Everything on the 20 m grid."""
    one = torch.ones((), dtype=ten.dtype)
    valid = functional.avg_pool2d((~torch.isnan(ten[:, :1])).to(ten.dtype), 2)
    support = torch.where(torch.isnan(support), -one, support)
    spread, count, age = support[:, :6], support[:, 6:7], support[:, 7:8]
    known = (count >= 0).to(ten.dtype)
    spread = torch.log(torch.clamp(spread, 0.0, 1.0) * 20.0 + 1.0)
    count = torch.tanh(torch.clamp(count, 0.0, 50.0) / _EVIDENCE)
    age = torch.exp(-torch.abs(age) / _DAYS) * known
    return torch.cat([_coarse(twenty), _coarse(ground), spread, count, age, known, valid], dim=1)


class Residual(nn.Module):
    """Two convolutions beside the straight way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv(channels, channels)
        self.second = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        return functional.relu(x + self.second(self.first(x)))


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


def _down(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


def _double(x: Tensor) -> Tensor:
    """Bilinear: nearest neighbours leave boxes around clouds."""
    return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _scaled(reflectance: Tensor, dark: float, *, around: float = -1.8) -> Tensor:
    """Logarithm of reflectance around 0, and exactly 0 where nothing was measured."""
    nothing = torch.full((), math.exp(around) - dark, dtype=reflectance.dtype)
    filled = torch.where(torch.isnan(reflectance), nothing, reflectance)
    return torch.log(torch.clamp(filled, -0.75 * dark, 2.0) + dark) - around


def _coarse(twenty: Tensor) -> Tensor:
    b10 = 0.5 * _scaled(twenty[:, _B10:], _DARK_B10, around=-4.5)
    return torch.cat([_scaled(twenty[:, :_B10], _DARK), b10], dim=1)


def trainable(network: nn.Module) -> int:
    """Count the weights."""
    return sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
