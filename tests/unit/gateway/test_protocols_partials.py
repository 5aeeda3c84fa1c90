"""Text that only ever grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.protocols.partials import StableText

words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=6).map(" ".join)


def test_a_word_settles_when_two_partials_agree_and_another_follows_it() -> None:
    text = StableText()
    assert text.partial("the new") == ""
    assert text.partial("the new bridge") == "the new"
    assert text.partial("the new bridge was") == " bridge"
    assert text.text == "the new bridge"


def test_what_is_revised_is_not_given_out_twice() -> None:
    text = StableText()
    text.partial("the new bridge")
    text.partial("the new bridge was")
    assert text.partial("an old bridge was") == ""
    assert text.partial("an old bridge was it") == ""


def test_the_final_text_completes_what_was_given_if_it_can() -> None:
    text = StableText()
    text.partial("the new bridge")
    text.partial("the new bridge was")
    assert text.final("the new bridge was opened.") == " was opened."
    assert text.final("something else") == ""


@given(st.lists(words, max_size=12), words)
def test_what_was_given_out_is_always_a_beginning_of_what_is_given_out_later(
    partials: list[str], final: str
) -> None:
    text = StableText()
    given_out = ""
    for partial in partials:
        given_out += text.partial(partial)
        assert given_out == text.text
    rest = text.final(final)
    if rest:
        assert given_out + rest == " ".join(final.split())
