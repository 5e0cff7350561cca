"""Every page of the site in a real browser: on a telephone and on a desktop, light and dark.

The pictures are in build/screenshots afterwards, for people to look at.
"""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser.devtools import Browser, browser

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.browser
ROOT = Path(__file__).resolve().parents[2]
SCREENSHOTS = ROOT / "build" / "screenshots"
SHOWN_PIXELS = 2400
WIDTHS = (390, 1280)
SCHEMES = ("light", "dark")
LEAST_PAGES = 30


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves the site, and says nothing of it."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site as `make docs` does."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-c", "docs", "-d", str(folder / "doctrees"), "."]
    done = subprocess.run([*command, str(folder / "html")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("browser")) as started:
        yield started


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_fits_has_its_pictures_and_complains_of_nothing(
    width: int, scheme: str, site: Path, address: str, tab: Browser
) -> None:
    folder = SCREENSHOTS / f"{width}-{scheme}"
    folder.mkdir(parents=True, exist_ok=True)
    pages = sorted(path.relative_to(site) for path in site.rglob("*.html"))
    pages = [page for page in pages if "_static" not in page.parts and str(page) != "index.html"]
    assert len(pages) >= LEAST_PAGES
    wrong: list[str] = []
    for page in pages:
        seen = tab.open(f"{address}/{page}", width, scheme)
        (folder / f"{'-'.join(page.with_suffix('').parts)}.png").write_bytes(tab.picture(SHOWN_PIXELS))
        wrong.extend(f"{page}: {what} {seen[what]}" for what in ("overflow", "missing", "nameless") if seen[what])
        wrong.extend(f"{page}: {error}" for error in tab.errors)
        darkness = sum(int(part) for part in seen["background"].strip("rgba()").split(",")[:3]) < 3 * 128
        assert darkness is (scheme == "dark"), f"{page}: {seen['background']}"
    assert not wrong, "\n".join(wrong)


def test_the_root_of_the_site_leads_to_its_first_page(address: str, tab: Browser) -> None:
    tab.open(f"{address}/", WIDTHS[1], SCHEMES[0])
    deadline = time.monotonic() + 30
    where = ""
    while where != "/docs/index.html" and time.monotonic() < deadline:
        time.sleep(0.1)
        where = tab.send("Runtime.evaluate", expression="location.pathname", returnByValue=True)["result"]["value"]
    assert where == "/docs/index.html"


def test_what_a_page_has_wrong_is_seen(address: str, tab: Browser, site: Path) -> None:
    (site / "wrong.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><div style="width: 2000px">wide</div><img src="gone.png">'
        "<script>console.error('told'); nothing.at.all;</script>",
        encoding="utf-8",
    )
    try:
        seen = tab.open(f"{address}/wrong.html", WIDTHS[0], SCHEMES[0])
    finally:
        (site / "wrong.html").unlink()
    assert seen["overflow"] > 1000
    assert seen["missing"] == seen["nameless"] == [f"{address}/gone.png"]
    assert [text for text in ("told", "ReferenceError", "404") if not any(text in error for error in tab.errors)] == []
