"""Reading a file or a URL, from a server on this machine."""

import gzip
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from regeneration import download
from regeneration.download import read_source
from regeneration.errors import RegenerationError

from tests.scripted_server import REFUSED, Page, Pages, serve


@pytest.fixture
def error() -> Callable[[str], str]:
    def read(url: str) -> str:
        with pytest.raises(RegenerationError) as raised:
            read_source(url)
        return str(raised.value)

    return read


def test_a_file(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_bytes(b"# Page\r\n")
    assert read_source(str(tmp_path / "page.md")) == (b"# Page\r\n", None)


def test_a_url_is_returned_without_md(pages) -> None:
    url = pages.put("/ko/page.md", "쪽".encode(), content_type="text/markdown")
    assert read_source(url + "#top") == ("쪽".encode(), url.removesuffix(".md"))


def test_the_markdown_of_an_html_page(pages) -> None:
    url = pages.put("/ko/page", b"<html>", content_type="text/HTML; charset=utf-8")
    pages.put("/ko/page.md", b"# Page")
    assert read_source(url) == (b"# Page", url)
    assert pages.requested == ["/ko/page", "/ko/page.md"]


def test_redirects_are_followed(pages) -> None:
    url = pages.put("/1", status=301, location="/2")
    pages.put("/2", status=307, location=pages.url("/3"))
    pages.put("/3", b"# Page")
    assert read_source(url) == (b"# Page", url)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://docs.example/a", "http://docs.example/a is refused: only https:// is fetched"),
        ("http://127.0.0.1.example/a",
         "http://127.0.0.1.example/a is refused: only https:// is fetched"),
        ("file:///etc/passwd", "file:///etc/passwd is refused: only https:// is fetched"),
        ("ftp://localhost/a", "ftp://localhost/a is refused: only https:// is fetched"),
        ("https:///a", "https:///a is refused: only https:// is fetched"),
        ("https://me:secret@docs.example/a",
         "a URL with a password is refused: it would be recorded"),
        ("https://docs.example/\x1b[31m",
         r"https://docs.example/\x1b[31m is not a URL: "
         r"Invalid non-printable ASCII character in URL, '\x1b' at position 21."),
        ("http://127.0.0.1:1/a",
         f"http://127.0.0.1:1/a cannot be reached: {REFUSED}"),
        ("https://a..b/a", "https://a..b/a is refused: it has no valid host name"),
        ("https://xn--a.example/a",
         "https://xn--a.example/a is refused: it has no valid host name"),
        (f"https://{'a' * 64}.example/a",
         f"https://{'a' * 64}.example/a is refused: it has no valid host name"),
    ],
)  # fmt: skip
def test_a_url_that_is_not_fetched(error: Callable[[str], str], url: str, message: str) -> None:
    assert error(url) == message


def test_an_ipv6_address_is_fetched(error: Callable[[str], str], ipv6: None) -> None:
    assert error("http://[::1]:1/a") == f"http://[::1]:1/a cannot be reached: {REFUSED}"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ((404, {}, b""), "{} answers with status 404"),
        ((503, {}, b""), "{} answers with status 503"),
        ((204, {}, b""), "{} answers with status 204"),
        ((200, {}, b"\x89PNG"), "{} is not text (UTF-8)"),
        ((200, {}, b" " * (10 * 2**20 + 1)), "{} is larger than 10 MB"),
        ((200, {"content_length": "9"}, b"# Page"),
         "{} cannot be reached: peer closed connection without sending complete message body "
         "(received 6 bytes, expected 9)"),
        ((302, {"location": "http://docs.example/a"}, b""),
         "{} redirects to http://docs.example/a: only https:// is fetched"),
        ((302, {"location": "https://a..b/c"}, b""),
         "{} redirects to https://a..b/c: it has no valid host name"),
        ((302, {"location": "file:///etc/passwd"}, b""),
         "{} redirects to file://127.0.0.1/etc/passwd: only https:// is fetched"),
        ((302, {"location": "/page"}, b""), "{} redirects more than 5 times"),
    ],
)  # fmt: skip
def test_a_reply_that_is_not_a_page(
    pages, error: Callable[[str], str], page: Page, message: str
) -> None:
    pages.pages["/page"] = page
    assert error(pages.url("/page")) == message.format(pages.url("/page"))


def test_html_only(pages, error: Callable[[str], str]) -> None:
    url = pages.put("/page", b"<html>", content_type="text/html")
    assert error(url) == f"{url}.md answers with status 404"
    pages.put("/page.md", b"<html>", content_type="text/html")
    assert error(url) == f"{url} is an HTML page: give the URL of its markdown or .json"


def test_a_read_timeout(
    pages, error: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def raise_timeout(response: httpx.Response, deadline: float) -> bytes:
        raise httpx.ReadTimeout("no data")

    monkeypatch.setattr(download, "_body", raise_timeout)
    url = pages.put("/page", b"# Page")
    assert error(url) == f"{url} did not answer within 30 seconds"


def test_the_total_time_is_limited(
    pages, error: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=iter([0.0, 31.0]).__next__)
    monkeypatch.setattr(download, "time", clock)
    url = pages.put("/page", b"# Page")
    assert error(url) == f"{url} did not answer within 30 seconds"


@pytest.mark.parametrize(
    ("path", "page", "content"),
    [
        ("/page/", (200, {"content_type": "text/html"}, b"<html>"), b"# Markdown"),
        ("/page", (200, {"content_type": "text/html"}, b"# Page"), b"# Page"),
    ],
    ids=["a slash at the end", "markdown as text/html"],
)
def test_html_is_recognized(pages, path: str, page: Page, content: bytes) -> None:
    pages.pages[path] = page
    pages.put("/page.md", b"# Markdown")
    assert read_source(pages.url(path))[0] == content


def test_a_compressed_page(pages, error: Callable[[str], str]) -> None:
    url = pages.put("/page", gzip.compress(b"# Page"), content_encoding="gzip")
    assert error(url) == f"{url} answers with Content-Encoding gzip: save it as a file"


@pytest.fixture
def tls_pages(tls: ssl.SSLContext) -> Iterator[Pages]:
    """Pages of a server with a self-signed certificate."""
    pages = Pages()
    with serve(pages.handle, tls=tls) as pages.server:
        yield pages


def test_a_self_signed_certificate(tls_pages, error: Callable[[str], str]) -> None:
    message = error(tls_pages.put("/page", b"# Page"))
    assert message.startswith(f"{tls_pages.url('/page')} fails the TLS handshake: ")
    assert "certificate verify failed: self-signed certificate" in message


def test_a_certificate_that_is_trusted(
    tls_pages,
    error: Callable[[str], str],
    certificate: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "certificate.pem"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = tls_pages.put("/page", b"# Page")
    assert read_source(url) == (b"# Page", url)
    tls_pages.put("/page", status=302, location="http://127.0.0.1:1/page")
    assert error(url) == (f"{url} redirects to http://127.0.0.1:1/page: only https:// is followed")
