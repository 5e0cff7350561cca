"""Which releases of aws-cdk-lib the matrix tries."""

from __future__ import annotations

import itertools

from tools.matrix import EDGES, EVERY, release_lines


def test_both_ends_and_both_sides_of_every_change_between_them_are_tried() -> None:
    assert {186, 275, *EDGES} <= set(release_lines(186, 275))


def test_no_more_than_three_minor_releases_in_a_row_are_left_out() -> None:
    lines = release_lines(186, 275)
    assert max(later - earlier for earlier, later in itertools.pairwise(lines)) <= EVERY


def test_changes_below_the_lowest_release_are_not_tried() -> None:
    assert release_lines(270, 275) == [270, 274, 275]
