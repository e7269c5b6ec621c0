"""PyTorch, channels last: often the faster of its two formats."""

from __future__ import annotations

from faltung.bench.peers._torch import Torch

__all__ = ["PEER", "ChannelsLast"]


class ChannelsLast(Torch):
    """Data and weights have channels last before the first call."""

    name, title = "torch_channels_last", "PyTorch channels last"
    is_channels_last = True


PEER = ChannelsLast
