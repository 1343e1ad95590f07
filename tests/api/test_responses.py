from __future__ import annotations

import pytest

from api.errors import STATUS_OF_REASON
from api.responses import ANYWHERE, InvalidRequestBody, refusals


def test_reasons_are_gathered_by_status_with_those_of_any_endpoint() -> None:
    made = refusals("invalid_session", "invalid_credentials")
    assert {401, *(STATUS_OF_REASON[reason] for reason in ANYWHERE)} <= set(made)
    assert made[401]["description"] == "`invalid_session`, `invalid_credentials`"
    assert made[422]["model"] is InvalidRequestBody


def test_a_reason_that_does_not_exist_can_not_be_promised() -> None:
    with pytest.raises(KeyError):
        refusals("something_new")
