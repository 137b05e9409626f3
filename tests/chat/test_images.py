"""Images: sent as a URL or as data; every other attachment is refused before anything is sent."""

import base64
import re
import struct
import zlib

import llm
import pytest
from llm.parts import ToolResultPart

from llm_evolink.constants import MAX_IMAGE_BYTES
from llm_evolink.errors import InvalidRequestError
from tests.four_ways import INTRODUCTION, MODEL, one_way


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


PNG = b"".join(
    [
        b"\x89PNG\r\n\x1a\n",
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, 8, 0, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\0\0\0" * 2)),
        _chunk(b"IEND", b""),
    ]
)
# Headers only: nothing here decodes the pixels.
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF\0\1\1\0\0\1\0\1\0\0\xff\xc0\0\x0b\x08\0\2\0\3\1\1\x11\0\xff\xd9"
WEBP = b"RIFF\x16\0\0\0WEBPVP8L\x0a\0\0\0\x2f" + struct.pack("<I", 2 | 1 << 14) + b"\0" * 5
GIF = b"GIF89a\3\0\2\0\0\0\0;"
PDF = b"%PDF-1.4\n%%EOF\n"
MP4 = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom"
WAV = b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x40\x1f\0\0\1\0\x08\0data\0\0\0\0"
URL = "https://images.example/cat.png"
NOT_BASE64 = "The attachment is a data: URL that does not hold base64"


def data_url(content, media_type="image/png"):
    return f"data:{media_type};base64,{base64.b64encode(content).decode()}"


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def text(words):
    return {"type": "text", "text": words}


def content(server):
    """Return the content of the last message of the last request."""
    return server.requests[-1].body["messages"][-1]["content"]


@pytest.fixture
def png(tmp_path):
    path = tmp_path / "cat.png"
    path.write_bytes(PNG)
    return path


@pytest.mark.parametrize(
    ("data", "media_type"),
    [(PNG, "image/png"), (JPEG, "image/jpeg"), (WEBP, "image/webp")],
    ids=["png", "jpeg", "webp"],
)
def test_a_file_is_sent_as_data(sandbox, way, tmp_path, data, media_type):
    path = tmp_path / "image"
    path.write_bytes(data)
    response = way.prompt("Describe", attachments=[llm.Attachment(path=str(path))])

    assert response.text_or_raise() == (
        f'{INTRODUCTION} You said: "Describe"\nImage 1: {media_type}, 3x2 pixels, {len(data)} bytes'
    )
    assert content(sandbox) == [text("Describe"), image(data_url(data, media_type))]


def test_images_from_files_a_url_and_standard_input(sandbox, llm_command, tmp_path, png):
    jpeg = tmp_path / "image.jpg"
    jpeg.write_bytes(JPEG)
    command = ["-m", MODEL, "-a", str(png), "-a", "-", "--at", URL, "image/png"]
    with png.open() as stdin:
        done = llm_command(*command, "--at", str(jpeg), "image/jpg", "hi", stdin=stdin)

    assert (done.returncode, done.stderr) == (0, "")
    jpeg_url = data_url(JPEG, "image/jpeg")
    images = [image(data_url(PNG)), image(data_url(PNG)), image(URL), image(jpeg_url)]
    assert content(sandbox) == [text("hi"), *images]


ATTACHED = [
    pytest.param(llm.Attachment(content=PNG), data_url(PNG), id="bytes"),
    pytest.param(llm.Attachment(content=PNG, type="image/png"), data_url(PNG), id="typed-bytes"),
    # A request for the URL would fail: there is no such host.
    pytest.param(llm.Attachment(url=URL), URL, id="url"),
    pytest.param(llm.Attachment(url=URL, type="image/webp; q=1"), URL, id="typed-url"),
    pytest.param(llm.Attachment(url=data_url(PNG)), data_url(PNG), id="data"),
    pytest.param(llm.Attachment(url=data_url(PNG, "")), data_url(PNG), id="untyped-data"),
    pytest.param(
        llm.Attachment(url=data_url(PNG, "x").replace("data:", "DATA:"), type="image/png"),
        data_url(PNG),
        id="typed-data",
    ),
]


