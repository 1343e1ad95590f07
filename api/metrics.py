"""What a gateway counts, in one Prometheus registry for the process; the cluster's page sums all gateways'.

Labels take a handful of values that we choose; never an agent, chunk, session, path or text from outside.
"""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from api.exposition import Family, of_metrics

REGISTRY: Final = CollectorRegistry()

SHORT_MS: Final = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 5, 50)
REQUEST_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
DECISION_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 6)

# -- the challenge (contract, "Playing") --

CHALLENGE_ISSUED: Final = Counter("challenge_issued_total", "Challenges issued.", registry=REGISTRY)
CHALLENGE_VALID: Final = Counter("challenge_answer_valid_total", "Answers that won their challenge.", registry=REGISTRY)
CHALLENGE_INVALID: Final = Counter(
    "challenge_answer_invalid_total", "Answers refused, by the check that failed.", ["check"], registry=REGISTRY
)
CHALLENGE_EXPIRED: Final = Counter(
    "challenge_expired_total", "Challenges that nobody answered in time.", registry=REGISTRY
)
CHALLENGE_VERIFY_MS: Final = Histogram(
    "challenge_verify_ms", "Checking an answer, in milliseconds.", buckets=SHORT_MS, registry=REGISTRY
)
CHALLENGE_POW_VERIFY_MS: Final = Histogram(
    "challenge_pow_verify_ms", "Its proof of work alone, in milliseconds.", buckets=SHORT_MS, registry=REGISTRY
)
CHALLENGE_DIFFICULTY: Final = Histogram(
    "challenge_difficulty_level", "Difficulty of the challenges issued.", buckets=(0, 1, 2, 3), registry=REGISTRY
)

# -- commands --

COMMANDS_REFUSED: Final = Counter(
    "commands_refused_total", "Commands refused before a shard saw them, by reason.", ["reason"], registry=REGISTRY
)
COMMANDS_DECIDED: Final = Counter(
    "commands_decided_total", "Commands that a shard decided.", ["accepted"], registry=REGISTRY
)
#: By whether it was accepted: looked up once, which takes longer than to count.
DECIDED: Final = {accepted: COMMANDS_DECIDED.labels(str(accepted).lower()) for accepted in (True, False)}
COMMANDS_UNDECIDED: Final = Counter(
    "commands_undecided_total", "Commands refused because no shard decided in time.", registry=REGISTRY
)
COMMAND_DECISION_S: Final = Histogram(
    "command_decision_seconds",
    "From the consumed answer to the shard's decision.",
    buckets=DECISION_S,
    registry=REGISTRY,
)
COMMANDS_WAITING: Final = Gauge("commands_waiting", "Commands submitted and not decided.", registry=REGISTRY)

# -- HTTP --

HTTP_REQUESTS: Final = Counter(
    "http_requests_total", "Requests answered.", ["method", "route", "status"], registry=REGISTRY
)
HTTP_SECONDS: Final = Histogram(
    "http_request_seconds", "Time to the answer's head.", ["route"], buckets=REQUEST_S, registry=REGISTRY
)
CONNECTIONS_REFUSED: Final = Counter(
    "connections_refused_total",
    "Connections closed for a bound of the server's, by bound.",
    ["reason"],
    registry=REGISTRY,
)
SESSIONS_OPENED: Final = Counter("sessions_opened_total", "Sessions opened.", ["role"], registry=REGISTRY)
PASSWORDS_WAITING: Final = Gauge("passwords_waiting", "Passwords that wait to be hashed.", registry=REGISTRY)
SESSION_ROWS_DROPPED: Final = Counter(
    "session_rows_dropped_total", "Session rows that never reached PostgreSQL.", registry=REGISTRY
)


def families() -> list[Family]:
    """Return this process's metrics as plain data, to be summed with the other gateways'."""
    return of_metrics(REGISTRY.collect())
