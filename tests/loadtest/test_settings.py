"""Options and presets of a load test."""

from typing import Any

import pytest

from srec.errors import InputError
from srec.loadtest import load_settings
from tests.loadtest.small import settings_of


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"user": 3}, r'option "user" is unknown \(did you mean "users"\?\)'),
        ({"thresholds": {"max_p90": 3}}, r'"thresholds.max_p90" is unknown \(did you mean "max_p90_ms"\?\)'),
        ({"k": 101}, "k is 101: Input should be less than or equal to 100"),
        ({"rates": [100, 0]}, "rates.1 is 0"),
        ({"url": "localhost:8080"}, "url is 'localhost:8080': a server's address is asked for"),
        ({"inputs": {"kind": "file"}}, 'inputs: kind "file" needs a sessions file'),
        ({"inputs": {"kind": "data"}}, 'inputs: kind "data" needs a folder of prepared data'),
        ({"users": 2, "processes": 3}, "3 processes need at least as many users, not 2"),
    ],
)
def test_bad_options_are_named(values: dict[str, Any], text: str) -> None:
    with pytest.raises(InputError, match=text):
        settings_of(**values)


def test_presets_are_complete_and_can_be_changed_key_by_key() -> None:
    etude = load_settings({"url": "http://127.0.0.1:1/", "thresholds": {"min_rate": 500}}, preset="etude")
    assert (etude.thresholds.max_p90_ms, etude.thresholds.min_rate) == (50, 500)
    assert (etude.rates, etude.inputs.kind, etude.url) == ((1000,), "power-law", "http://127.0.0.1:1")
    srec = load_settings({"url": "http://127.0.0.1:1", "inputs": {"seed": 5}}, preset="srec")
    assert (srec.inputs.kind, srec.inputs.seed, srec.rates) == ("random", 5, ())
    with pytest.raises(
        InputError, match=r'"etud" is unknown \(did you mean "etude"\?\): one of etude, replay, srec'
    ):
        load_settings({"url": "http://127.0.0.1:1"}, preset="etud")
