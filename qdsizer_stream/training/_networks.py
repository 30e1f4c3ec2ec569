"""Networks."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = ["PaperNetwork", "SizeNetwork"]


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


class SizeNetwork(nn.Module):
    """Convolutions over a binned pattern and its mask, then means and log standard deviations.

    Parameters
    ----------
    n_bins
        Bins of the input.
    n_channels
        Channels of the input.
    n_targets
        Quantities to predict.
    """

    # (filters, kernel, stride): the stem's 0.3 Å⁻¹ kernel spans the widest peak of a 2 nm dot; strides
    # leave 22 positions, so that a peak keeps its place (no global pooling: position is lattice and order).
    LAYERS: Sequence[tuple[int, int, int]] = ((48, 15, 4), (64, 5, 2), (96, 5, 2), (96, 3, 2))
    HIDDEN = 256

    def __init__(self, n_bins: int, n_channels: int, n_targets: int) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        channels, length = n_channels, n_bins
        for filters, kernel, stride in self.LAYERS:
            blocks += [
                nn.Conv1d(channels, filters, kernel, stride, kernel // 2),
                nn.BatchNorm1d(filters),
                nn.ReLU(),
            ]
            channels, length = filters, math.ceil(length / stride)
        self.features = nn.Sequential(*blocks, nn.Flatten())
        self.head = nn.Sequential(
            nn.Linear(channels * length, self.HIDDEN), nn.ReLU(), nn.Linear(self.HIDDEN, 2 * n_targets + 1)
        )
        self.n_targets = n_targets

    def forward(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Predict.

        Parameters
        ----------
        vectors
            Network inputs, shape (n, n_channels, n_bins).

        Returns
        -------
        Means and log standard deviations of the targets, each of shape (n, n_targets), and the logit
        that there are dots at all, shape (n,).
        """
        out: Tensor = self.head(self.features(vectors))
        mean, log_sigma = out[:, : self.n_targets], out[:, self.n_targets : 2 * self.n_targets]
        # e⁻⁷ to e³: outside, the likelihood of one sample could swallow the batch.
        return mean, log_sigma.clamp(-7.0, 3.0), out[:, -1]
