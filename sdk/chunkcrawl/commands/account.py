"""``signup``, ``login``, ``key`` and ``session``: accounts and their credentials."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from chunkcrawl.commands.common import DEFAULT_BASE, BaseOption, JsonOption, api_key_for, emit, fail, perform
from chunkcrawl.transport.address import default_base

__all__ = ["key_app", "login", "session", "signup"]

if TYPE_CHECKING:
    from chunkcrawl.transport.credentials import Credentials, CredentialsFile

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
    from chunkcrawl.errors import Conflict
    from chunkcrawl.transport.credentials import Credentials, CredentialsFile
    from chunkcrawl.transport.http import Account, Api

    password = _password(password_stdin, confirm=True)

    async def work() -> Account | Conflict:
        async with Api(base) as api:
            try:
                return await api.signup(email, password)
            except Conflict as known:
                return known

    account = perform(work(), as_json=as_json)
    if isinstance(account, Conflict):
        again = f"log in with: chunkcrawl login --email {shlex.quote(email)}{_base_words(base)}"
        fail(account.reason, f"{account.reason}: there is an account for {email}; {again}", as_json=as_json)
    kept = Credentials(email=account.email, account_id=account.account_id, account_token=account.account_token)
    _save(CredentialsFile(), base, kept, as_json=as_json)
    fields = {"account_id": account.account_id, "email": account.email}
    emit(fields, f"account {account.account_id} for {account.email}; next: chunkcrawl key create", as_json=as_json)


def login(
    email: Annotated[str, typer.Option(prompt=True, help="Of an account that is there.")],
    base: BaseOption = DEFAULT_BASE,
    password_stdin: PasswordStdin = False,
    as_json: JsonOption = False,
) -> None:
    """Log in on this machine: an API key of the account is made and kept in the credentials file.

    For whoever has lost that file, or plays from another machine. The password is asked for, or read from
    CHUNKCRAWL_PASSWORD or stdin; it is not kept. A kept key that still works stays.

    Examples:

        chunkcrawl login --email me@example.com

        echo "$PASSWORD" | chunkcrawl login --email me@example.com --password-stdin --json
    """
    from chunkcrawl.transport.credentials import Credentials, CredentialsFile
    from chunkcrawl.transport.http import Api

    file = CredentialsFile()
    before = _loaded(file, base, as_json=as_json)
    person = (email, _password(password_stdin, confirm=False))

    async def work() -> Credentials:
        async with Api(base) as api:
            live = {key.key_id for key in await api.list_keys(auth=person) if not key.revoked_at}
            if before.key_id in live:
                return before
            key = await api.create_key(auth=person, label="chunkcrawl login")
            token = before.account_token if before.account_id == key.account_id else ""
            return Credentials(email, key.account_id, token, key_id=key.key_id, api_key=key.api_key)

    kept = perform(work(), as_json=as_json)
    _save(file, base, kept, as_json=as_json)
    fields = {"account_id": kept.account_id, "email": kept.email, "key_id": kept.key_id}
    told = f"logged in as {email}, key {kept.key_id} kept in {file.path}; next: chunkcrawl play AGENT"
    emit(fields, told, as_json=as_json)


@key_app.command("create")
def key_create(
    base: BaseOption = DEFAULT_BASE,
    password_stdin: PasswordStdin = False,
    label: Annotated[str | None, typer.Option(help="A name to tell keys apart.")] = None,
    show: Annotated[bool, typer.Option("--show", help="Print the key itself; it can't be shown later.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Create an API key and keep it in the credentials file, for play, watch and say.

    Examples:

        chunkcrawl key create --label laptop

        chunkcrawl key create --show --json | jq -r .api_key
    """
    from chunkcrawl.transport.credentials import CredentialsFile
    from chunkcrawl.transport.http import Api, ApiKey

    file = CredentialsFile()
    kept = _kept(file, base, as_json=as_json)
    auth = _auth(kept, password_stdin)

    async def work() -> ApiKey:
        async with Api(base) as api:
            return await api.create_key(kept.account_id or None, auth=auth, label=label)

    key = perform(work(), as_json=as_json)
    kept.key_id, kept.api_key = key.key_id, key.api_key
    _save(file, base, kept, as_json=as_json)
    fields = {"key_id": key.key_id, "key_prefix": key.key_prefix} | ({"api_key": key.api_key} if show else {})
    emit(fields, key.api_key if show else f"key {key.key_id} kept in {file.path}", as_json=as_json)


