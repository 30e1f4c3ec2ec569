"""Networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..patterns import BinGrid

__all__ = ["PaperNetwork", "PlacesNetwork", "SizeNetwork"]


class PaperNetwork(nn.Module):
    """The paper's network: five convolutions of 32 filters, kernel = stride, global mean, softmax.

    15 377 parameters for 5004 points and 17 classes (Allara et al., npj Comput. Mater. 10 (2024),
    Methods).

    Parameters
    ----------
    n_outputs
        Number of size classes; 1 for the regression.
    """

    STRIDES = (10, 5, 4, 3, 2)
    FILTERS = 32

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv1d(1 if i == 0 else self.FILTERS, self.FILTERS, stride, stride)
            for i, stride in enumerate(self.STRIDES)
        )
        self.head = nn.Linear(self.FILTERS, n_outputs)
        for layer in (*self.convolutions, self.head):
            assert isinstance(layer, nn.Conv1d | nn.Linear)
            nn.init.xavier_uniform_(layer.weight)  # the paper's framework starts from Glorot and zeros
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of the classes, or the size.

        Parameters
        ----------
        vectors
            Standardized patterns, shape (n, n_points).

        Returns
        -------
        Outputs, shape (n, n_outputs).
        """
        x = vectors.unsqueeze(2)
        for layer, stride in zip(self.convolutions, self.STRIDES, strict=True):
            assert isinstance(layer, nn.Conv1d)
            # 'same' padding: zeros on both sides until the length divides, the odd one on the right.
            lacking = -x.shape[1] % stride
            x = nn.functional.pad(x, (0, 0, lacking // 2, lacking - lacking // 2))
            # Kernels that do not overlap are one matrix product: 1.5 times as fast on a processor as a
            # convolution, five times in bfloat16.
            windows = x.reshape(x.shape[0], x.shape[1] // stride, -1)
            weight = layer.weight.permute(0, 2, 1).reshape(self.FILTERS, -1)
            x = torch.relu(nn.functional.linear(windows, weight, layer.bias))
        outputs: Tensor = self.head(x.mean(dim=1))
        return outputs


class PlacesNetwork(nn.Module):
    """The paper's patterns read place by place: every stretch of Q has weights of its own.

    The global mean of the paper's network forgets where a peak was. Here convolutions smooth the logarithm of
    the pattern, in which what a short range does to the scale is a constant, and a dense layer sees all that
    is left of every place.

    Parameters
    ----------
    n_points
        Points of the patterns.
    n_hidden
        Units of the dense layer.
    n_outputs
        Number of size classes; 1 for a regression.
    """

    TOGETHER = 4
    """Points that are averaged: 0.011 Å⁻¹, a sixth of the width of a peak of a 10 nm dot."""
    LEAST = 0.02
    """Smallest intensity over the mean that the logarithm tells apart, as in the input of a size network."""
    LAYERS: Sequence[tuple[int, int, int]] = ((48, 15, 4), (96, 5, 2), (96, 5, 2), (96, 5, 2))
    """Filters, kernel and stride of the convolutions."""

    def __init__(self, n_points: int, n_hidden: int, n_outputs: int) -> None:
        super().__init__()
        self.convolutions, n_places = _convolutions(self.LAYERS, 1, math.ceil(n_points / self.TOGETHER))
        n_seen = n_places * self.LAYERS[-1][0]
        self.head = nn.Sequential(nn.Linear(n_seen, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of the classes, or the size; as of `PaperNetwork`."""
        places = nn.functional.avg_pool1d(vectors[:, None], self.TOGETHER, ceil_mode=True)
        outputs: Tensor = self.head(self.convolutions(places.clamp(min=self.LEAST).log()).flatten(1))
        return outputs


class SizeNetwork(nn.Module):
    """A pattern seen twice, in momentum transfer and in distance, to means and log standard deviations.

    Where peaks stand and how they compare is told by convolutions over Q: lattice, order, solvent. How
    large the dots are is told by the Fourier transform of the pattern without its smooth part: its power
    at a distance falls as fewer pairs of atoms are so far apart, which is the common volume of a dot and
    its shifted self (Guinier & Fournet 1955; the reading of line profiles by Warren & Averbach 1950).
    That fall cares neither for the heights of peaks, as texture changes them, nor for strain.

    Parameters
    ----------
    grid
        Bins of the patterns.
    n_targets
        Quantities to predict.
    """

    # (filters, kernel, stride): the stem's 0.15 Å⁻¹ kernel spans a peak; strides leave 44 positions in Q
    # and 41 in distance, which keep their places (no global pooling: position is lattice and size). The last
    # layers are narrow: the head would otherwise be too large for a processor's cache.
    Q_LAYERS: Sequence[tuple[int, int, int]] = ((16, 15, 4), (48, 5, 2), (64, 5, 2), (16, 3, 2))
    DISTANCE_LAYERS: Sequence[tuple[int, int, int]] = ((32, 9, 4), (64, 5, 2), (16, 5, 2))
    HIDDEN = 192
    SMOOTH_INV_ANGSTROM = 1.0
    """What is smooth on this scale is no peak of a dot above 1 nm."""
    TAPER_INV_ANGSTROM = 0.3
    """Ends of the covered range fade over this width: a sharp end shines into all distances."""
    LONGEST_ANGSTROM = 200.0
    """Few populations answered for hold longer pairs."""
    FINEST_ANGSTROM = 0.4
    """Spacing of distances at most: what 15 Å⁻¹ of pattern tells apart."""
    NOISE_SHARE = 0.3
    """Of the expected power of the noise, added before the logarithm so that noise is not shown in full."""
    LEAST_POWER = 1e-4
    """Power that counts as none; a peak as high as its surroundings has 100."""
    POWER_SCALE = 0.3
    """Brings the logarithm of the power to the size of the other inputs."""

    rise: Tensor

    def __init__(self, grid: BinGrid, n_targets: int) -> None:
        super().__init__()
        step = grid.q_step_inv_angstrom
        self.smooth = 2 * round(self.SMOOTH_INV_ANGSTROM / step / 2) + 1
        self.taper = 2 * round(self.TAPER_INV_ANGSTROM / step) + 1
        # Powers of two transform fastest.
        n_least = max(2 * math.pi / (step * self.FINEST_ANGSTROM), grid.n_bins)
        self.n_transform = 2 ** math.ceil(math.log2(n_least))
        spacing = 2 * math.pi / (step * self.n_transform)
        self.n_distances = min(round(self.LONGEST_ANGSTROM / spacing), self.n_transform // 2)
        # Photons fade with the form factors: one signal is relative to its surroundings, one is not.
        self.register_buffer("rise", torch.from_numpy(grid.centres / grid.centres.mean()).float())
        self.q_stem, n_q = _convolutions(self.Q_LAYERS[:1], 3, grid.n_bins)
        self.over_q, n_q = _convolutions(self.Q_LAYERS[1:], self.Q_LAYERS[0][0], n_q)
        self.distance_stem, n_r = _convolutions(self.DISTANCE_LAYERS[:1], 2, self.n_distances)
        self.over_distance, n_r = _convolutions(self.DISTANCE_LAYERS[1:], self.DISTANCE_LAYERS[0][0], n_r)
        n_seen = n_q * self.Q_LAYERS[-1][0] + n_r * self.DISTANCE_LAYERS[-1][0]
        self.head = nn.Sequential(
            nn.Linear(n_seen, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, 2 * n_targets + 1)
        )
        self.n_targets = n_targets

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict.

        Parameters
        ----------
        vectors
            Network inputs, shape (n, 3, n_bins), as of `qdsizer_stream.models.binned_vectors`.

        Returns
        -------
        Means and log standard deviations of the targets, each of shape (n, n_targets), and the logit
        that there are dots at all, shape (n,).
        """
        return self.read(self.see(*self.stems(vectors)))

    def stems(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """First layers, over Q and over distance: their inputs need more digits than bfloat16 has."""
        return self.q_stem(vectors), self.distance_stem(self._powers(vectors))

    def see(self, over_q: Tensor, over_distance: Tensor) -> Tensor:
        """Layers between, most of the work: what is seen in the pattern, shape (n, n_seen)."""
        parts = self.over_q(over_q), self.over_distance(over_distance)
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def read(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Last layers: what `forward` returns, from what is seen."""
        out: Tensor = self.head(seen)
        mean, log_sigma = out[:, : self.n_targets], out[:, self.n_targets : 2 * self.n_targets]
        # e⁻⁷ to e³: outside, the likelihood of one sample could swallow the batch.
        return mean, log_sigma.clamp(-7.0, 3.0), out[:, -1]

    def _powers(self, vectors: Tensor) -> Tensor:
        """Log power of the pattern's peaks at each distance, shape (n, 2, n_distances)."""
        logarithm, noise, coverage = vectors.unbind(1)
        # Coverage is 1 where there is data, a half between data.
        covered, measured = coverage.ceil(), coverage.floor()
        intensity = logarithm.exp() * covered
        sums = _Sums(torch.stack([intensity, covered], dim=1), max(self.smooth, self.taper))
        near, n_near = sums.around(self.smooth).unbind(1)
        around = near / n_near.clamp(min=1.0) + 1e-3  # no division by a dark frame's zero
        _, n_close = sums.around(self.taper).unbind(1)
        ends = (n_close * (2 / self.taper) - 1).clamp(0, 1) * covered
        weights = torch.stack([ends / around, ends * self.rise], dim=1)
        power = self._transformed((intensity - around)[:, None] * weights)
        sd = (noise * math.log(10)).exp() * measured
        noise_power = (sd[:, None] * weights).square().sum(dim=-1, keepdim=True)
        return self.POWER_SCALE * torch.log(power + self.NOISE_SHARE * noise_power + self.LEAST_POWER)

    def _transformed(self, pair: Tensor) -> Tensor:
        """Power of two real curves, shape (n, 2, n_distances), from one complex transform.

        With Z that of a + ib, those of a and b are (Z(k) + Z*(-k))/2 and (Z(k) - Z*(-k))/2i.
        """
        padded = nn.functional.pad(pair, (0, self.n_transform - pair.shape[-1]))
        wave = torch.view_as_real(torch.fft.fft(torch.view_as_complex(padded.mT.contiguous())))
        forth = wave[:, : self.n_distances]
        back = torch.cat([wave[:, :1], wave[:, -self.n_distances + 1 :].flip(1)], dim=1)
        real, imaginary = forth.unbind(-1)
        real_back, imaginary_back = back.unbind(-1)
        first = (real + real_back).square() + (imaginary - imaginary_back).square()
        second = (imaginary + imaginary_back).square() + (real - real_back).square()
        return torch.stack([first, second], dim=1) / 4


def _convolutions(
    layers: Sequence[tuple[int, int, int]], channels: int, length: int
) -> tuple[nn.Sequential, int]:
    """A stack of convolutions and the length of its outputs."""
    blocks: list[nn.Module] = []
    for filters, kernel, stride in layers:
        blocks += [
            nn.Conv1d(channels, filters, kernel, stride, kernel // 2),
            nn.BatchNorm1d(filters),
            nn.ReLU(),
        ]
        channels, length = filters, math.ceil(length / stride)
    return nn.Sequential(*blocks), length


class _Sums:
    """Sums over so many bins around each, zeros past the ends.

    Parameters
    ----------
    curves
        What is summed, shape (…, n_bins).
    widest
        The largest number of bins that will be asked for.
    """

    def __init__(self, curves: Tensor, widest: int) -> None:
        self._half, self._n = widest // 2, curves.shape[-1]
        self._sums = nn.functional.pad(curves, (self._half + 1, self._half)).cumsum(dim=-1)

    def around(self, width: int) -> Tensor:
        """Sums over an odd number of bins."""
        first = self._half - width // 2
        return (
            self._sums[..., first + width : first + width + self._n]
            - self._sums[..., first : first + self._n]
        )
