"""Tables: they fit, they lose nothing, and letters of two columns count as two."""

from click import unstyle
from hypothesis import given
from hypothesis import strategies as st

from stripe_mongo_sync.sync.commands.table import table
from stripe_mongo_sync.sync.process.screen import breadth, lasting, wrapped

LETTERS = st.text(st.sampled_from("ab-_é張🎉"), max_size=60)


def test_what_fits_stands_in_one_line_and_the_note_below() -> None:
    lines = table(["KIND", "ID"], [["customer", "1a"], ["event", "evt_1"]], ["cus_1: due", "-"], 80)

    assert [unstyle(each) for each in lines] == [
        "KIND      ID",
        "customer  1a",
        "  cus_1: due",
        "event     evt_1",
        "  -",
    ]


def test_the_widest_column_gives_way_and_an_id_only_when_nothing_else_can() -> None:
    row = ["evt_0123456789", "customer.subscription.trial_will_end"]

    lines = table(["ID", "TYPE"], [row], ["-"], 40)
    narrow = table(["ID", "TYPE"], [row], ["-"], 18)

    assert lines[1:3] == ["evt_0123456789  customer.subscription.tr", "                ial_will_end"]
    assert "".join(each[:10].strip() for each in narrow[1:-1]) == row[0]
    assert all(len(unstyle(each)) <= 18 for each in narrow)


@given(st.lists(st.tuples(LETTERS, LETTERS, LETTERS), min_size=1, max_size=4), st.integers(30, 100))
def test_no_line_is_wider_than_the_terminal_and_no_letter_is_lost(rows: list[tuple[str, str, str]], width: int) -> None:
    lines = table(["KIND", "ID"], [each[:2] for each in rows], [each[2] for each in rows], width)

    assert all(breadth(unstyle(each)) <= width for each in lines)
    assert sorted("".join(lines[1:]).replace(" ", "")) == sorted("".join(map("".join, rows)))


@given(st.text(st.sampled_from("ab 張 "), max_size=200), st.integers(10, 80))
def test_a_line_is_broken_between_words(text: str, width: int) -> None:
    lines = wrapped(text, width, "  ")

    assert " ".join(lines).split() == text.split()
    assert all(breadth(each) <= width or len(each.split()) == 1 for each in lines)


def test_a_duration_is_told_in_its_two_largest_units() -> None:
    told = {0.4: "0 s", 59: "59 s", 60: "1 min", 3_900: "1 h 5 min", 90_061: "1 d 1 h"}

    assert {seconds: lasting(seconds) for seconds in told} == told
