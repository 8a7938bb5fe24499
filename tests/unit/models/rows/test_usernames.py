"""What makes two usernames the same, and how long it takes to know: it needs no MongoDB."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mongoengine import ValidationError

from stripe_mongo_sync.api.schemas.requests import RequestSchemas
from stripe_mongo_sync.models import Customer
from stripe_mongo_sync.models.username import (
    INVISIBLE,
    LONGEST,
    NOBODY_SEES,
    check_username,
    fold,
    folded_before,
    keys_of,
)
from tests.support.quick import timed

# Of Unicode's format characters, those that show something: signs before Arabic and other numbers.
SHOWN = {*range(0x600, 0x606), 0x6DD, 0x70F, 0x890, 0x891, 0x8E2, 0x110BD, 0x110CD}
UNSEEN = [chr(code) for code in range(0x110000) if NOBODY_SEES.match(chr(code))]
EVERY = UNSEEN[::97] + list(
    "\u00ad\u034f\u061c\u115f\u180e\u200b\u200d\u202e\u2066\u2800\u3164\ufe0f\ufeff\uffa0\ufffc\uffff\U000e0041\U0001fffe"
)


def refused(name: str) -> str | None:
    try:
        check_username(name)
    except ValidationError as error:
        return str(error.message)
    return None


def test_every_format_character_is_known_for_what_it_shows() -> None:
    formats = {code for code in range(0x110000) if unicodedata.category(chr(code)) == "Cf"}
    assert formats - {ord(each) for each in UNSEEN} == SHOWN


def test_what_nobody_sees_makes_no_other_name() -> None:
    for unseen in EVERY:
        for odd in (
            f"ann@here.com{unseen}",
            f"{unseen}ann@here.com",
            f"ann{unseen}@here.com",
            f"ann@here.com {unseen} ",
        ):
            assert fold(odd) == "ann@here.com", ascii(odd)
            assert "leave it out" in (refused(odd) or ""), ascii(odd)
            assert not Customer.with_derived({"username": odd}).get("email"), ascii(odd)
        assert refused(unseen), ascii(unseen)
    for space in " \u00a0\u2003\u3000":
        assert fold(f"{space}ann  smith{space}") == "ann smith"
        assert refused(f"ann{space}") == refused(f"{space}ann") == "has a space at an end: leave it out"


@given(st.text(max_size=LONGEST))
def test_to_fold_twice_is_to_fold_once(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(folded_before(name)) == fold(name), "what an older version stored is brought to the same"


@given(st.text(alphabet=st.characters() | st.sampled_from(EVERY), max_size=LONGEST))
def test_a_name_that_is_taken_is_found_by_itself_and_has_the_form_that_is_told(name: str) -> None:
    said = RequestSchemas().creation(Customer)["properties"]["username"]
    form = re.search(said["pattern"], name) is not None and said["minLength"] <= len(name) <= said["maxLength"]
    if refused(name) is None:
        assert form
        assert keys_of(name)[-1] == fold(name)
        assert not set(fold(name)) & set(UNSEEN)


@pytest.mark.parametrize("worst", ["\u0315\u0300", "\ufdfa", "\u1f82\u0345", "a\u200b", " ", "ß", "\u2800"])
def test_a_name_of_any_length_takes_no_time(worst: str) -> None:
    name = "a" + worst * 500_000
    with pytest.raises(ValidationError, match="more than 255"):
        timed("a check", lambda: check_username(name), 0.1)
    assert timed("keys", lambda: keys_of(name), 0.1) == []
    assert len(timed("a fold", lambda: fold(name[:LONGEST]), 0.1)) <= LONGEST * 18


def test_the_pattern_has_no_escape_that_json_schema_does_not_know() -> None:
    assert "\\U" not in INVISIBLE
