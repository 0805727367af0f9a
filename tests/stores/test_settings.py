import pytest

from srec.errors import InputError
from srec.stores.settings import StoreSettings


def test_defaults_then_the_file_then_the_environment() -> None:
    assert StoreSettings.read({}, {}) == StoreSettings()
    assert StoreSettings.read({"deadline_ms": 5, "pause_s": 1}, {}) == StoreSettings(
        deadline_ms=5.0, pause_s=1.0
    )
    environment = {"SREC_STORE_DEADLINE_MS": "7.5", "SREC_STORE_CACHE_MB": "0", "HOME": "/"}
    both = StoreSettings.read({"deadline_ms": 5, "check_s": 2}, environment)
    assert both == StoreSettings(deadline_ms=7.5, cache_mb=0.0, check_s=2.0)
    assert StoreSettings.read({}, {"SREC_STORE_CACHE_MB": ""}) == StoreSettings()


@pytest.mark.parametrize(
    ("section", "why"),
    [
        (
            {"deadline": 5},
            r'no setting "deadline" \(did you mean "deadline_ms"\?\): use deadline_ms, cache_mb',
        ),
        ({"deadline_ms": "soon"}, 'deadline_ms of the neighbour store is "soon": give a number'),
        ({"deadline_ms": True}, 'deadline_ms of the neighbour store is "True": give a number'),
        ({"deadline_ms": 0}, "deadline_ms of the neighbour store is 0.0: it must be above 0"),
        ({"cache_mb": -1}, "cache_mb of the neighbour store is -1.0: use 0 to 1000000"),
        ({"check_s": float("nan")}, 'check_s of the neighbour store is "nan": give a number'),
        (
            {"pause_s": 20},
            "longest_pause_s of the neighbour store is 10.0: it must be at least pause_s, 20.0",
        ),
    ],
)
def test_what_cannot_be_used_is_named(section: dict[str, object], why: str) -> None:
    with pytest.raises(InputError, match=why):
        StoreSettings.read(section, {})
