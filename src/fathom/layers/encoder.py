"""The image encoders of RAFT and what came after it: residual blocks with biases and either norm,
and what recurrent units at three sizes begin with.

Teed and Deng, "RAFT", ECCV 2020, appendix; Lipson et al., "RAFT-Stereo", 3DV 2021.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

Norm = Literal["batch", "instance"]


class Block(nn.Module):
    """ReLU(skip(x) + y), y being x after two times 3x3 convolution, normalisation and ReLU.

    The first convolution has the stride; the skip is the identity or a normalised 1x1 convolution,
    always the latter if `project`.
    """

    def __init__(
        self, inputs: int, outputs: int, norm: Norm, stride: int = 1, *, project: bool = False
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1)
        self.norm1 = norm_of(norm, outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.norm2 = norm_of(norm, outputs)
        same = stride == 1 and inputs == outputs and not project
        self.skip = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), norm_of(norm, outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.norm1(self.conv1(x)))
        y = torch.relu(self.norm2(self.conv2(y)))
        return torch.relu(self.skip(x) + y)


class Trunk(nn.Sequential):
    """A 7x7 convolution and three stages of two blocks: 1/2^downsample of the size."""

    def __init__(self, widths: tuple[int, int, int], norm: Norm, downsample: int) -> None:
        first = widths[0]
        super().__init__(
            nn.Conv2d(3, first, 7, 1 + (downsample > 2), 3),
            norm_of(norm, first),
            nn.ReLU(),
            stage(first, first, norm, 1),
            stage(first, widths[1], norm, 1 + (downsample > 1)),
            stage(widths[1], widths[2], norm, 1 + (downsample > 0)),
        )


class Heads(nn.Module):
    """At one scale, the first state of its unit and what the unit's context is made of.

    plain: one convolution each, without a block before it.
    """

    def __init__(self, inputs: int, outputs: int, norm: Norm, *, plain: bool) -> None:
        super().__init__()
        self.state, self.context = (
            nn.Sequential(
                *([] if plain else [Block(inputs, inputs, norm)]),
                nn.Conv2d(inputs, outputs, 3, padding=1),
            )
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(self.state(x)), torch.relu(self.context(x))


class UnitContext(nn.Module):
    """What units at sizes 1, 1/2, 1/4 of the features' begin with and are told at every step.

    layers: how many run, 1 to 3; what the others would take exists, as in the published networks,
    and takes no gradient. Lipson et al., section 3.1.
    """

    def __init__(self, inputs: int, hidden: int, norm: Norm, layers: int) -> None:
        super().__init__()
        self.layers = layers
        self.coarser = nn.ModuleList(stage(inputs, inputs, norm, 2) for _ in range(2))
        self.heads = nn.ModuleList(
            Heads(inputs, hidden, norm, plain=scale == 2) for scale in range(3)
        )
        self.contexts = nn.ModuleList(
            nn.Conv2d(hidden, 3 * hidden, 3, padding=1) for _ in range(layers)
        )
        start_encoder(self.coarser, self.heads)
        for module in [*self.coarser[layers - 1 :], *self.heads[layers:]]:
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """States and contexts of the units that run, finest first."""
        scales = [x]
        for coarser in self.coarser[: self.layers - 1]:
            scales.append(coarser(scales[-1]))
        states, contexts = [], []
        for i, scale in enumerate(scales):
            state, context = self.heads[i](scale)
            states.append(state)
            contexts.append(self.contexts[i](context))
        return states, contexts


def start_encoder(*parts: nn.Module) -> None:
    """First weights of the parts' convolutions as the authors set them."""
    for module in (m for part in parts for m in part.modules()):
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def keep_norms(net: nn.Module) -> None:
    """The net's batch norms of images keep the statistics they came with; call it after `train`."""
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def without_twins(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without the names `norm3` of a block in the authors' code, the same tensors as its
    `downsample.1`."""
    other = {name: name.replace(".norm3.", ".downsample.1.") for name in state}
    return {k: v for k, v in state.items() if other[k] == k or other[k] not in state}


def with_twins(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`without_twins` undone."""
    twins = {
        k.replace(".downsample.1.", ".norm3."): v for k, v in state.items() if ".downsample.1." in k
    }
    return {**state, **twins}


def norm_of(kind: Norm, channels: int) -> nn.Module:
    """Batch normalisation, or instance normalisation without weights."""
    return nn.BatchNorm2d(channels) if kind == "batch" else nn.InstanceNorm2d(channels)


def stage(
    inputs: int, outputs: int, norm: Norm, stride: int, *, project: bool = False
) -> nn.Sequential:
    """Two blocks; the first has the stride. project: of both, see `Block`."""
    return nn.Sequential(
        Block(inputs, outputs, norm, stride, project=project),
        Block(outputs, outputs, norm, project=project),
    )
