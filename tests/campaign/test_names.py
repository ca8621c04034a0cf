"""Names of results: safe in every folder and never the same for two sources."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from powercal.campaign.names import printable, report_name, stem_of

PATHS = st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=300)


@given(PATHS)
@example("../../etc/passwd")
@example("con.h5")
@example("\u202egnp.h5")
@example("a" * 300)
@example("\udcff.h5")
def test_a_name_is_safe_in_every_folder(source: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,47}-[0-9a-f]{12}", stem_of(source))
    assert re.fullmatch(r"[A-Za-z0-9._-]{1,130}\.h5", report_name(stem_of(source), source))


@given(PATHS, PATHS)
@example("raw/A.h5", "raw/a.h5")
@example("raw/e\u0301.h5", "raw/\u00e9.h5")
@example("x/data.h5", "y/data.h5")
@example("a/b.h5", "a-b.h5")
def test_two_sources_have_two_names_also_where_case_does_not_count(one: str, other: str) -> None:
    if one != other:
        assert stem_of(one).casefold() != stem_of(other).casefold()


@pytest.mark.parametrize("bad", ["\x1b[31m", "\x07", "\u202e", "\n", "\x9b", "\udcff"])
def test_what_steers_a_terminal_is_not_printed(bad: str) -> None:
    assert printable(f"q3{bad}h5") == f"q3{'?' * len(bad[:1])}{bad[1:]}h5"
