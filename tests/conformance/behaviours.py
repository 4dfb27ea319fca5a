"""Which behaviours are shown by which rules of the suite: their docstrings are read by others, and hold no ids of ours.

Each rule is run on all that there is here. The list names it where everything is declared.
"""

from collections.abc import Mapping
from typing import Final

SHOWN: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "conformance/test_sqlite.py::TestFull": {
        # tables and columns
        "test_opening_again_changes_nothing": ("L01",),
        "test_a_store_may_be_opened_again": ("L01",),
        "test_any_name_of_a_table_is_a_name": ("L04", "R-N26"),
        "test_any_name_of_a_column_is_a_name": ("L04", "L13", "R-N26"),
        "test_a_new_column_takes_over_what_was_unknown": ("L06",),
        "test_a_removed_column_is_kept": ("L06",),
        "test_a_type_that_loses_values_is_refused": ("L12",),
        "test_a_type_that_loses_nothing_is_taken": ("L12",),
        # reading and writing
        "test_a_closed_store_says_so": ("M01",),
        "test_a_table_that_was_not_opened_is_unknown": ("M01", "M09"),
        "test_put_replaces_whole_records": ("M02",),
        "test_empty_calls_do_nothing": ("M04", "M13"),
        "test_put_takes_any_number_of_records": ("M05",),
        "test_get_takes_any_number_of_ids": ("M05", "R-M23"),
        "test_delete_takes_any_number_of_ids": ("M05", "R-M23"),
        "test_in_takes_any_number_of_constants": ("M05",),
        "test_any_record_comes_back": ("M06", "M20"),
        "test_get_answers_in_order": ("M08", "M16"),
        "test_delete_tells_how_many_went": ("M09", "M17"),
        "test_any_query_deletes_what_it_selects": ("M09", "M17"),
        "test_a_column_holds_what_does_not_fit_it": ("M10", "M20"),
        "test_the_later_of_two_with_one_id_stays": ("M12",),
        "test_ids_are_told_apart": ("M14", "M16", "M17"),
        "test_a_record_needs_an_id": ("M14",),
        "test_ids_that_are_no_text_are_refused": ("M17",),
        "test_a_refused_call_does_nothing": ("M18",),
        "test_any_exception_rolls_back": ("M18", "M21"),
        "test_an_exception_in_mid_iteration_rolls_back": ("M21",),
        "test_not_a_number_is_refused": ("M20",),
        "test_integers_beyond_64_bits_are_refused": ("M20",),
        "test_other_types_are_refused": ("M20",),
        "test_writers_take_turns": ("R-M24", "R-M25"),
        # queries
        "test_only_true_holds": ("N01",),
        "test_datetimes_compare": ("N02",),
        "test_parts_of_dates": ("N02",),
        "test_remainders_have_the_sign_of_the_left": ("N04",),
        "test_rounding": ("N04",),
        "test_any_query_selects_what_it_means": ("N01", "N05", "N06"),
        "test_any_query_is_counted": ("N06",),
        "test_fields_come_with_the_id": ("M16", "N06"),
        "test_skip_and_take": ("N06",),
        "test_texts_are_equal_by_character": ("N13",),
        "test_wildcards_mean_themselves": ("R-N27",),
    },
}
"""The ids, by the class of tests and the rule."""
