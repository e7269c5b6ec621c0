"""PyTorch, channels first."""

from __future__ import annotations

from faltung.bench.peers._torch import Torch

__all__ = ["PEER", "ChannelsFirst"]


class ChannelsFirst(Torch):
    """PyTorch's own default."""

    name, title = "torch", "PyTorch"


PEER = ChannelsFirst
