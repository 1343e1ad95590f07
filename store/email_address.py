"""The one normal form of an e-mail address (docs/decisions/0010-accounts-and-keys.md).

Signup and login both use it, and the column that it goes into is unique, so two writings of one address are one
account, and nothing that merely looks like another address is taken.
"""

from __future__ import annotations

import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

from config.errors import ServerError

MAX_CHARS: Final = 254


class BadEmail(ServerError, ValueError):
    """Not an address that can be signed up with."""

    reason = "bad_email"


def normal_form(text: str) -> str:
    """Return ``text`` without surrounding white space, in NFKC, lower case, its domain in ASCII (IDNA).

    The part before the ``@`` must be ASCII after NFKC: full-width letters are folded, while accents, other alphabets
    and invisible characters are refused, since they are how an address passes for another.  No DNS is asked.

    Raises:
        BadEmail: not an address, or one of those.
    """
    if len(text) > 4 * MAX_CHARS:
        raise BadEmail("too long")
    folded = unicodedata.normalize("NFKC", text.strip())
    local, at, domain = folded.rpartition("@")
    if not at or not local.isascii() or len(folded) > MAX_CHARS:
        raise BadEmail("not an address")
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Cn") for char in folded):
        raise BadEmail("control or invisible characters")
    try:
        # `.test` and the like are fine: whether mail arrives there is not asked.
        checked = validate_email(
            f"{local.lower()}@{domain.casefold()}",
            check_deliverability=False,
            allow_smtputf8=False,
            test_environment=True,
        )
    except EmailNotValidError as error:
        raise BadEmail("not an address") from error
    return f"{checked.ascii_local_part}@{checked.ascii_domain}".lower()
