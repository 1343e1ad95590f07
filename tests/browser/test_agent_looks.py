"""Agents in sight are told apart: by colour, whoever looks, by mark, by sign and by name."""

from __future__ import annotations

import itertools
import math
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from chunkcrawl_env.palette import agent_colour, rgb
from tests.browser.chromium import needs_chromium
from tests.browser.modules import module_page, run

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="module")]

#: Least distance of two agents' colours in OKLab, times 100; about 2 is just noticed side by side.
APART_LEAST = 13.0
TEXT_LEAST = 4.5
#: How people without one kind of cone see linear RGB (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = {
    "most": ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}
Triple = tuple[float, float, float]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browser: Browser) -> AsyncIterator[Page]:
    async with module_page(browser) as page:
        yield page


LOOKS = """
const looks = new m.Looks();
return given.map((agents) => {
  looks.update(agents.map(([id, name]) => ({ id, name: name ?? id })));
  return agents.map(([id]) => [id, looks.of(id)]);
});
"""


async def looks(page: Page, *crowds: Sequence[str | tuple[str, str]]) -> list[dict[str, dict[str, str]]]:
    """How the agents of each crowd look, one crowd after the other in sight; agents are ids, or ids and names."""
    given = [[[one] if isinstance(one, str) else list(one) for one in crowd] for crowd in crowds]
    return [dict(crowd) for crowd in await run(page, "state/looks.js", LOOKS, given)]


def distinct(found: dict[str, dict[str, str]], *fields: str) -> bool:
    return len({tuple(look[field] for field in fields) for look in found.values()}) == len(found)


async def test_the_pictures_of_environments_have_the_colours_of_the_page(page: Page) -> None:
    ids = ["demo-player", *(f"agent_{number}" for number in range(12)), *(f"company_{number}" for number in range(12))]
    for name in ids:
        [found] = await looks(page, [name])
        assert rgb(found[name]["fill"]) == agent_colour(name)


async def test_eight_agents_have_eight_colours_and_more_have_marks_too(page: Page) -> None:
    eight = [f"walker-{number}" for number in range(8)]
    crowd = [f"walker-{number}" for number in range(24)]
    first, second = await looks(page, eight, crowd)
    assert distinct(first, "fill")
    assert distinct(second, "fill", "mark")
    assert all(second[agent_id] == first[agent_id] for agent_id in eight)


async def test_any_number_of_agents_has_signs_and_labels_of_their_own(page: Page) -> None:
    names = [f"{kind}-{number}" for kind in ("scout", "miner", "demo-walker") for number in range(100)]
    (found,) = await looks(page, [*names, "日本", "---", "???", "__proto__", "constructor"])
    assert distinct(found, "sign")
    assert distinct(found, "label")
    assert max(len(look["sign"]) for look in found.values()) <= 2


async def test_a_look_is_the_ids_own_and_stays_while_others_come_and_go(page: Page) -> None:
    (alone,) = await looks(page, ["ada"])
    among, _, after, crowded = await looks(
        page, ["ada", "bob"], ["bob"], ["ada", "bob", "eve"], [f"a-{number}" for number in range(40)] + ["ada"]
    )
    assert among["ada"] == alone["ada"] == after["ada"] == crowded["ada"]
    assert among["bob"] == after["bob"]


async def test_signs_say_something_of_the_name(page: Page) -> None:
    (found,) = await looks(
        page, ["demo-walker-12", ("p", "Demo Player"), "ada", "---", "walker-2", "miner-2", "proto", "__proto__"]
    )
    signs = {agent_id: look["sign"] for agent_id, look in found.items()}
    assert signs == {
        "demo-walker-12": "12",
        "p": "DP",
        "ada": "A",
        "---": "?",
        "miner-2": "2",
        "walker-2": "W2",
        "__proto__": "P",
        "proto": "PR",
    }


async def test_long_names_are_shortened_so_that_they_differ(page: Page) -> None:
    names = [
        "colony-of-the-northern-lights-scout-0001",
        "colony-of-the-northern-lights-scout-0002",
        "colony-of-the-southern-lights-scout-0001",
        "x" * 60 + "a" + "x" * 60,
        "x" * 60 + "b" + "x" * 60,
        *("y" * 50 + letter + "y" * 20 + tail + "y" * 50 for letter in "ab" for tail in "ab"),
    ]
    (found,) = await looks(page, names)
    assert distinct(found, "label")
    assert all(len(look["label"]) <= 22 for look in found.values())
    assert {agent_id: look["full"] for agent_id, look in found.items()} == {name: name for name in names}
    assert found[names[1]]["label"] == "colony-of-th…out-0002"
    assert "southern" in found[names[2]]["label"]


async def test_two_of_one_name_bear_their_ids_as_well(page: Page) -> None:
    (found,) = await looks(page, [("a-1", "Ada"), ("a-2", "Ada"), ("x", "a-1"), ("bob", "bob")])
    assert {agent_id: look["full"] for agent_id, look in found.items()} == {
        "a-1": "Ada (a-1)",
        "a-2": "Ada (a-2)",
        "x": "a-1 (x)",
        "bob": "bob",
    }


async def test_what_is_remembered_is_bounded(page: Page) -> None:
    crowds = [[f"guest-{number}-{place}" for place in range(40)] for number in range(50)]
    found = await looks(page, *crowds)
    assert all(distinct(crowd, "sign") for crowd in found)


# -- colours --


async def colours(page: Page) -> list[dict[str, str]]:
    found: list[dict[str, str]] = await run(page, "state/looks.js", "return m.COLOURS")
    return found


@pytest.mark.parametrize("eyes", EYES)
async def test_colours_differ_for_everybodys_eyes(page: Page, eyes: str) -> None:
    fills = [colour["fill"] for colour in await colours(page)]
    pairs = itertools.combinations(fills, 2)
    near = [(one, other) for one, other in pairs if distance(seen(one, eyes), seen(other, eyes)) < APART_LEAST]
    assert near == []


async def test_signs_can_be_read_on_their_colours(page: Page) -> None:
    low = [c for c in await colours(page) if contrast(c["fill"], c["ink"]) < TEXT_LEAST]
    assert low == []


def linear(colour: str) -> Triple:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return red, green, blue


def times(matrix: Any, vector: Triple) -> Triple:
    one, two, three = (sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix)
    return one, two, three


def seen(colour: str, eyes: str) -> Triple:
    """A colour in OKLab, as these eyes see it."""
    red, green, blue = (min(1.0, max(0.0, part)) for part in times(EYES[eyes], linear(colour)))
    to_cones = (
        (0.4122214708, 0.5363325363, 0.0514459929),
        (0.2119034982, 0.6806995451, 0.1073969566),
        (0.0883024619, 0.2817188376, 0.6299787005),
    )
    to_lab = (
        (0.2104542553, 0.7936177850, -0.0040720468),
        (1.9779984951, -2.4285922050, 0.4505937099),
        (0.0259040371, 0.7827717662, -0.8086757660),
    )
    one, two, three = (math.cbrt(part) for part in times(to_cones, (red, green, blue)))
    return times(to_lab, (one, two, three))


def distance(one: Triple, other: Triple) -> float:
    return 100 * math.dist(one, other)


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two ``#rrggbb``."""
    weights = (0.2126, 0.7152, 0.0722)
    low, high = sorted(sum(w * part for w, part in zip(weights, linear(c), strict=True)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)
