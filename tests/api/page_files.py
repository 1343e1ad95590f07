"""What the files of a page are, as far as it can be read off them: links, imports, and whatever could run."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

#: Names, not addresses: nothing is fetched from there.
NAMESPACES: Final = {"http://www.w3.org/2000/svg"}


class Markup(HTMLParser):
    """What could run or be fetched in a document."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.faults: list[str] = []
        self._open_tag = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open_tag = tag
        for name, value in attributes:
            if name in ("src", "href") and value and not value.startswith("#"):
                self.links.append(value)
            if name == "id" and value:
                self.ids.append(value)
            if name.startswith("on") or name in ("style", "action", "srcdoc"):
                self.faults.append(f"{tag} {name}")

    def handle_data(self, data: str) -> None:
        if self._open_tag in ("script", "style") and data.strip():
            self.faults.append(f"inline {self._open_tag}")

    def handle_endtag(self, tag: str) -> None:
        self._open_tag = ""


def markup_of(directory: Path) -> Markup:
    found = Markup()
    found.feed((directory / "index.html").read_text())
    return found


def ids_named_by(scripts: list[Path]) -> set[str]:
    """The ids that these scripts take for given."""
    return {name for script in scripts for name in re.findall(r'byId\("([^"]+)"\)', script.read_text())}


def imports_of(script: Path) -> list[Path]:
    found = re.findall(r'^(?:import|export)\b[^;]*?from "([^"]+)";', script.read_text(), re.MULTILINE)
    return [(script.parent / name).resolve() for name in found]


def makes_markup(script: Path) -> bool:
    """Whether it has any way to turn a text into markup or a program."""
    ways = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|DOMParser|srcdoc"
    return re.search(ways, script.read_text()) is not None


def addresses_in(file: Path) -> set[str]:
    return set(re.findall(r"""(?:https?:)?//[\w.-]+\.\w+[^\s"'`)<>]*""", file.read_text()))


def looks_of(sheet: Path) -> list[dict[str, str]]:
    """The variables of a style sheet's light, of the system's dark, and of the dark that a reader chose."""
    blocks = re.findall(r":root[^{]*\{([^}]*)\}", sheet.read_text())
    return [dict(re.findall(r"(--[\w-]+|color-scheme): (.+);", block)) for block in blocks]
