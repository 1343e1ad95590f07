"""The JavaScript SDK's modules, at ``/sdk/``, from where the page loads them; any page of this origin may."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import web
from api.static_page import files_router

#: A link to ``sdk-js/src`` in a checkout, a copy of it in a wheel.
STATIC_DIR: Final = Path(web.__file__).parent / "sdk"

router = files_router("sdk", STATIC_DIR)
