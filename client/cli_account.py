"""``signup``, ``key`` and ``session``: accounts and what opens doors."""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any, Literal

import typer

from client.cli_common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, emit, fail, perform

__all__ = ["key_app", "session", "signup"]

key_app = typer.Typer(no_args_is_help=True, help="Create, list and revoke API keys.")

PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from the first line of stdin.")
]


def signup(
    email: Annotated[str, typer.Option(prompt=True, help="Its spelling in upper or lower case does not matter.")],
    base: BaseOption = DEFAULT_BASE,
    password_stdin: PasswordStdin = False,
    as_json: JsonOption = False,
) -> None:
    """Make an account and keep its token in the credentials file.

    The password has 8 to 128 characters. It is asked for, or read from CHUNKCRAWL_PASSWORD or stdin; it is not kept.

    Examples:

        chunkcrawl signup --email me@example.com

        echo "$PASSWORD" | chunkcrawl signup --email me@example.com --password-stdin --json
    """
    from client.credentials import Credentials, CredentialsFile
    from client.http import Account, Api

    password = _password(password_stdin, confirm=True)

    async def work() -> Account:
        async with Api(base) as api:
            return await api.signup(email, password)

    account = perform(work(), as_json=as_json)
    kept = Credentials(email=account.email, account_id=account.account_id, account_token=account.account_token)
    _save(CredentialsFile(), base, kept, as_json=as_json)
    fields = {"account_id": account.account_id, "email": account.email}
    emit(fields, f"account {account.account_id} for {account.email}; next: chunkcrawl key create", as_json=as_json)


@key_app.command("create")
def key_create(
    base: BaseOption = DEFAULT_BASE,
    label: Annotated[str | None, typer.Option(help="A name to tell keys apart.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the key itself; it can't be shown later.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Create an API key and keep it in the credentials file, for play, watch and say.

    Examples:

        chunkcrawl key create --label laptop

        chunkcrawl key create --show --json | jq -r .api_key
    """
    from client.credentials import CredentialsFile
    from client.http import Api, ApiKey

    file = CredentialsFile()
    kept = _kept(file, base, as_json=as_json)

    async def work() -> ApiKey:
        async with Api(base) as api:
            return await api.create_key(kept.account_id, auth=kept.account_token, label=label)

    key = perform(work(), as_json=as_json)
    kept.key_id, kept.api_key = key.key_id, key.api_key
    _save(file, base, kept, as_json=as_json)
    fields = {"key_id": key.key_id, "key_prefix": key.key_prefix} | ({"api_key": key.api_key} if show else {})
    emit(fields, key.api_key if show else f"key {key.key_id} kept in {file.path}", as_json=as_json)


@key_app.command("list")
def key_list(base: BaseOption = DEFAULT_BASE, as_json: JsonOption = False) -> None:
    """List the account's API keys, never the keys themselves.

    Example: chunkcrawl key list --json
    """
    from client.credentials import CredentialsFile
    from client.http import Api, KeyInfo

    kept = _kept(CredentialsFile(), base, as_json=as_json)

    async def work() -> list[KeyInfo]:
        async with Api(base) as api:
            return await api.list_keys(auth=kept.account_token)

    for key in perform(work(), as_json=as_json):
        fields: dict[str, Any] = {name: getattr(key, name) for name in key.__struct_fields__}
        state = "revoked" if key.revoked_at else "live"
        emit(fields, f"{key.key_id}  {key.key_prefix}  {state}  {key.label or ''}".rstrip(), as_json=as_json)


@key_app.command("revoke")
def key_revoke(key_id: str, base: BaseOption = DEFAULT_BASE, as_json: JsonOption = False) -> None:
    """Revoke an API key; its sessions end within seconds.

    Example: chunkcrawl key revoke key_4f0c
    """
    from client.credentials import CredentialsFile
    from client.http import Api

    file = CredentialsFile()
    kept = _kept(file, base, as_json=as_json)

    async def work() -> None:
        async with Api(base) as api:
            await api.revoke_key(key_id, auth=kept.account_token)

    perform(work(), as_json=as_json)
    if kept.key_id == key_id:
        kept.key_id = kept.api_key = ""
        _save(file, base, kept, as_json=as_json)
    emit({"revoked": key_id}, f"revoked {key_id}", as_json=as_json)


def session(
    role: Annotated[
        Literal["agent", "owner_spectator", "spectator"], typer.Option(help="What it may do.")
    ] = "spectator",
    agent: Annotated[str | None, typer.Option(metavar="AGENT", help="Needed but for spectators.")] = None,
    base: BaseOption = DEFAULT_BASE,
    as_json: JsonOption = False,
) -> None:
    """Open a session and print its token, for curl and other clients.

    With --json the command secret is printed too. Both are secrets for as long as the session lives.

    Examples:

        TOKEN=$(chunkcrawl session)

        chunkcrawl session --role agent --agent scout-1 --json
    """
    from client.http import Api, Session

    if role != "spectator" and not agent:
        raise typer.BadParameter(f"role {role} needs --agent")
    key = api_key_for(base, as_json=as_json) or ""

    async def work() -> Session:
        async with Api(base) as api:
            return await api.open_session(key, role, agent)

    opened = perform(work(), as_json=as_json)
    names = ("session_token", "session_jti", "role", "cmd_secret", "expires_at")
    emit({name: getattr(opened, name) for name in names}, opened.session_token, as_json=as_json)


# -- private ----------------------------------------------------------------------------------------------------------


def _password(from_stdin: bool, *, confirm: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    named = os.environ.get("CHUNKCRAWL_PASSWORD")
    return named if named is not None else typer.prompt("Password", hide_input=True, confirmation_prompt=confirm)


def _kept(file: Any, base: str, *, as_json: bool) -> Any:
    try:
        kept = file.load(base)
    except (OSError, ValueError) as error:
        fail("credentials_unreadable", str(error), as_json=as_json)
    if not kept.account_token:
        fail("no_account", f"no account for {base}: run `chunkcrawl signup`", as_json=as_json)
    return kept


def _save(file: Any, base: str, kept: Any, *, as_json: bool) -> None:
    try:
        file.save(base, kept)
    except (OSError, ValueError) as error:
        fail("credentials_not_kept", str(error), as_json=as_json)
