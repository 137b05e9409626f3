"""`llm evolink usage --html`: a page with charts, also as drawn by Chromium."""

import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from llm_evolink.commands.usage.log import Selection
from llm_evolink.commands.usage.report import report

PRICES = ["--price-in", "1", "--price-out", "1"]


@pytest.fixture
def page(log, usage, tmp_path):
    """A page of two models on three days, one of which has no prompts."""
    log("2026-11-20T12:00:00+00:00", (3_000_000, 1_000_000))
    log("2026-11-22T12:00:00+00:00", (1_000_000, 0))
    log("2026-11-22T13:00:00+00:00", (1_000_000, 0), model="<b>&'\"")
    log("2026-11-22T14:00:00+00:00", (9, 9), server="http://127.0.0.1:8787")
    path = tmp_path / "usage.html"
    done = usage("--all", *PRICES, "--html", str(path))
    assert (done.returncode, done.stdout) == (0, f"{path}\n")
    return path


def test_the_bars_of_the_charts(page):
    text = page.read_text(encoding="utf-8")

    tokens, cost = re.findall(r"<svg.*?</svg>", text, re.DOTALL)
    boxes = re.findall(r'x="([\d.]+)" y="([\d.]+)" width="[\d.]+" height="([\d.]+)"', tokens)
    # The scale ends at 5,000,000 tokens, which are 220 high; bars are stacked on y 230.
    assert boxes == [
        ("90.00", "54.00", "176.00"),
        ("670.00", "186.00", "44.00"),
        ("670.00", "142.00", "44.00"),
    ]
    assert re.findall("<title>(.*?)</title>", tokens) == [
        "2026-11-20 gemini-3.5-flash: 4,000,000",
        "2026-11-22 gemini-3.5-flash: 1,000,000",
        "2026-11-22 &lt;b&gt;&amp;&#x27;&quot;: 1,000,000",
    ]
    assert re.findall("<title>(.*?)</title>", cost)[0] == "2026-11-20 gemini-3.5-flash: 4"
    assert (
        "<tr><td>2026-11-20</td><td>gemini-3.5-flash</td><td>3,000,000</td><td>1,000,000</td>"
        "<td>4.000000</td></tr>"
    ) in text


def test_the_page_loads_nothing_and_runs_nothing(page):
    class Parser(HTMLParser):
        def handle_starttag(self, tag, attributes):
            assert tag not in ("script", "link", "img", "iframe", "object", "b")
            assert not {name for name, _ in attributes} & {"src", "href", "onload"}

    text = page.read_text(encoding="utf-8")
    Parser().feed(text)
    assert "url(" not in text
    assert "@import" not in text


def test_standard_output(page, usage):
    done = usage("--all", *PRICES, "--html", "-")

    assert done.stdout == page.read_text(encoding="utf-8")
    assert not os.path.exists("-")


def test_an_empty_page(database, usage, tmp_path):
    path = tmp_path / "usage.html"

    assert usage("--html", str(path)).returncode == 0
    assert "No prompts are logged" in path.read_text(encoding="utf-8")
    assert "<svg" not in path.read_text(encoding="utf-8")


def test_an_unknown_day_is_in_the_table_only(log, usage, tmp_path):
    log("")
    path = tmp_path / "usage.html"

    assert usage("--html", str(path)).returncode == 0
    text = path.read_text(encoding="utf-8")
    assert "<td>unknown</td>" in text
    assert "<svg" not in text


@pytest.mark.parametrize(
    ("folder", "reason"), [("none", "No such file or directory"), ("file", "Not a directory")]
)
def test_a_file_that_cannot_be_written(log, usage, tmp_path, folder, reason):
    log()
    (tmp_path / "file").touch()
    path = tmp_path / folder / "usage.html"

    done = usage("--html", str(path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"Error: {path} cannot be written: {reason}\n"


def test_the_page_adds_up_to_the_report(page, empty_log):
    total = report(empty_log, selection=Selection(models=())).total
    cells = re.findall(r"<td>([\d,]+)</td><td>([\d,]+)</td>", page.read_text(encoding="utf-8"))

    sums = [
        sum(int(each.replace(",", "")) for each in column) for column in zip(*cells, strict=True)
    ]
    assert sums == [total["input_tokens"], total["output_tokens"]]


MEASURE = """
<script>
document.body.innerHTML += '<pre id="found">' + JSON.stringify({
    boxes: [...document.querySelectorAll("svg rect")].map(each => {
        const box = each.getBoundingClientRect();
        return [box.bottom, box.height];
    }),
    loaded: performance.getEntriesByType("resource").length,
}) + "</pre>";
</script>
"""


def chromium():
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    found = [path for name in names if (path := shutil.which(name))]
    cached = Path.home().glob(".cache/ms-playwright/chromium*/chrome-*/*chrome*")
    found += [str(path) for path in cached if path.is_file()]
    return found[0] if found else None


def test_chromium_draws_the_page(page, tmp_path):
    browser = chromium()
    if browser is None:
        pytest.skip("Chromium is not installed")
    measured = tmp_path / "measured.html"
    measured.write_text(page.read_text(encoding="utf-8") + MEASURE, encoding="utf-8")
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    folder = f"--user-data-dir={tmp_path / 'profile'}"

    done = subprocess.run(
        [*command, folder, measured.as_uri()], capture_output=True, text=True, timeout=120
    )

    found = json.loads(re.search('<pre id="found">(.*?)</pre>', done.stdout)[1])
    assert found["loaded"] == 0
    (first_end, first), (second_end, second), (third_end, third) = found["boxes"][:3]
    assert first == pytest.approx(4 * second, rel=0.01)
    assert second == pytest.approx(third, rel=0.01)
    assert first_end == pytest.approx(second_end, abs=0.1)
    assert third_end == pytest.approx(second_end - second, abs=0.1)
