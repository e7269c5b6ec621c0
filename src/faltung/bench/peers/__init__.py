"""The libraries that faltung is compared with: one file a peer, found by import.

Every module of this package whose name has no leading underscore has a class `PEER`. A peer is
here if its library can be imported; it sets its own threads when it is made.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from faltung.bench.peers._peer import Contender, Peer
from faltung.errors import MissingExtraError, OptionError

__all__ = ["Contender", "Peer", "known_peers", "open_peers"]


def known_peers() -> dict[str, type[Peer]]:
    """All peers by name, whether their libraries are installed or not."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if found.name[0] != "_"]
    modules: list[Any] = [import_module(f"{__name__}.{name}") for name in names]
    return {module.PEER.name: module.PEER for module in modules}


def open_peers(wanted: Sequence[str] | None, threads: int) -> tuple[list[Peer], dict[str, str]]:
    """The peers that are there, with as many threads as faltung has.

    Parameters
    ----------
    wanted : sequence of str or None
        Names of peers; None means all that are installed.
    threads : int
        How many threads each may use.

    Returns
    -------
    peers : list of Peer
        Ready to build contenders.
    missing : dict of str to str
        By the name of a peer that is not there, why.

    Raises
    ------
    OptionError
        For a name that no peer has.
    MissingExtraError
        If a peer that was asked for is not there.
    """
    known = known_peers()
    for name in wanted or ():
        if name not in known:
            raise OptionError(
                f"no peer is called {name!r}", f"Use any of {', '.join(map(repr, known))}"
            )
    peers, missing = [], {}
    for name in known if wanted is None else dict.fromkeys(wanted):
        try:
            peers.append(known[name](threads))
        except ImportError as error:
            missing[name] = str(error)
            if wanted is not None:
                raise MissingExtraError(
                    f"the peer {name!r} cannot be used: {error}",
                    f"Install {known[name].package}, or leave the peer out",
                ) from None
    return peers, missing
