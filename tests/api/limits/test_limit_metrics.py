from __future__ import annotations

import re

from api.limits import limit_metrics
from tests.api.support import exposition


def test_every_class_is_counted_from_the_start_and_there_are_no_others() -> None:
    shown = set(re.findall(r'^rate_limited_total\{class="(\w+)"\}', exposition().decode(), re.MULTILINE))
    assert set(limit_metrics.CLASSES) <= shown
    assert shown - set(limit_metrics.CLASSES) <= {"test", "first", "second"}  # of other tests in this process


def test_moderation_is_counted_without_labels() -> None:
    text = exposition().decode()
    for name in ("moderation_refused_total", "moderation_mutes_total"):
        assert re.search(rf"^{name} [0-9.]+$", text, re.MULTILINE)
