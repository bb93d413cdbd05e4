"""Forms: what they say is priced, and what the upstream reads is what was priced."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.formparser import parse_form_data
from werkzeug.test import EnvironBuilder

from app.cashier.form import Form, Part
from app.web.forms import FIELD_BYTES_MAX, PARTS_MAX, document_of, read_form
from app.web.refusals import InvalidFormError, InvalidParameterError

if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN = Form((Part("model", b"m"), Part("file", b"\x00\xff", "a.wav", "audio/wav")))
names = st.from_regex(r"[A-Za-z0-9_.-]{1,20}(\[\])?", fullmatch=True)
kinds = st.sampled_from(["audio/wav", "image/png", "application/octet-stream"])
file_names = st.text(
    st.characters(exclude_characters='/\\\r\n"%\x00', exclude_categories=["C", "Z"]), min_size=1
)


@st.composite
def parts(draw: Any) -> Part:
    if draw(st.booleans()):
        return Part(draw(names), draw(st.text(max_size=50)).encode())
    return Part(draw(names), draw(st.binary(max_size=200)), draw(file_names), draw(kinds))


def anew(form: Form, **changes: str) -> Form:
    return read_form(form.written(changes), form.content_type)


@given(found=st.lists(parts(), max_size=6))
def test_what_is_written_is_read_as_it_was(found: Sequence[Part]) -> None:
    form = Form(tuple(found))

    assert anew(form) == form


@given(found=st.lists(parts(), min_size=1, max_size=6))
def test_another_parser_reads_the_same(found: Sequence[Part]) -> None:
    form = Form(tuple(found))
    environ = EnvironBuilder(
        method="POST", data=form.written(), content_type=form.content_type
    ).get_environ()

    _, fields, files = parse_form_data(environ, lambda *_, **__: io.BytesIO())

    read = [(name, value.encode()) for name, value in fields.items(multi=True)]
    read += [(name, file.read()) for name, file in files.items(multi=True)]
    assert sorted(read) == sorted((part.name, part.value) for part in found)


def test_the_same_form_is_written_the_same_so_that_a_retry_is_known() -> None:
    again = Form(PLAIN.parts)

    assert again.written() == PLAIN.written()
    assert Form((*PLAIN.parts, Part("n", b"1"))).boundary != PLAIN.boundary


def test_one_field_is_changed_and_nothing_else() -> None:
    form = anew(PLAIN, model="another", absent="x")

    assert form.parts == (Part("model", b"another"), PLAIN.parts[1])
    assert PLAIN.files_bytes == 2


def test_a_form_reads_as_json_would() -> None:
    form = Form(
        (
            Part("model", b"m"),
            Part("n", b"2"),
            Part("stream", b"TRUE"),
            Part("temperature", b"0.5"),
            Part("include[]", b"logprobs"),
            Part("file", b"\x00" * 5_000, "a.bin", "application/octet-stream"),
            Part("image[]", b"1", "1.png", "image/png"),
            Part("image[]", b"22", "2.png", "image/png"),
        )
    )

    document = document_of(form)

    file = document.pop("file")
    pictures = document.pop("image[]")
    assert document == {
        "model": "m", "n": 2, "stream": True, "temperature": "0.5", "include[]": ["logprobs"],
    }  # fmt: skip
    assert (file["bytes"], file["seconds_max"], file["seconds_guess"]) == (5_000, 5_000, 2)
    assert [each["bytes"] for each in pictures] == [1, 2]


@pytest.mark.parametrize("text", ["two", "1.5", "-1", "1" * 20, "\u00b2", ""])
def test_a_number_that_is_none_stays_a_text(text: str) -> None:
    assert document_of(Form((Part("n", text.encode()),)))["n"] == text


@pytest.mark.parametrize(
    ("found", "param"),
    [
        ((Part("model", b"a"), Part("model", b"b")), "model"),
        ((Part("prompt", b"\xff"),), "prompt"),
        ((Part("file", b"a"), Part("file", b"b", "f", "a/b")), "file"),
        ((Part("x[]", b"a"), Part("x[]", b"b", "f", "a/b")), "x[]"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(found: tuple[Part, ...], param: str) -> None:
    with pytest.raises(InvalidParameterError) as caught:
        document_of(Form(found))

    assert caught.value.param == param


@pytest.mark.parametrize("name", ["", "a b", "a;b", "m" * 65, "a[][]", "[]", "é"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    form = Form((Part(name, b"x"),))

    with pytest.raises((InvalidParameterError, InvalidFormError)):
        anew(form)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "application/json"),
        (b"", ""),
        (b"", "multipart/form-data"),
        (b"", "multipart/form-data; boundary=x"),
        (b"--x\r\n", "multipart/form-data; boundary=x"),
        (b"nothing", "multipart/form-data; boundary=x"),
        (b"--x\r\n\r\nno head\r\n--x--\r\n", "multipart/form-data; boundary=x"),
        (PLAIN.written()[:-20], PLAIN.content_type),
        (b"", "multipart/form-data; boundary=\xe9"),
    ],
)
def test_what_is_no_form_is_refused(body: bytes, content_type: str) -> None:
    with pytest.raises(InvalidFormError):
        read_form(body, content_type)


def test_a_form_has_so_many_parts_and_no_more() -> None:
    form = Form(tuple(Part(f"a{number}", b"x") for number in range(PARTS_MAX + 1)))

    with pytest.raises(InvalidFormError):
        anew(form)


def test_a_field_is_so_long_and_no_longer() -> None:
    with pytest.raises(InvalidFormError):
        anew(Form((Part("prompt", b"x" * (FIELD_BYTES_MAX + 1)),)))


@pytest.mark.parametrize(
    ("filename", "kept"),
    [("/home/me/secret/a.wav", "a.wav"), ("x" * 300, "x" * 200)],
)
def test_the_folders_of_a_client_go_no_further(filename: str, kept: str) -> None:
    form = anew(Form((Part("file", b"x", filename, "audio/wav"),)))

    assert form.parts[0].filename == kept


def test_a_strange_content_type_is_not_passed_on() -> None:
    builder = EnvironBuilder(
        method="POST", data={"file": (io.BytesIO(b"x"), "a", "not a type")}
    )
    request = builder.get_request()

    form = read_form(request.get_data(), request.headers["Content-Type"])

    assert form.parts[0].content_type == "application/octet-stream"
