"""How the emulator reads form bodies."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stripe_mongo_sync.emulator.protocol.errors import Problem
from stripe_mongo_sync.emulator.protocol.fields import Upload
from stripe_mongo_sync.emulator.protocol.forms import UPLOADED, canonical, decode, encode, items, params_of, shown
from stripe_mongo_sync.emulator.protocol.wire import Request

NAMES = st.text("abcxyz_ %é", min_size=1, max_size=5).filter(lambda name: not name.isdigit())
VALUES = st.recursive(
    st.text(max_size=5).filter(lambda text: "\x00" not in text),
    lambda inner: st.dictionaries(NAMES, inner, min_size=1, max_size=3) | st.lists(inner, min_size=1, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("a=1&b=", {"a": "1", "b": ""}),
        ("a[b]=c&a[d][e]=f", {"a": {"b": "c", "d": {"e": "f"}}}),
        ("a%5Bb%5D=c", {"a": {"b": "c"}}),
        ("a[]=1&a[]=2", {"a": ["1", "2"]}),
        ("a[0]=1&a[1]=2", {"a": {"0": "1", "1": "2"}}),
        ("a[][b]=1&a[][c]=2&a[][b]=3", {"a": [{"b": "1", "c": "2"}, {"b": "3"}]}),
        ("a=1&a=2", {"a": "2"}),
        ("a=x+y%26z", {"a": "x y&z"}),
        ("a=Zo%C3%AB", {"a": "Zoë"}),
    ],
)
def test_a_form_is_read_as_stripe_reads_it(text: str, expected: dict[str, Any]) -> None:
    assert decode(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "a=%ff",
        "a[b=1",
        "a[b]]=1",
        "[a]=1",
        "a=1&a[b]=2",
        "a[b]=2&a=1",
        "a[]=1&a[b]=2",
        "a=%00",
        "a" + "[b]" * 20 + "=1",
    ],
)
def test_a_form_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(Problem) as caught:
        decode(text)
    assert caught.value.status == 400


@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_what_is_encoded_is_decoded(params: dict[str, Any]) -> None:
    assert canonical(decode(encode(params))) == canonical(params)


@given(st.text("ab[]=&%012é", max_size=20))
def test_no_text_breaks_the_decoder(text: str) -> None:
    with suppress(Problem):
        assert isinstance(decode(text), dict)


def test_equal_parameters_are_equal_in_any_order_and_spelling() -> None:
    assert canonical(decode("a[]=1&a[]=2&b=3")) == canonical(decode("b=3&a[1]=2&a[0]=1"))
    assert canonical(decode("a[]=1&a[]=2")) != canonical(decode("a[]=2&a[]=1"))


def test_an_array_has_ten_elements_in_order() -> None:
    assert items({str(index): str(index) for index in reversed(range(12))}) == [str(index) for index in range(12)]
    assert items({"x": "1"}) is None


def test_python_values_are_spelled_as_stripe_python_does() -> None:
    assert encode({"a": True, "b": None, "c": [1, 2], "d": {"e": ""}}) == "a=true&c[0]=1&c[1]=2&d[e]="


# --- multipart ---


def form(*parts: tuple[str, bytes]) -> Request:
    body = b"".join(b"--x\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return Request("POST", "/v1/files", "", {"content-type": "multipart/form-data; boundary=x"}, body + b"--x--\r\n")


def part(name: str, file: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{file}"' if file else "")


def test_a_file_of_a_form_is_its_name_and_its_bytes() -> None:
    params = params_of(
        form((part("purpose"), b"dispute_evidence"), (part("a[b]"), b"c"), (part("file", "é.pdf"), b"\xff"))
    )

    assert Upload().parse(params.pop("file"), "file") == {"filename": "é.pdf", "content": b"\xff"}
    assert params == {"purpose": "dispute_evidence", "a": {"b": "c"}}


@pytest.mark.parametrize(
    "head", ["Content-Disposition: form-data", 'Content-Disposition: form-data; filename="a"', "x: y"]
)
def test_a_part_without_a_name_is_refused(head: str) -> None:
    with pytest.raises(Problem, match="multipart form"):
        params_of(form((head, b"c")))


@pytest.mark.parametrize("text", ["file=x", "file[filename]=a&file[content]=b", "file[uploaded][content]=b"])
def test_nothing_else_passes_for_a_file(text: str) -> None:
    with pytest.raises(Problem, match="Invalid file"):
        Upload().parse(decode(text)["file"], "file")
    for name in (UPLOADED, f"file[{UPLOADED}]"):
        with pytest.raises(Problem, match="null bytes"):
            params_of(form((part(name), b"c")))


def test_the_log_keeps_the_name_of_a_file_and_not_its_content() -> None:
    assert shown(params_of(form((part("file", "a.pdf"), b"secret")))) == {"file": "a.pdf"}
