"""A clock whose hands the tests turn: time passes only where a test says so."""

from collections.abc import Callable

from faltung.bench.runner import Clock


class TurnedClock:
    """`calls` notes who ran when; `spinning` is how long idle threads will go on using the CPU."""

    def __init__(self) -> None:
        self.time = self.used = self.spinning = 0.0
        self.calls: list[tuple[str, float]] = []
        self.seen_spinning: list[str] = []

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.time, lambda: self.used, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.used += min(seconds, self.spinning)
        self.spinning = max(0.0, self.spinning - seconds)
        self.time += seconds

    def contender(
        self, name: str, seconds: float | Callable[[float], float], spins: float = 0.0
    ) -> Callable[[], None]:
        """A call that takes `seconds`, perhaps depending on when it begins, and spins after it."""

        def call() -> None:
            if self.spinning:
                self.seen_spinning.append(name)
            self.calls.append((name, self.time))
            self.time += seconds(self.time) if callable(seconds) else seconds
            self.spinning = spins

        return call
