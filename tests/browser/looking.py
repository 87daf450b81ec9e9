"""What a browser can measure of a page: what overlaps, what is cut off, what axe-core finds."""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.service_process import TOKEN

WIDTHS = (320, 390, 768, 900, 1024, 1440, 1920)

OVERLAPS = """() => {
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const boxes = [];
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const parent = node.parentElement;
    if (!node.data.trim() || !parent.checkVisibility() || parent.closest(".skip, .error, option")) continue;
    if (getComputedStyle(parent.closest("thead") ?? parent).clipPath !== "none") continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const scrolled = parent.closest(".wide, pre")?.getBoundingClientRect();
    for (const each of range.getClientRects()) {
      const left = Math.max(each.left, scrolled?.left ?? each.left);
      const right = Math.min(each.right, scrolled?.right ?? each.right);
      const box = new DOMRect(left, each.top, right - left, each.height);
      if (box.width > 1 && box.height > 1) boxes.push({ box, node, text: node.data.trim().slice(0, 40) });
    }
  }
  const found = [];
  for (const { box, text } of boxes) {
    if (box.right > innerWidth + 1 || box.left < -1) found.push(`beyond the edge: ${text}`);
  }
  boxes.sort((a, b) => a.box.top - b.box.top);
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length && boxes[j].box.top < boxes[i].box.bottom; j++) {
      const [one, other] = [boxes[i], boxes[j]];
      const wide = Math.min(one.box.right, other.box.right) - Math.max(one.box.left, other.box.left);
      const high = Math.min(one.box.bottom, other.box.bottom) - Math.max(one.box.top, other.box.top);
      const least = Math.min(one.box.height, other.box.height);
      if (one.node !== other.node && wide > 1 && high > least / 2) found.push(`${one.text} | ${other.text}`);
    }
  }
  return found;
}"""
"""Texts that are printed over each other, or beyond the edge of the window, by the boxes of their lines; of what
scrolls by itself the part that is seen.
"""


@asynccontextmanager
async def opened(browser: Any, address: str, *, refused: str = "", **options: Any) -> AsyncIterator[Any]:
    """An empty tab in which a complaint of the console, a failed request or one to elsewhere is an error.

    Args:
        browser: Runs.
        address: Where the pages are.
        refused: Part of what the browser says where the page itself is to be refused, which is no complaint.
        options: Of the browser's context.
    """
    context = await browser.new_context(**options)
    tab = await context.new_page()
    complaints: list[str] = []
    tab.on("console", lambda message: complaints.append(message.text))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:")) else complaints.append(request.url),
    )
    yield tab
    await context.close()
    assert [] == [each for each in complaints if not refused or refused not in each]


async def log_in(tab: Any, address: str, wanted: str = "") -> None:
    """Fill in the form of the login in the tab; it leads to the page that is wanted.

    Args:
        tab: Where.
        address: Of the first page.
        wanted: The path of a page.
    """
    await tab.goto(f"{address}login?next={wanted}")
    await tab.get_by_label("Admin token").fill(TOKEN)
    await tab.get_by_role("button", name="Log in").click()


async def violations(tab: Any) -> list[str]:
    """What axe-core has against the page in the tab, a line each."""
    axe = importlib.import_module("axe_playwright_python.async_playwright").Axe()
    found = await axe.run(tab)
    return [f"{each['id']}: {[node['html'][:200] for node in each['nodes']]}" for each in found.response["violations"]]
