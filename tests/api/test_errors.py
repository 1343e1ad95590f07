from __future__ import annotations

import pytest

from api.errors import RETRY_AFTER_S, STATUS_OF_REASON, ApiError


def test_an_unknown_reason_can_not_be_raised() -> None:
    with pytest.raises(KeyError):
        ApiError("something_new")


@pytest.mark.parametrize("reason", STATUS_OF_REASON)
def test_statuses_and_headers_fit_together(reason: str) -> None:
    error = ApiError(reason)
    headers = error.headers or {}
    assert error.detail == error.reason == reason
    assert ("retry-after" in headers) is (error.status_code in (429, 503))
    assert ("www-authenticate" in headers) is (error.status_code == 401)


@pytest.mark.parametrize(("given", "told"), [(0.0, "1"), (0.2, "1"), (1.0, "1"), (1.1, "2"), (30.0, "30")])
def test_retry_after_is_in_whole_seconds_and_never_none(given: float, told: str) -> None:
    assert ApiError("rate_limited", retry_after_s=given).headers == {"retry-after": told}


def test_only_known_reasons_are_retried() -> None:
    assert set(RETRY_AFTER_S) <= set(STATUS_OF_REASON)
