"""Every setting of the server, from the environment: ``CHUNKCRAWL_<NAME>``.

Read once, in the process that starts the world, by ``load_settings``; everybody else is handed the object.  It is plain
frozen data: Ray workers get it pickled, and read no environment of their own.

A new setting is one field here, with a description (and its unit in its name); ``make docs-settings`` then writes it
into README.md.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)
from pydantic_settings.exceptions import SettingsError as SourceError

from config import database_url, redis_url, variables
from config.errors import OperatorError
from config.limit import Limit
from config.log_levels import parse_levels
from config.networks import parse_networks

__all__ = [
    *("DEV_ORIGIN", "DEV_SECRET", "ENV_PREFIX", "Settings", "SettingsError"),
    *("default", "load_settings", "raw_setting"),
]

ENV_PREFIX: Final = variables.PREFIX
SECRETS_DIR_VARIABLE: Final = "CHUNKCRAWL_SECRETS_DIR"
DEV_SECRET: Final = "not-a-secret-only-for-development"
DEV_ORIGIN: Final = "http://localhost:5173"
SECRET_MIN_CHARS: Final = 32

#: Settings that are limits, of the form that ``config.limit`` reads.
LIMITS: Final = (
    *("limit_agent_commands", "limit_account_commands", "limit_signups", "limit_address_logins"),
    *("limit_account_logins", "limit_address_session_failures", "limit_account_session_failures"),
    *("limit_account_sessions", "limit_account_history", "limit_account_writings", "limit_watching"),
    *("limit_address_watchers", "limit_account_model_calls", "limit_operator_calls"),
)

#: Settings that may be given as a range, `2..8`; each has one of its name and ``_max``.
RANGES: Final = ("shards", "gateways")


class SettingsError(OperatorError, ValueError):
    """Settings that can't be used; one line for each, beginning with the variable's name and without its value."""

    reason = "bad_settings"


class Settings(BaseSettings):
    """All settings; the defaults are the wire contract's and those of a developer's machine."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True, validate_default=True
    )

    # where it runs
    environment: Literal["dev", "test", "prod"] = Field(
        "dev", description="`prod` has no dev routes, no fixed token and no demo, and logs JSON."
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address the gateways listen on.")
    port: int = Field(8000, ge=1, le=65535, description="Port the gateways listen on, all of a node together.")
    database_url: str = Field(
        "",
        repr=False,
        description="PostgreSQL, `postgresql+asyncpg://...`; empty: one is started, see `CHUNKCRAWL_DATA_DIR`.",
    )
    redis_url: str = Field(
        "",
        repr=False,
        description="Redis or Valkey, `redis://...`, with `?world=NAME` for one of several worlds in a database; "
        "empty: one is started, see `CHUNKCRAWL_DATA_DIR`.",
    )
    redis_fsync: Literal["everysec", "always"] = Field(
        "everysec",
        description="When a Valkey that is started has on the disk what it was told: a power cut takes the last second "
        "or two, or, with `always`, nothing.",
    )
    data_dir: str = Field(".data", min_length=1, description="Where the servers that are started keep their data.")
    ray_address: str = Field(
        "local",
        description="Ray cluster to run in, `host:port`, or `auto` for the one of this machine; "
        "`local` starts one for this run alone.",
    )
    ray_namespace: str = Field("chunkcrawl", min_length=1, description="Ray namespace of our actors.")
    shards: int = Field(
        2, ge=1, le=256, description="Shard actors of a new world; with a maximum, `2..8`, of any world at least."
    )
    shards_max: int = Field(
        0, ge=0, le=256, description="Shards at most, by processor and tick time; 0: as many as the world has."
    )
    gateways: int = Field(1, ge=1, le=256, description="Gateway actors at least; `1..4` sets the maximum too.")
    gateways_max: int = Field(
        0, ge=0, le=256, description="Gateways at most, by nodes, connections and CPU; 0: as many as `gateways`."
    )
    shard_cpus: float = Field(
        0.1, ge=0, le=64, description="CPUs a shard asks Ray for; 1 in production, little on a laptop."
    )
    gateway_cpus: float = Field(0.1, ge=0, le=64, description="CPUs a gateway asks Ray for.")
    balance: bool = Field(True, description="Chunks move from busy shards to idle ones by themselves.")
    balance_threshold: float = Field(
        1.2, ge=1.05, le=10, description="How many times the mean a shard may carry before chunks leave it."
    )
    balance_moves_per_minute: int = Field(60, ge=1, le=6000, description="Chunks that move so in a minute at most.")
    scale_cpu: float = Field(
        0.6, gt=0, le=1, description="Share of a core that shards may use on average before one is added."
    )
    scale_down_after_s: int = Field(
        300, ge=1, description="Seconds in which there must have been a shard too many before one is taken away."
    )
    nodes_min: int = Field(
        0,
        ge=0,
        le=4096,
        description="Nodes beyond these are emptied while the others have room, so that Ray's autoscaler takes them "
        "away; 0: none is.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged.")
    log_levels: str = Field("", description="Other levels for single modules, `api=warning,streaming.hub=debug`.")
    log_dir: str = Field(
        "",
        description="Where each actor writes its log; empty: `logs` in `CHUNKCRAWL_DATA_DIR` with a Ray of its own, "
        "else standard error, which Ray keeps.",
    )

    # trust
    secret_pepper: str = Field(
        DEV_SECRET,
        repr=False,
        description=f"Secret of this installation, at least {SECRET_MIN_CHARS} characters; must be set in `prod`.",
    )
    metrics_token: str = Field(
        "", repr=False, description="Token that `/metrics` wants; empty: open, and in `prod` closed to everybody."
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description=f"Origins that browsers may call from, comma separated; `{DEV_ORIGIN}` too outside `prod`."
    )
    public_watching: bool = Field(
        False, description="Anybody may open `/watch` and see every chunk, without a token; in `prod`, too."
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Addresses or networks whose `X-Forwarded-For` is believed, comma separated."
    )

    # the world
    world_seed: int = Field(1, ge=0, lt=2**63, description="Seed of a new world's terrain.")
    demo_agents: int = Field(6, ge=0, le=100, description="Demo agents that `chunkcrawl up` lets play.")
    demo: bool | None = Field(
        None,
        description="Demo actors in `chunk-0` and demo agents; unset: everywhere but in `prod`, which refuses them.",
    )
    tick_hz: int = Field(5, ge=1, le=20, description="Ticks a second of a new world.")
    late_ticks_max: int = Field(5, ge=1, description="Late ticks run back to back; beyond, numbers are skipped.")
    spawn_chunk_capacity: int = Field(64, ge=1, description="Agents in a chunk from which on nobody spawns there.")
    harvest_ticks_per_unit: int = Field(5, ge=1, description="Ticks to harvest one unit of gold.")
    regen_ticks: int = Field(300, ge=0, description="Ticks after which an emptied node is full again; 0: never.")
    gold_nodes_min: int = Field(3, ge=0, le=64, description="Gold nodes of a new world's chunks, at least.")
    gold_nodes_max: int = Field(6, ge=0, le=64, description="Gold nodes of a new world's chunks, at most.")
    gold_per_node_min: int = Field(5, ge=1, description="Units of a full gold node in a new world, at least.")
    gold_per_node_max: int = Field(20, ge=1, description="Units of a full gold node in a new world, at most.")
    backup_dir: str = Field(
        "",
        description="Where backups go that operators ask for over HTTP, on the machine of the gateway that is asked; "
        "empty: `backups` in `CHUNKCRAWL_DATA_DIR`.",
    )
    record_dir: str = Field(
        "", description="Directory for recordings of what each shard is told (`chunkcrawl replay`); empty: none."
    )
    collect_idle_s: int = Field(60, ge=1, description="Idle seconds of an empty chunk before it is removed.")
    grace_s: int = Field(30, ge=0, description="Seconds an agent stays in the world without a connection.")

    # accounts and sessions
    session_ttl_s: int = Field(900, ge=1, description="Life of a session, in seconds.")
    account_keys_max: int = Field(20, ge=1, description="API keys an account may have that are not revoked.")
    password_processes: int = Field(
        1, ge=1, le=64, description="Processes of a gateway that hash passwords, at the lowest priority."
    )
    password_queue_max: int = Field(32, ge=1, description="Passwords waiting for one; beyond: 503.")
    revoke_within_s: int = Field(5, ge=1, description="Seconds until everything of a revoked key or session is closed.")

    # commands
    challenge_ttl_s: int = Field(5, ge=1, description="Seconds in which a challenge can be answered.")
    challenge_record_ttl_s: int = Field(10, ge=1, description="Seconds after which a challenge is forgotten.")
    difficulty_start: int = Field(2, ge=0, le=3, description="Leading hex zeroes of an agent's first proof of work.")
    chat_interval_s: int = Field(2, ge=0, description="Seconds between two messages of an agent.")
    auth_failures_max: int = Field(5, ge=1, description="Failed answers in a minute before an agent has to wait.")
    auth_cooldown_s: int = Field(30, ge=1, description="Seconds it then has to wait.")

    # moderation
    banned_words_file: str = Field(
        "",
        description="Words nobody may say, one a line, read again when it changes; empty: a short list of our own.",
    )
    strikes_max: int = Field(3, ge=1, le=100, description="Violations with which an agent is muted.")
    strike_memory_s: int = Field(3600, ge=1, description="Seconds after which a violation is forgotten.")
    mute_s: int = Field(600, ge=1, le=31_536_000, description="Seconds for which an agent is then muted.")

    # limits, over all gateways: how many at once, and how many more come back in what time
    limit_agent_commands: str = Field("10+10/s", description="Commands of an agent: 10 at once, and 10 more a second.")
    limit_account_commands: str = Field("10000+5000/s", description="Commands of all agents of an account together.")
    limit_signups: str = Field("100+600/h", description="Signups from an address (of IPv6: from a /64).")
    limit_address_logins: str = Field(
        "60+720/h", description="Failed logins from an address; as many bad operators' tokens, counted apart."
    )
    limit_account_logins: str = Field("20+120/h", description="Failed logins with an e-mail, whoever tries.")
    limit_address_session_failures: str = Field("100+3600/h", description="Bad API keys from an address.")
    limit_account_session_failures: str = Field(
        "100+3600/h", description="Bad API keys of an account: revoked, expired, mistyped."
    )
    limit_account_sessions: str = Field("5000+100/s", description="Sessions an account may open.")
    limit_address_watchers: str = Field(
        "60+600/h", description="Sessions to watch that an address may open without a token."
    )
    limit_account_history: str = Field("60+20/s", description="Pages of its agents' history an account may read.")
    limit_account_writings: str = Field("60+10/s", description="Thoughts and notes an account's agents may write.")
    limit_watching: str = Field(
        "120+30/s",
        description="Boards, profiles, searches, recent events that an account, or an address without a key, may read.",
    )

    limit_operator_calls: str = Field("120+20/s", description="Calls of an operator to `/v1/operator`.")
    limit_account_model_calls: str = Field("200+50/s", description="Requests of an account's models to `/mcp`.")

    # models that play over MCP (docs/decisions/0034-hosted-mcp.md)
    mcp_sessions_max: int = Field(2_000, ge=1, description="Sessions of models, over all gateways.")
    mcp_account_sessions_max: int = Field(
        16, ge=1, description="Sessions of an account's models; one more ends the one unused for longest."
    )
    mcp_session_s: int = Field(86_400, ge=60, description="Seconds an unused session of a model is kept.")
    mcp_agents_max: int = Field(200, ge=1, description="Agents that a gateway plays for models.")
    mcp_idle_s: int = Field(
        600, ge=5, description="Seconds without a call after which a model's agent leaves; the next one brings it back."
    )

    # connections
    connections_max: int = Field(
        0, ge=0, description="Connections of a gateway at most; 0: as many as it may open files (`ulimit -n`)."
    )
    address_waiting_max: int = Field(
        256,
        ge=1,
        description="Connections of an address (of IPv6: of a /64) to a gateway that are neither socket nor stream; "
        "trusted proxies may have any number.",
    )
    request_timeout_s: int = Field(10, ge=1, description="Seconds in which a request has to arrive whole.")
    keep_alive_s: int = Field(
        75, ge=1, description="Seconds an idle connection is kept; longer than what a balancer in front keeps it."
    )
    heartbeat_s: int = Field(15, ge=1, description="Seconds between heartbeats.")
    dead_after_s: int = Field(40, ge=1, description="Seconds in which a dead connection is found.")
    replay_window_ticks: int = Field(300, ge=1, description="Ticks of a chunk that can be replayed.")
    bad_frames_max: int = Field(20, ge=1, description="Bad frames after which a connection is closed.")
    drain_s: int = Field(15, ge=0, description="Seconds a gateway takes to stop.")

    # what is kept (docs/decisions/0040-event-log-and-snapshots.md)
    event_log_keep_days: int = Field(
        14, ge=1, le=3650, description="Days the event log, and what agents thought, go back."
    )
    snapshot_interval_s: int = Field(60, ge=1, description="Seconds between two snapshots of a chunk that changes.")
    snapshot_keep_days: int = Field(3, ge=1, le=3650, description="Days the snapshots of chunks go back, thinned.")

    # recordings (docs/recordings.md)
    recordings: bool = Field(True, description="What happens is recorded, to be looked at and proved later.")
    recordings_dir: str = Field("", description="Where recordings lie; empty: `recordings` in `CHUNKCRAWL_DATA_DIR`.")
    recordings_url: str = Field(
        "",
        repr=False,
        description="Where whole segments go from there, any URL of fsspec's (`s3://bucket/world`; extra "
        "`object-stores`); empty: they stay.",
    )
    recordings_keep_days: int = Field(7, ge=1, le=3650, description="Days that recordings go back.")
    recordings_max_mb: int = Field(5000, ge=10, description="Megabytes of recordings at most; the oldest go first.")
    recording_segment_s: int = Field(600, ge=10, le=86_400, description="Seconds that a file of a recording spans.")
    recording_digest_ticks: int = Field(50, ge=1, le=100_000, description="Ticks between two digests of a chunk.")
    recording_frame_ticks: int = Field(300, ge=10, le=100_000, description="Ticks between two key frames.")

    @model_validator(mode="before")
    @classmethod
    def _split_ranges(cls, given: Any) -> Any:
        """Take ``2..8`` apart, where it is given, into the least and the most."""
        if not isinstance(given, dict):
            return given
        found = dict(given)
        for name in RANGES:
            least, dots, most = str(found.get(name, "")).partition("..")
            if dots:
                found |= {name: least, f"{name}_max": most}
        return found

    @field_validator("port", mode="before")
    @classmethod
    def _is_no_service_of_kubernetes(cls, value: Any) -> Any:
        if isinstance(value, str) and "://" in value:
            raise ValueError(
                "must be a number; the address that Kubernetes sets for a service of this name goes with "
                "enableServiceLinks: false"
            )
        return value

    @field_validator("cors_origins", "trusted_proxies", mode="before")
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        parse_networks(value)
        return value

    @field_validator(*LIMITS)
    @classmethod
    def _is_a_limit(cls, value: str) -> str:
        Limit.parse(value)
        return value

    @field_validator("log_levels")
    @classmethod
    def _are_levels(cls, value: str) -> str:
        parse_levels(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _is_a_database(cls, value: str) -> str:
        return database_url.normal_form(value) if value.strip() else ""

    @field_validator("redis_url")
    @classmethod
    def _is_a_redis(cls, value: str) -> str:
        return redis_url.normal_form(value) if value.strip() else ""

    @field_validator("ray_address")
    @classmethod
    def _is_a_cluster_of_ours(cls, value: str) -> str:
        host, separator, port = value.rpartition(":")
        if value in ("local", "auto") or (
            host and "/" not in value and separator and port.isascii() and port.isdigit()
        ):
            return value
        raise ValueError(
            "must be local, auto or host:port; for ray://, run this on a machine of that cluster, with auto"
        )

    @model_validator(mode="after")
    def _fit_together(self) -> Settings:
        wrong = []
        if self.challenge_record_ttl_s < self.challenge_ttl_s:
            wrong.append("CHUNKCRAWL_CHALLENGE_RECORD_TTL_S must not be below CHUNKCRAWL_CHALLENGE_TTL_S")
        if self.dead_after_s <= self.heartbeat_s:
            wrong.append("CHUNKCRAWL_DEAD_AFTER_S must be above CHUNKCRAWL_HEARTBEAT_S")
        if 0 < self.shards_max < self.shards:
            wrong.append("CHUNKCRAWL_SHARDS_MAX must not be below CHUNKCRAWL_SHARDS")
        if self.gold_nodes_min > self.gold_nodes_max:
            wrong.append("CHUNKCRAWL_GOLD_NODES_MIN must not be above CHUNKCRAWL_GOLD_NODES_MAX")
        if self.gold_per_node_min > self.gold_per_node_max:
            wrong.append("CHUNKCRAWL_GOLD_PER_NODE_MIN must not be above CHUNKCRAWL_GOLD_PER_NODE_MAX")
        if self.is_prod:
            if DEV_SECRET in self.secret_pepper or len(self.secret_pepper) < SECRET_MIN_CHARS:
                wrong.append(
                    f"CHUNKCRAWL_SECRET_PEPPER must be set in prod, to at least {SECRET_MIN_CHARS} random characters"
                )
            if self.demo:
                wrong.append("CHUNKCRAWL_DEMO must not be on in prod")
        if wrong:
            raise ValueError("\n".join(wrong))
        return self

    @property
    def is_prod(self) -> bool:
        """Whether strangers can come: development sessions and secrets are refused."""
        return self.environment == "prod"

    @property
    def demo_enabled(self) -> bool:
        """Whether demo actors and demo agents exist."""
        return not self.is_prod if self.demo is None else self.demo

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Origins for CORS: the configured ones and, outside prod, the development page's."""
        return self.cors_origins if self.is_prod else (*self.cors_origins, DEV_ORIGIN)

    def __setstate__(self, state: dict[Any, Any]) -> None:
        """Take up what a process of another release has sent: a setting that it did not know has its default."""
        sent = state["__dict__"]
        fields = type(self).model_fields.items()
        missing = {name: field.get_default(call_default_factory=True) for name, field in fields if name not in sent}
        super().__setstate__({**state, "__dict__": {**sent, **missing}})

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the sources in order: arguments, environment, then a file per setting (``CHUNKCRAWL_SECRETS_DIR``)."""
        secrets_dir = os.environ.get(SECRETS_DIR_VARIABLE)
        if not secrets_dir:
            return init_settings, env_settings
        return init_settings, env_settings, SecretsSettingsSource(settings_cls, secrets_dir=secrets_dir)


def default(name: str) -> Any:
    """Return a setting's default, for parts that can be made without settings."""
    return Settings.model_fields[name].default


def load_settings(**overrides: Any) -> Settings:
    """Read settings from the environment; ``overrides`` (field names; None means not given) go before it.

    Raises:
        SettingsError: One line for each setting that can't be used, which names its variable.
    """
    lines = variables.unknown_names(os.environ, Settings.model_fields) + _faults_of_secrets_dir()
    if lines:
        raise SettingsError("\n".join(lines))
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except SourceError as error:
        raise SettingsError(f"{SECRETS_DIR_VARIABLE}: {_unreadable(error.__cause__)}") from None
    except ValidationError as error:
        for detail in error.errors(include_input=False, include_url=False):
            message = detail["msg"].removeprefix("Value error, ")
            name = ENV_PREFIX + str(detail["loc"][0]).upper() if detail["loc"] else ""
            lines.append(f"{name}: {message}" if name else message)
        raise SettingsError("\n".join(lines)) from None


def raw_setting(name: str) -> str:
    """Return what the environment or a secret file has for one setting, unchecked, for commands that need no other.

    Raises:
        SettingsError: There is a file, and it can't be read.
    """
    named = os.environ.get(f"{ENV_PREFIX}{name.upper()}")
    directory = os.environ.get(SECRETS_DIR_VARIABLE)
    if named or not directory:
        return named or ""
    faults = _faults_of_secrets_dir()
    if faults:
        raise SettingsError("\n".join(faults))
    try:
        return (Path(directory) / f"{ENV_PREFIX}{name}".lower()).read_text().strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{SECRETS_DIR_VARIABLE}: {_unreadable(error)}") from None


def _faults_of_secrets_dir() -> list[str]:
    """Return what is wrong with the directory of secrets, a line each: it is none, or has files that nobody reads."""
    named = os.environ.get(SECRETS_DIR_VARIABLE)
    if not named:
        return []
    try:
        found = [name for name in os.listdir(named) if name.lower().startswith(ENV_PREFIX.lower())]
    except OSError as error:
        return [f"{SECRETS_DIR_VARIABLE}: {_unreadable(error)}"]
    known = {f"{ENV_PREFIX}{name}".lower() for name in Settings.model_fields}
    return [
        f"{SECRETS_DIR_VARIABLE}: nobody reads the file {name}; {variables.nearest(name.lower(), known)}"
        for name in sorted(found)
        # A copy that an editor leaves there (.bak, ~) is nobody's slip.
        if name.lower() not in known and name.replace("_", "").isalnum()
    ]


def _unreadable(error: BaseException | None) -> str:
    if isinstance(error, OSError):
        return f"{error.filename} can't be read: {(error.strerror or type(error).__name__).lower()}"
    return "a file in it is no text"
