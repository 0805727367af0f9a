"""A trained run as what is measured: which runs can be."""

import pytest

from srec.bench.trained import trained, trained_by_gradient
from srec.errors import InputError
from srec.training.blend import blend_runs
from srec.training.blend_weights import BlendWish
from srec.training.run import Run
from tests.training.small import prepare_cycle, quick
from tests.training.small import trained as train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Run]:
    folder = tmp_path_factory.mktemp("runs")
    data = prepare_cycle(folder)
    made = {name: train(data, folder / name, quick(name)) for name in ("gce-gnn", "pop")}
    blend_runs(made["gce-gnn"], made["pop"], folder / "blend", BlendWish())
    return {**made, "blend": Run(folder / "blend")}


def test_a_model_trained_by_gradient_is_measured(runs: dict[str, Run]) -> None:
    subject = trained_by_gradient(runs["gce-gnn"])
    assert subject.model.name == "gce-gnn"
    assert subject.facts()["items"] == subject.model.n_items


@pytest.mark.parametrize(
    ("name", "instead"), [("pop", "a run of gce-gnn"), ("blend", "one of the two runs that it is made of")]
)
def test_any_other_is_refused_but_its_order_can_be_compared(
    runs: dict[str, Run], name: str, instead: str
) -> None:
    with pytest.raises(InputError, match=f"is a run of {name}, .*: give {instead}"):
        trained_by_gradient(runs[name])
    assert trained(runs[name]).model.name == name
