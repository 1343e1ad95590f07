from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from api.exposition import Family, family, of_metrics, render, sample_key, single


def parsed(text: bytes) -> dict[str, float]:
    found = {}
    for one in text_string_to_metric_families(text.decode()):
        for sample in one.samples:
            found[sample_key(sample.name, sample.labels)] = sample.value
    return found


def test_what_a_registry_holds_reads_back_as_it_was() -> None:
    registry = CollectorRegistry()
    Counter("meals", "Meals.", ["kind"], registry=registry).labels("late").inc(3)
    Gauge("guests", "Guests.", registry=registry).set(2.5)
    Histogram("wait_ms", "Waiting.", buckets=(1, 5), registry=registry).observe(2)
    found = parsed(render(of_metrics(registry.collect())))
    assert found['meals_total{kind="late"}'] == 3
    assert found["guests"] == 2.5
    assert [found[f'wait_ms_bucket{{le="{le}"}}'] for le in ("1.0", "5.0", "+Inf")] == [0, 1, 1]
    assert (found["wait_ms_sum"], found["wait_ms_count"]) == (2, 1)
    assert not [key for key in found if "created" in key]


def test_the_type_of_a_counter_bears_the_counters_whole_name() -> None:
    registry = CollectorRegistry()
    Counter("meals_total", "Meals.", registry=registry).inc()
    assert b"# TYPE meals_total counter\nmeals_total 1\n" in render(of_metrics(registry.collect()))


def test_values_with_quotes_breaks_and_backslashes_survive() -> None:
    odd = 'a"b\\c\nd'
    text = render([family("odd", "gauge", "Two\nlines \\ more.", [({"what": odd}, 1)])])
    [one] = text_string_to_metric_families(text.decode())
    assert one.samples[0].labels == {"what": odd}
    assert text.count(b"\n") == 3


def test_numbers_that_are_none_are_spelt_as_prometheus_does() -> None:
    values = {"a": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 1e300, "e": 0.1}
    text = render([Family("n", "gauge", "N.", dict(values))]).decode().splitlines()[2:]
    assert text == ["a NaN", "b +Inf", "c -Inf", "d 1e+300", "e 0.1"]


def test_nothing_is_an_empty_page() -> None:
    assert render([]) == b""
    assert render([single("one", "gauge", "One.", 1)]).endswith(b"one 1\n")