@key_app.command("list")
def key_list(
    base: BaseOption = DEFAULT_BASE, password_stdin: PasswordStdin = False, as_json: JsonOption = False
) -> None:
    """List the account's API keys, never the keys themselves.

    Example: chunkcrawl key list --json
    """
    from chunkcrawl.transport.credentials import CredentialsFile
    from chunkcrawl.transport.http import Api, KeyInfo

    auth = _auth(_kept(CredentialsFile(), base, as_json=as_json), password_stdin)

    async def work() -> list[KeyInfo]:
        async with Api(base) as api:
            return await api.list_keys(auth=auth)

    for key in perform(work(), as_json=as_json):
        fields: dict[str, Any] = {name: getattr(key, name) for name in key.__struct_fields__}
        state = "revoked" if key.revoked_at else "live"
        emit(fields, f"{key.key_id}  {key.key_prefix}  {state}  {key.label or ''}".rstrip(), as_json=as_json)


@key_app.command("revoke")
def key_revoke(
    key_id: str,
    base: BaseOption = DEFAULT_BASE,
    password_stdin: PasswordStdin = False,
    as_json: JsonOption = False,
) -> None:
    """Revoke an API key; its sessions end within seconds.

    Example: chunkcrawl key revoke key_4f0c
    """
    from chunkcrawl.transport.credentials import CredentialsFile
    from chunkcrawl.transport.http import Api

    file = CredentialsFile()
    kept = _kept(file, base, as_json=as_json)
    auth = _auth(kept, password_stdin)

    async def work() -> None:
        async with Api(base) as api:
            await api.revoke_key(key_id, auth=auth)

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
    from chunkcrawl.transport.http import Api, Session

    if role != "spectator" and not agent:
        raise typer.BadParameter(f"role {role} needs --agent")
    key = api_key_for(base, as_json=as_json) or ""

    async def work() -> Session:
        async with Api(base) as api:
            return await api.open_session(key, role, agent)

    opened = perform(work(), as_json=as_json)
    names = ("session_token", "session_jti", "role", "cmd_secret", "expires_at")
    emit({name: getattr(opened, name) for name in names}, opened.session_token, as_json=as_json)


# -- private --


def _password(from_stdin: bool, *, confirm: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    named = os.environ.get("CHUNKCRAWL_PASSWORD")
    return named if named is not None else typer.prompt("Password", hide_input=True, confirmation_prompt=confirm)


def _loaded(file: CredentialsFile, base: str, *, as_json: bool) -> Credentials:
    try:
        return file.load(base)
    except (OSError, ValueError) as error:
        fail("credentials_unreadable", str(error), as_json=as_json)


def _kept(file: CredentialsFile, base: str, *, as_json: bool) -> Credentials:
    kept = _loaded(file, base, as_json=as_json)
    if not kept.account_token and not kept.email:
        text = f"no account for {base} is known here: run `chunkcrawl signup`, or `chunkcrawl login` if you have one"
        fail("no_account", text, as_json=as_json)
    return kept


def _auth(kept: Credentials, password_from_stdin: bool) -> str | tuple[str, str]:
    """Return the account's token, which a signup leaves; after a login ask for the password."""
    return kept.account_token or (kept.email, _password(password_from_stdin, confirm=False))


def _base_words(base: str) -> str:
    """Return ``--base ...`` for a command that is to be typed; empty where it would be taken anyway."""
    try:
        return "" if base == default_base() else f" --base {shlex.quote(base)}"
    except ValueError:
        return f" --base {shlex.quote(base)}"


def _save(file: CredentialsFile, base: str, kept: Credentials, *, as_json: bool) -> None:
    try:
        file.save(base, kept)
    except (OSError, ValueError) as error:
        fail("credentials_not_kept", str(error), as_json=as_json)
