"""What tests ask of a page that watches."""

from __future__ import annotations

import re

from playwright.async_api import Page, expect


def row(agent_id: str) -> str:
    """Selects an agent's row in the list of who is here."""
    return f'#agents > li[data-agent="{agent_id}"]'


async def standing(page: Page, agent_id: str, x: int, y: int) -> None:
    """Wait until the page shows the agent there."""
    await expect(page.locator(f'{row(agent_id)}[data-x="{x}"][data-y="{y}"]')).to_be_attached()


async def live(page: Page) -> None:
    """Wait until the page is connected."""
    await expect(page.locator("#connection")).to_have_attribute("data-phase", "live")


PIXELS = """
(canvas, [r, g, b]) => {
  const { data, width } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0, x = 0, y = 0;
  for (let i = 0; i < data.length; i += 4) {
    if (data[i] !== r || data[i + 1] !== g || data[i + 2] !== b) continue;
    count += 1; x += (i / 4) % width; y += Math.floor(i / 4 / width);
  }
  return { count, x: x / count, y: y / count };
}
"""


async def drawn(page: Page, agent_id: str) -> dict[str, float]:
    """Where the canvas shows an agent: ``count`` of the pixels in its token's colour, and their middle."""
    token = page.locator(f"{row(agent_id)} .token")
    colour = await token.evaluate("token => token.style.backgroundColor")
    numbers = [int(part) for part in re.findall(r"\d+", colour)]
    found: dict[str, float] = await page.locator("#canvas").evaluate(PIXELS, numbers)
    return found