@pytest.mark.parametrize(("attachment", "url"), ATTACHED)
@one_way
def test_an_attachment_without_text(sandbox, way, attachment, url):
    way.prompt(attachments=[attachment])

    assert content(sandbox) == [image(url)]


@pytest.mark.parametrize(("attachment", "url"), ATTACHED)
@one_way
def test_an_attachment_within_messages_keeps_its_place(sandbox, way, attachment, url):
    way.prompt(messages=[llm.user("Compare", attachment, "with", llm.Attachment(content=JPEG))])

    jpeg = image(data_url(JPEG, "image/jpeg"))
    assert content(sandbox) == [text("Compare"), image(url), text("with"), jpeg]


@pytest.mark.parametrize("typed", [{}, {"type": "image/png"}], ids=["untyped", "typed"])
def test_an_image_is_sent_again_on_later_turns(sandbox, way, png, typed):
    conversation = way.model.conversation()
    way.prompt("one", on=conversation, attachments=[llm.Attachment(path=str(png), **typed)])
    way.prompt("two", on=conversation)

    assert sandbox.requests[1].body["messages"][0] == {
        "role": "user",
        "content": [text("one"), image(data_url(PNG))],
    }


def test_an_image_is_sent_again_from_the_database(sandbox, llm_command, tmp_path, png):
    (tmp_path / "piped").write_bytes(WEBP)
    with (tmp_path / "piped").open() as stdin:
        llm_command("-m", MODEL, "one", "-a", str(png), "-a", "-", stdin=stdin, fresh=True)
    llm_command("-c", "two")
    first, second = (request.body["messages"][0] for request in sandbox.requests)
    assert first == second

    png.unlink()
    done = llm_command("-c", "three")

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"Error: {png} cannot be read (No such file or directory); it may have moved since\n"
    )
    assert len(sandbox.requests) == 2


ONLY_IMAGES = "EvoLink's document names images only (image/jpeg, image/png, image/webp)"
FORMATS = "EvoLink takes image/jpeg, image/png, image/webp"
FRAGMENT = "send text as a fragment: -f"

# Content and name of a file, and the message after its path; PATH in it is the path.
REFUSED = [
    pytest.param(GIF, "cat.gif", f"is image/gif; {FORMATS}", id="gif"),
    pytest.param(PDF, "a.pdf", f"is application/pdf; {ONLY_IMAGES}", id="pdf"),
    pytest.param(WAV, "a.wav", f"is audio/wav; {ONLY_IMAGES}", id="audio"),
    pytest.param(MP4, "a.mp4", f"is video/mp4; {ONLY_IMAGES}", id="video"),
    pytest.param(b"\0\1\2\3", "x", f"is of an unknown type; {ONLY_IMAGES}", id="unknown"),
    pytest.param(b"PK\3\4\0", "a.zip", f"is application/zip; {ONLY_IMAGES}", id="zip"),
    pytest.param(b"Hi", "a.txt", f"is text/plain; {FRAGMENT} PATH", id="text"),
    pytest.param("ä".encode("utf-16"), "a.txt", f"is text/plain; {FRAGMENT} PATH", id="utf-16"),
    pytest.param(b"{}", "a.json", f"is application/json; {FRAGMENT} PATH", id="json"),
    pytest.param(b"a: 1", "a.yaml", f"is application/x-yaml; {FRAGMENT} PATH", id="yaml"),
    pytest.param(b"a,b", "a.csv", f"is of an unknown type; {FRAGMENT} PATH", id="csv"),
    pytest.param(b"", "empty.png", "is empty", id="empty"),
    pytest.param(
        PNG.ljust(MAX_IMAGE_BYTES + 1, b"\0"),
        "large.png",
        "has 10.1 MB; an image may have 10 MB",
        id="large",
    ),
]


@pytest.mark.parametrize(("content", "name", "message"), REFUSED)
@one_way
def test_a_file_that_is_not_an_image_is_refused(sandbox, way, tmp_path, content, name, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InvalidRequestError) as raised:
        way.prompt("hello", attachments=[llm.Attachment(path=str(path))])

    assert str(raised.value) == f"{path} {message.replace('PATH', str(path))}"
    assert sandbox.requests == []


