"""The operators' API: ``/v1/operator/...``, for people who look after the world (docs/decisions/0080)."""
