import pytest

from srec.errors import InputError
from srec.models import MODELS
from srec.training.presets import PER_MODEL, PRESETS
from srec.training.settings import RunSettings, TrainSettings, resolve


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("model", MODELS)
def test_every_model_knows_every_preset_and_is_rebuilt_from_its_json(model: str, preset: str) -> None:
    settings = resolve(model, preset, {})
    again = RunSettings.model_validate_json(settings.model_dump_json())
    assert again == settings
    assert again.model_settings() == settings.model_settings()


def test_presets_name_settings_that_exist() -> None:
    for model, presets in PER_MODEL.items():
        known = {**MODELS[model].Settings.model_fields, **TrainSettings.model_fields}
        assert presets.keys() <= set(PRESETS)
        assert all(values.keys() <= known.keys() for values in presets.values())


def test_presets_are_those_of_srec_and_of_the_paper() -> None:
    srec, paper = resolve("gce-gnn", "srec", {}), resolve("gce-gnn", "paper", {})
    assert srec.parameters["dim"] == 352
    assert srec.parameters["tags"] is srec.parameters["context"] is True
    assert paper.parameters["dim"] == 100
    assert paper.parameters["tags"] is paper.parameters["context"] is False
    assert paper.parameters["dropout_global"] == 0.5
    assert paper.parameters["hops"] == 1
    recipe = paper.training
    assert (recipe.batch_size, recipe.learning_rate, recipe.decay, recipe.decay_every, recipe.l2) == (
        100, 1e-3, 0.1, 3, 1e-5,
    )  # fmt: skip


def test_changes_lie_over_the_preset() -> None:
    settings = resolve("gce-gnn", "srec", {"dim": "16", "tags": "false", "refit": "true", "patience": "7"})
    assert settings.parameters["dim"] == 16
    assert settings.parameters["tags"] is False
    assert settings.parameters["context"] is True
    assert settings.training.refit is True
    assert settings.training.patience == 7


@pytest.mark.parametrize(
    ("model", "preset", "changes", "message"),
    [
        ("gce-gn", "srec", {}, r'no model "gce-gn" \(did you mean "gce-gnn"\?\)'),
        (
            "gce-gnn",
            "papers",
            {},
            r'no preset "papers" \(did you mean "paper"\?\): srec, steady, paper, best, tiny',
        ),
        (
            "gce-gnn",
            "srec",
            {"dims": "8"},
            r'--set dims: gce-gnn has no such setting \(did you mean "dim"\?\)',
        ),
        ("gce-gnn", "srec", {"learnin_rate": "1"}, r'did you mean "learning_rate"'),
        ("pop", "paper", {"dim": "8"}, r"--set dim: pop has no such setting.*batch_size"),
        ("gce-gnn", "srec", {"dim": "wide"}, r"--set dim=wide: .*valid integer"),
        ("gce-gnn", "srec", {"dim": "0"}, r"--set dim=0: .*greater than or equal to 2"),
        ("gce-gnn", "srec", {"dropout_global": "1"}, r"--set dropout_global=1: .*less than 1"),
        ("gce-gnn", "srec", {"scoring": "euclid"}, r"--set scoring=euclid: .*'dot' or 'cosine'"),
        ("gce-gnn", "srec", {"scale": "inf"}, r"--set scale=inf: .*finite"),
        ("gce-gnn", "srec", {"epochs": "0"}, r"--set epochs=0: .*greater than or equal to 1"),
        ("gce-gnn", "srec", {"learning_rate": "nan"}, r"--set learning_rate=nan: "),
        ("gce-gnn", "srec", {"select_by": "mrr@7"}, r"--set select_by=mrr@7: "),
        ("gce-gnn", "srec", {"seed": str(2**70)}, r"--set seed=1180591620717411303424: "),
    ],
)
def test_what_is_wrong_is_named(model: str, preset: str, changes: dict[str, str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        resolve(model, preset, changes)


@pytest.mark.parametrize("model", MODELS)
def test_no_model_has_a_setting_of_the_trainings_name(model: str) -> None:
    """`--set name=value` knows one list of names: one value could not mean two things."""
    assert not set(MODELS[model].Settings.model_fields) & set(TrainSettings.model_fields)