def test_an_attachment_of_a_prompt_a_message_or_a_result_is_refused(sandbox, way):
    attachment = llm.Attachment(content=PDF)
    call = llm.parts.ToolCallPart("draw", {}, "c1", provider_metadata={"evolink": {}})
    result = ToolResultPart("draw", "", "c1", attachments=[attachment])
    for options in (
        {"prompt": "hello", "attachments": [attachment]},
        {"messages": [llm.user("hello", attachment)]},
        {"messages": [llm.user("draw"), llm.assistant(call), llm.tool_message(result)]},
    ):
        with pytest.raises(InvalidRequestError, match=r"^The attachment is application/pdf; "):
            way.prompt(**options)
    assert sandbox.requests == []


@pytest.mark.parametrize(
    ("attachment", "message"),
    [
        (llm.Attachment(content=GIF), f"The attachment is image/gif; {FORMATS}"),
        (llm.Attachment(content=b"Hi"), f"The attachment is of an unknown type; {FRAGMENT} -"),
        (llm.Attachment(), "The attachment is empty"),
        (llm.Attachment(content=PDF, type="text/x"), f"The attachment is text/x; {FRAGMENT} -"),
        (llm.Attachment(url=URL, type="image/gif"), f"{URL} is image/gif; {FORMATS}"),
        (llm.Attachment(url=URL, type="text/csv"), f"{URL} is text/csv; {FRAGMENT} {URL}"),
        (llm.Attachment(url="http://a.b/c.pdf?x=1"), "http://a.b/c.pdf?x=1 is application/pdf; "),
        (llm.Attachment(url="http://a.b/c.MP4"), f"http://a.b/c.MP4 is video/mp4; {ONLY_IMAGES}"),
        (llm.Attachment(url="http://a.b/c.mp3"), f"http://a.b/c.mp3 is audio/mpeg; {ONLY_IMAGES}"),
        (llm.Attachment(url=data_url(GIF, "image/gif")), "The attachment is image/gif; EvoLink"),
        (llm.Attachment(url=data_url(GIF, "")), "The attachment is image/gif; EvoLink takes"),
        (llm.Attachment(url=data_url(b"")), "The attachment is empty"),
        (llm.Attachment(url="data:image/png;base64,secret!"), NOT_BASE64),
        (llm.Attachment(url="data:image/png,secret00"), NOT_BASE64),
        (llm.Attachment(url="data:"), NOT_BASE64),
        (
            llm.Attachment(url=data_url(PNG.ljust(MAX_IMAGE_BYTES + 1, b"\0"))),
            "The attachment has 10.1 MB; an image may have 10 MB",
        ),
        (llm.Attachment(path="/no/such.png"), "/no/such.png cannot be read (No such file"),
        (llm.Attachment(path="/", type="image/png"), "/ cannot be read (Is a directory)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@one_way
def test_an_attachment_that_is_not_an_image_is_refused(sandbox, way, attachment, message):
    with pytest.raises(InvalidRequestError, match=f"^{re.escape(message)}") as raised:
        way.prompt("hello", attachments=[attachment])

    assert len(str(raised.value)) < 150
    assert sandbox.requests == []


def test_an_image_of_the_largest_size_is_sent(sandbox):
    data = PNG.ljust(MAX_IMAGE_BYTES, b"\0")
    response = llm.get_model(MODEL).prompt(attachments=[llm.Attachment(content=data)])

    assert f"Image 1: image/png, 3x2 pixels, {MAX_IMAGE_BYTES} bytes" in response.text()


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [(PDF, "a.pdf", f"is application/pdf; {ONLY_IMAGES}"), (b"Hi", "a.txt", f"{FRAGMENT} PATH")],
    ids=["pdf", "text"],
)
def test_the_command_line_names_the_attachment(
    sandbox, llm_command, tmp_path, content, name, message
):
    path = tmp_path / name
    path.write_bytes(content)
    done = llm_command("-m", MODEL, "hello", "-a", str(path))

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {path} is ")
    assert done.stderr.endswith(f"{message.replace('PATH', str(path))}\n")
    assert sandbox.requests == []
