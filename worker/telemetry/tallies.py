"""Counters and histograms for what happens with every message: plain integers, read at the scrape.

prometheus_client's own take a lock, check their labels and look for exemplars each time: 8 us of a
message that costs 35. Here one thread writes, the event loop's, and the scrape only reads.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric


class Count:
    """One series of a counter; where every message counts, its `value` is added to directly."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1) -> None:
        """Add to it."""
        self.value += amount


class Distribution:
    """One series of a histogram; where every message counts, values are appended to `pending`.

    They are sorted into buckets by `fold`, in the thread that appends: the event loop's ticker
    calls it, so a scrape is a quarter of a second behind at most.
    """

    __slots__ = ("bounds", "counts", "pending", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.pending: list[float] = []

    def observe(self, value: float) -> None:
        """Add one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def fold(self) -> None:
        """Sort what is pending into its buckets."""
        pending, self.pending = self.pending, []
        self.sum += sum(pending)
        # Sorted, each bound is looked for among the values, not each value among the bounds: with
        # those of a backlog that is a tenth of the work, and was a twentieth of a message's.
        pending.sort()
        below = 0
        for place, bound in enumerate(self.bounds):
            up_to = bisect_right(pending, bound, below)
            self.counts[place] += up_to - below
            below = up_to
        self.counts[-1] += len(pending) - below

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts by upper bound, as Prometheus wants them."""
        total, found = 0, []
        names = [*(str(float(bound)) for bound in self.bounds), "+Inf"]
        for name, count in zip(names, self.counts, strict=True):
            total += count
            found.append((name, float(total)))
        return found


class Tally:
    """A counter: `labels` gives a series, `inc` adds to the one without labels."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], registry: CollectorRegistry
    ) -> None:
        self.name = name.removesuffix("_total")
        self.label_names = tuple(labels)
        self._documentation = documentation
        self._series: dict[tuple[str, ...], Count] = {} if labels else {(): Count()}
        registry.register(self)

    def labels(self, *values: str) -> Count:
        """Return the series of these label values; keep it where every message counts."""
        return self._series.setdefault(values, Count())

    def series(self) -> list[tuple[tuple[str, ...], Count]]:
        """Return all series with their label values; safe from any thread."""
        return list(self._series.items())

    def inc(self, amount: float = 1) -> None:
        """Add to the series without labels."""
        self._series[()].inc(amount)

    def describe(self) -> Iterable[Metric]:
        """Return the metric without its series."""
        return [CounterMetricFamily(self.name, self._documentation, labels=self.label_names)]

    def collect(self) -> Iterable[Metric]:
        """Return the metric with its series; called from the thread that scrapes."""
        family = CounterMetricFamily(self.name, self._documentation, labels=self.label_names)
        for values, count in self.series():
            family.add_metric(values, count.value)
        return [family]


class TallyHistogram:
    """A histogram: `labels` gives a series, `observe` adds to the one without labels."""

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self.name = name
        self.label_names = tuple(labels)
        self._documentation = documentation
        self._bounds = tuple(buckets)
        self._series: dict[tuple[str, ...], Distribution] = (
            {} if labels else {(): Distribution(self._bounds)}
        )
        registry.register(self)

    def labels(self, *values: str) -> Distribution:
        """Return the series of these label values; keep it where every message counts."""
        if (found := self._series.get(values)) is None:
            found = self._series[values] = Distribution(self._bounds)
        return found

    def observe(self, value: float) -> None:
        """Add to the series without labels."""
        self._series[()].observe(value)

    def fold(self) -> None:
        """Sort what is pending into its buckets; to be called by the thread that appends."""
        for series in self._series.values():
            if series.pending:
                series.fold()

    def describe(self) -> Iterable[Metric]:
        """Return the metric without its series."""
        return [HistogramMetricFamily(self.name, self._documentation, labels=self.label_names)]

    def collect(self) -> Iterable[Metric]:
        """Return the metric with its series; called from the thread that scrapes."""
        family = HistogramMetricFamily(self.name, self._documentation, labels=self.label_names)
        for values, series in list(self._series.items()):
            family.add_metric(values, buckets=series.buckets(), sum_value=series.sum)
        return [family]
