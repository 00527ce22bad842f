"""Numbers are written to the digits that they are known to: one or two of their uncertainty."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from demograd.statistics.number import Number, estimate, formatted, p_value, percentage, places_of


@pytest.mark.parametrize(
    "value, low, high, text",
    [
        (0.17352, 0.1523, 0.1934, "0.174 [0.152, 0.193]"),
        (-0.00045, -0.00182, 0.00091, "−0.0004 [−0.0018, 0.0009]"),
        (0.17, -0.024, 0.357, "0.17 [−0.02, 0.36]"),
        (1.0031, 0.9984, 1.0078, "1.003 [0.998, 1.008]"),
        (12345.6, 12000.0, 12700.0, "12350 [12000, 12700]"),
        (1.23e-6, 1.1e-6, 1.4e-6, "1.23e−6 [1.10e−6, 1.40e−6]"),
        (12345678.0, 12345670.0, 12345690.0, "1.2345678e7 [1.2345670e7, 1.2345690e7]"),
        (1.3e9, 9.9e6, 2.6e9, "1.3e9 [1e7, 2.6e9]"),
        (0.02, 0.003, 0.037, "0.020 [0.003, 0.037]"),
        (0.2, 0.0004, 0.4, "0.20 [0.0004, 0.40]"),
        (0.2, 3e-12, 0.4, "2.0e−1 [3e−12, 4.0e−1]"),
        (0.0, 0.0, 0.0, "0 [0, 0]"),
        (0.25, 0.25, 0.25, "0.250 [0.250, 0.250]"),
    ],
)
def test_an_interval_says_to_which_digits_a_value_is_known(value: float, low: float, high: float, text: str) -> None:
    number = estimate(value, low, high)
    assert f"{number.text} {number.bounds}" == text


def test_what_is_large_has_one_notation_with_an_interval_or_without() -> None:
    assert estimate(1234567890.0).text == formatted(1234567890.0) == "1.23e9"
    assert formatted(-25e6) == "−2.50e7" and formatted(float("inf")) == "inf"


@given(st.floats(1e-6, 1e9), st.floats(1e-6, 10.0))
def test_bounds_a_millionth_apart_differ_and_neither_reads_as_zero(value: float, width: float) -> None:
    number = estimate(value, value * (1 - width), value * (1 + width))
    low, high = (float(bound.replace("−", "-")) for bound in number.bounds.strip("[]").split(", "))
    assert low < high and (low == 0) == (number.low == 0)


def test_without_an_interval_the_deviation_does() -> None:
    assert Number(0.1735, 0.0021, None, None, False, 9, 0, 3, "ok").text == "0.1735 ± 0.0021"
    assert Number(0.1737, 0.0071, None, None, False, 9, 0, 3, "ok").text == "0.174 ± 0.007"


def test_the_interval_comes_before_the_deviation() -> None:
    number = Number(0.1737, 0.0021, 0.15, 0.19, False, 9, 0, 3, "ok")
    assert (number.text, number.bounds) == ("0.174 ± 0.002", "[0.150, 0.190]")


@pytest.mark.parametrize("value, text", [(0.5, "0.500"), (0.01234, "0.0123"), (12.345, "12.3"), (12345.6, "12346")])
def test_what_no_one_knows_the_uncertainty_of_has_three_digits(value: float, text: str) -> None:
    assert estimate(value).text == text


def test_a_difference_has_its_sign_and_a_share_its_per_cent() -> None:
    assert estimate(0.171, -0.024, 0.357).signed == "+0.17 [−0.02, +0.36]"
    share = percentage(-0.0026, -0.0104, 0.0054)
    assert (share.text, share.bounds) == ("−0.3", "[−1.0, 0.5]")


def test_p_values() -> None:
    assert (p_value(0.01646), p_value(0.0004)) == ("0.016", "4.00e−4")


@given(st.floats(1e-9, 1e9))
def test_an_uncertainty_is_never_written_with_more_than_two_digits(uncertainty: float) -> None:
    assert 1 <= round(uncertainty * 10.0 ** places_of(uncertainty)) <= 36
