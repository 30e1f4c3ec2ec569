"""Neural networks: the paper's network, a positional one, and the size network."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ..models import N_CHANNELS, WIDTH_LIMITS_INV_ANGSTROM
from ..patterns import FWHM_PER_SD, BinGrid

__all__ = ["MovingSums", "PaperNetwork", "PositionalNetwork", "SizeNetwork"]


class PaperNetwork(nn.Module):
    """Network of the paper: five convolutions with 32 filters and kernel = stride, global mean, softmax.

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
            nn.init.xavier_uniform_(layer.weight)  # Glorot weights and zero biases, as in the paper
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
            # 'same' padding: zeros on both sides to a multiple of the stride, an odd one on the right.
            n_padding = -x.shape[1] % stride
            x = nn.functional.pad(x, (0, 0, n_padding // 2, n_padding - n_padding // 2))
            # A convolution with kernel = stride is one matrix product: on a CPU 1.5 times as fast as the
            # convolution, in bfloat16 five times.
            windows = x.reshape(x.shape[0], x.shape[1] // stride, -1)
            weight = layer.weight.permute(0, 2, 1).reshape(self.FILTERS, -1)
            x = torch.relu(nn.functional.linear(windows, weight, layer.bias))
        outputs: Tensor = self.head(x.mean(dim=1))
        return outputs


class PositionalNetwork(nn.Module):
    """Network with positional features: every interval of Q has its own weights.

    The global mean of the paper's network discards the positions of peaks. Here convolutions reduce the
    logarithm of the pattern, in which the scale change of a shortened pattern is a constant, and a dense
    layer receives the features of every position.

    Parameters
    ----------
    n_points
        Number of points of the patterns.
    n_hidden
        Number of units of the dense layer.
    n_outputs
        Number of size classes; 1 for a regression.
    """

    N_AVERAGED = 4
    """Number of points averaged: 0.011 Å⁻¹, one sixth of the peak width of a 10 nm dot."""
    MIN_INTENSITY = 0.02
    """Minimum intensity relative to the mean before the logarithm, as in the input of a size network."""
    LAYERS: Sequence[tuple[int, int, int]] = ((48, 15, 4), (96, 5, 2), (96, 5, 2), (96, 5, 2))
    """Filters, kernel size and stride of each convolution."""

    def __init__(self, n_points: int, n_hidden: int, n_outputs: int) -> None:
        super().__init__()
        self.convolutions, n_positions = _convolutions(self.LAYERS, 1, math.ceil(n_points / self.N_AVERAGED))
        n_features = n_positions * self.LAYERS[-1][0]
        self.head = nn.Sequential(nn.Linear(n_features, n_hidden), nn.ReLU(), nn.Linear(n_hidden, n_outputs))

    def forward(self, vectors: Tensor) -> Tensor:
        """Logits of the classes, or the size; as for `PaperNetwork`."""
        averaged = nn.functional.avg_pool1d(vectors[:, None], self.N_AVERAGED, ceil_mode=True)
        outputs: Tensor = self.head(
            self.convolutions(averaged.clamp(min=self.MIN_INTENSITY).log()).flatten(1)
        )
        return outputs


class SizeNetwork(nn.Module):
    """Size network: predicts means and standard deviations from a pattern in Q and in real space.

    Convolutions over Q read the positions and relative heights of the peaks: lattice, order, solvent. The
    size comes mainly from the power of the Fourier transform of the pattern without its smooth part. This
    power falls with distance like the number of atom pairs, that is, like the common volume of a dot and
    its shifted copy (Guinier & Fournet 1955; line-profile analysis of Warren & Averbach 1950). The fall
    depends neither on strain nor on the heights of the peaks, which texture changes.

    Parameters
    ----------
    grid
        Bins of the patterns.
    n_targets
        Number of quantities to predict.
    resolution
        Whether the inputs hold the width of the instrument.
    """

    # (filters, kernel, stride). The 0.15 Å⁻¹ kernel of the stem spans a peak. The strides leave 44 positions
    # in Q and 41 in distance; there is no global pooling because position encodes lattice and size. The last
    # layers are narrow so that the head fits in the processor cache.
    Q_LAYERS: Sequence[tuple[int, int, int]] = ((16, 15, 4), (48, 5, 2), (64, 5, 2), (16, 3, 2))
    DISTANCE_LAYERS: Sequence[tuple[int, int, int]] = ((32, 9, 4), (64, 5, 2), (16, 5, 2))
    HIDDEN = 192
    SMOOTH_INV_ANGSTROM = 1.0
    """Width of the moving average that is subtracted; peaks of dots above 1 nm are narrower."""
    TAPER_INV_ANGSTROM = 0.3
    """Width over which the ends of the range are tapered: a sharp end contributes at all distances."""
    MAX_DISTANCE_ANGSTROM = 200.0
    """Maximum distance; few dots within the size range have longer pairs."""
    MAX_SPACING_ANGSTROM = 0.4
    """Maximum spacing of distances: the resolution of a pattern to 15 Å⁻¹."""
    NOISE_FRACTION = 0.3
    """Fraction of the expected noise power that is added before the logarithm, to suppress noise."""
    MIN_POWER = 1e-4
    """Power added before the logarithm; a peak as high as its surroundings has a power of 100."""
    POWER_SCALE = 0.3
    """Scales the logarithm of the power to the magnitude of the other inputs."""

    MAX_DAMPING = 6.0
    """Largest fall of the logarithm of the power by the width of the instrument that is passed on: beyond it,
    nothing is left of the power."""

    rise: Tensor
    distance_squared: Tensor

    def __init__(self, grid: BinGrid, n_targets: int, resolution: bool = False) -> None:
        super().__init__()
        step = grid.q_step_inv_angstrom
        self.smooth = 2 * round(self.SMOOTH_INV_ANGSTROM / step / 2) + 1
        self.taper = 2 * round(self.TAPER_INV_ANGSTROM / step) + 1
        # Powers of two have the fastest transforms.
        n_min = max(2 * math.pi / (step * self.MAX_SPACING_ANGSTROM), grid.n_bins)
        self.n_transform = 2 ** math.ceil(math.log2(n_min))
        spacing = 2 * math.pi / (step * self.n_transform)
        self.n_distances = min(round(self.MAX_DISTANCE_ANGSTROM / spacing), self.n_transform // 2)
        # Intensity falls with the form factors: one signal is relative to its surroundings, one absolute.
        self.register_buffer("rise", torch.from_numpy(grid.centres / grid.centres.mean()).float())
        distance = torch.arange(self.n_distances, dtype=torch.float64) * spacing
        self.register_buffer(
            "distance_squared", (distance / FWHM_PER_SD).square().float(), persistent=resolution
        )
        self.resolution = resolution
        n_channels = N_CHANNELS + resolution
        self.q_stem, n_q = _convolutions(self.Q_LAYERS[:1], n_channels, grid.n_bins)
        self.over_q, n_q = _convolutions(self.Q_LAYERS[1:], self.Q_LAYERS[0][0], n_q)
        self.distance_stem, n_r = _convolutions(self.DISTANCE_LAYERS[:1], 2 + resolution, self.n_distances)
        self.over_distance, n_r = _convolutions(self.DISTANCE_LAYERS[1:], self.DISTANCE_LAYERS[0][0], n_r)
        n_features = n_q * self.Q_LAYERS[-1][0] + n_r * self.DISTANCE_LAYERS[-1][0]
        self.head = nn.Sequential(
            nn.Linear(n_features, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, 2 * n_targets + 1)
        )
        self.n_targets = n_targets

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict means, standard deviations and the presence of dots.

        Parameters
        ----------
        vectors
            Network inputs from `qdsizer_stream.models.binned_vectors`, shape (n, 3, n_bins), or
            (n, 4, n_bins) with the width of the instrument.

        Returns
        -------
        Means and log standard deviations of the targets, each of shape (n, n_targets), and the logit of
        the presence of dots, shape (n,).
        """
        return self.outputs(self.features(*self.stems(vectors)))

    def stems(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """First layers, over Q and over distance; their inputs need more precision than bfloat16."""
        powers = self.log_powers(vectors)
        if self.resolution:
            powers = torch.cat([powers, self.damping(vectors)[:, None]], dim=1)
        return self.q_stem(vectors), self.distance_stem(powers)

    def features(self, over_q: Tensor, over_distance: Tensor) -> Tensor:
        """Middle layers, most of the computation: features of the pattern, shape (n, n_features)."""
        parts = self.over_q(over_q), self.over_distance(over_distance)
        return torch.cat([part.flatten(1) for part in parts], dim=1)

    def outputs(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Last layers: the results of `forward` from the features."""
        out: Tensor = self.head(features)
        mean, log_sigma = out[:, : self.n_targets], out[:, self.n_targets : 2 * self.n_targets]
        # Limits e⁻⁷ to e³: outside, one sample could dominate the likelihood of a batch.
        return mean, log_sigma.clamp(-7.0, 3.0), out[:, -1]

    def log_powers(self, vectors: Tensor) -> Tensor:
        """Logarithm of the power of the peaks at each distance.

        Parameters
        ----------
        vectors
            Network inputs, as for `forward`.

        Returns
        -------
        Relative to the surroundings and absolute, times `POWER_SCALE`, shape (n, 2, n_distances).
        """
        logarithm, noise, coverage = vectors[:, :N_CHANNELS].unbind(1)
        # Coverage is 1 where there are data, 0.5 between data.
        covered, measured = coverage.ceil(), coverage.floor()
        intensity = logarithm.exp() * covered
        sums = MovingSums(torch.stack([intensity, covered], dim=1), max(self.smooth, self.taper))
        total, n_covered = sums.over(self.smooth).unbind(1)
        background = total / n_covered.clamp(min=1.0) + 1e-3  # avoids division by zero in dark frames
        _, n_near_end = sums.over(self.taper).unbind(1)
        taper = (n_near_end * (2 / self.taper) - 1).clamp(0, 1) * covered
        weights = torch.stack([taper / background, taper * self.rise], dim=1)
        power = self._power_spectra((intensity - background)[:, None] * weights)
        sd = (noise * math.log(10)).exp() * measured
        noise_power = (sd[:, None] * weights).square().sum(dim=-1, keepdim=True)
        return self.POWER_SCALE * torch.log(power + self.NOISE_FRACTION * noise_power + self.MIN_POWER)

    def damping(self, vectors: Tensor) -> Tensor:
        """Fall of the logarithm of the power at each distance by the width of the instrument.

        A Gaussian of standard deviation s multiplies the transform by exp(-s²r²/2), its power by exp(-s²r²).
        Where the width varies with Q, its mean square over the data is taken.

        Parameters
        ----------
        vectors
            Network inputs with the width of the instrument, shape (n, 4, n_bins).

        Returns
        -------
        Fall, scaled as `log_powers`, shape (n, n_distances).
        """
        middle = math.sqrt(WIDTH_LIMITS_INV_ANGSTROM[0] * WIDTH_LIMITS_INV_ANGSTROM[1])
        squared = (vectors[:, N_CHANNELS] * (2 * math.log(10))).exp() * middle**2
        covered = vectors[:, N_CHANNELS - 1].ceil()
        mean_square = (squared * covered).sum(dim=1) / covered.sum(dim=1).clamp(min=1.0)
        damping = mean_square[:, None] * self.distance_squared
        return self.POWER_SCALE * damping.clamp(max=self.MAX_DAMPING)

    def _power_spectra(self, pair: Tensor) -> Tensor:
        """Power spectra of two real curves, shape (n, 2, n_distances), from one complex transform.

        If Z is the transform of a + ib, those of a and b are (Z(k) + Z*(-k))/2 and (Z(k) - Z*(-k))/2i.
        """
        padded = nn.functional.pad(pair, (0, self.n_transform - pair.shape[-1]))
        transform = torch.view_as_real(torch.fft.fft(torch.view_as_complex(padded.mT.contiguous())))
        positive = transform[:, : self.n_distances]
        negative = torch.cat([transform[:, :1], transform[:, -self.n_distances + 1 :].flip(1)], dim=1)
        real, imaginary = positive.unbind(-1)
        real_negative, imaginary_negative = negative.unbind(-1)
        first = (real + real_negative).square() + (imaginary - imaginary_negative).square()
        second = (imaginary + imaginary_negative).square() + (real - real_negative).square()
        return torch.stack([first, second], dim=1) / 4


def _convolutions(
    layers: Sequence[tuple[int, int, int]], channels: int, length: int
) -> tuple[nn.Sequential, int]:
    """Stack of convolutions, and the length of its output."""
    blocks: list[nn.Module] = []
    for filters, kernel, stride in layers:
        blocks += [
            nn.Conv1d(channels, filters, kernel, stride, kernel // 2),
            nn.BatchNorm1d(filters),
            nn.ReLU(),
        ]
        channels, length = filters, math.ceil(length / stride)
    return nn.Sequential(*blocks), length


class MovingSums:
    """Moving sums over windows centred on each bin, with zeros beyond the ends.

    Parameters
    ----------
    curves
        Curves to sum, shape (…, n_bins).
    max_width
        Maximum width of a window, bins.
    """

    def __init__(self, curves: Tensor, max_width: int) -> None:
        self._half, self._n = max_width // 2, curves.shape[-1]
        self._sums = nn.functional.pad(curves, (self._half + 1, self._half)).cumsum(dim=-1)

    def over(self, width: int) -> Tensor:
        """Sums over an odd number of bins.

        Parameters
        ----------
        width
            Width of the window, bins; odd and at most `max_width`.

        Returns
        -------
        Sums, in the shape of the curves.
        """
        first = self._half - width // 2
        return (
            self._sums[..., first + width : first + width + self._n]
            - self._sums[..., first : first + self._n]
        )
