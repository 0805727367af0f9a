import csv
import datetime
import json
from collections import Counter, defaultdict
from itertools import pairwise
from pathlib import Path

import pytest

from srec.demo import DemoSummary, write_demo
from srec.demo.catalogue import Game, load_catalogue, release_times, tag_similarity
from srec.demo.generator import UNTIL
from srec.errors import InputError

DAY = 86_400


@pytest.fixture(scope="module")
def catalogue() -> tuple[Game, ...]:
    return load_catalogue()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoSummary]:
    out = tmp_path_factory.mktemp("demo")
    return out, write_demo(out)


@pytest.fixture(scope="module")
def rows(demo: tuple[Path, DemoSummary]) -> list[tuple[int, int, int, int]]:
    header, *lines = csv.reader((demo[0] / "reviews.csv").read_text().splitlines())
    assert header == ["steamid", "appid", "timestamp_created", "voted_up"]
    return [(int(a), int(b), int(c), int(d)) for a, b, c, d in lines]


@pytest.fixture(scope="module")
def liked(rows: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """The games each player liked, oldest first, of players who liked at least three."""
    histories: dict[int, list[int]] = defaultdict(list)
    for player, appid, _, positive in rows:
        if positive:
            histories[player].append(appid)
    return [history for history in histories.values() if len(history) >= 3]


def test_catalogue_is_a_table_of_distinct_games_with_weighted_tags(catalogue: tuple[Game, ...]) -> None:
    appids = [game.appid for game in catalogue]
    assert appids == sorted(set(appids))
    assert len({game.name for game in catalogue}) == len(catalogue) >= 200
    for game in catalogue:
        votes = list(game.tags.values())
        assert 8 <= len(votes) <= 12, game.name
        assert votes == sorted(votes, reverse=True), game.name
        assert all(isinstance(vote, int) and vote > 0 for vote in votes), game.name
        assert all((game.developer, game.publisher, game.genres)), game.name
        assert 0 <= game.price < 100, game.name


@pytest.mark.parametrize(
    ("appid", "name", "developer", "year"),
    [
        (10, "Counter-Strike", "Valve", "2000"),
        (220, "Half-Life 2", "Valve", "2004"),
        (400, "Portal", "Valve", "2007"),
        (620, "Portal 2", "Valve", "2011"),
        (292030, "The Witcher 3: Wild Hunt", "CD PROJEKT RED", "2015"),
        (427520, "Factorio", "Wube Software LTD.", "2020"),
        (646570, "Slay the Spire", "Mega Crit Games", "2019"),
        (1086940, "Baldur's Gate 3", "Larian Studios", "2023"),
        (1145360, "Hades", "Supergiant Games", "2020"),
        (1245620, "ELDEN RING", "FromSoftware, Inc.", "2022"),
    ],
)
def test_catalogue_knows_the_facts(
    catalogue: tuple[Game, ...], appid: int, name: str, developer: str, year: str
) -> None:
    game = {game.appid: game for game in catalogue}[appid]
    assert (game.name, game.developer, game.release_date[:4]) == (name, developer, year)


@pytest.mark.parametrize(
    ("tag", "least"),
    [
        ("Puzzle", 15), ("Roguelike", 12), ("Souls-like", 8), ("Grand Strategy", 8), ("City Builder", 5),
        ("Open World Survival Craft", 12), ("FPS", 20), ("Racing", 8), ("Survival Horror", 12),
        ("Metroidvania", 8), ("CRPG", 6), ("JRPG", 8), ("Visual Novel", 6), ("Tower Defense", 8),
        ("Stealth", 12), ("Co-op", 20),
    ],
)  # fmt: skip
def test_catalogue_serves_every_taste(catalogue: tuple[Game, ...], tag: str, least: int) -> None:
    assert sum(tag in game.tags for game in catalogue) >= least


def test_games_most_like_portal_are_puzzles(catalogue: tuple[Game, ...]) -> None:
    portal = [game.appid for game in catalogue].index(400)
    alike = tag_similarity(catalogue)[portal].argsort()[::-1][:5]
    assert catalogue[alike[0]].name == "Portal 2"
    assert all("Puzzle" in catalogue[row].tags for row in alike)


def test_a_release_known_by_year_counts_from_its_first_day(catalogue: tuple[Game, ...]) -> None:
    times = dict(zip((game.appid for game in catalogue), release_times(catalogue).tolist(), strict=True))
    assert times[200510] == datetime.datetime(2012, 1, 1, tzinfo=datetime.UTC).timestamp()
    assert times[620] == datetime.datetime(2011, 4, 18, tzinfo=datetime.UTC).timestamp()


def test_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_demo(tmp_path / name, players=300, seed=seed)
    a, b, c = ((tmp_path / name / "reviews.csv").read_bytes() for name in "abc")
    assert a == b != c
    assert (tmp_path / "a" / "games.jsonl").read_bytes() == (tmp_path / "b" / "games.jsonl").read_bytes()


def test_a_date_and_a_datetime_without_zone_mean_utc(tmp_path: Path) -> None:
    for name, until in (("a", UNTIL), ("b", UNTIL.date()), ("c", UNTIL.replace(tzinfo=None))):
        write_demo(tmp_path / name, players=50, until=until)
    assert len({(tmp_path / name / "reviews.csv").read_bytes() for name in "abc"}) == 1


def test_blocks_of_players_are_numbered_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("srec.demo.generator.BLOCK", 40)
    summary = write_demo(tmp_path, players=100)
    lines = (tmp_path / "reviews.csv").read_text().splitlines()[1:]
    assert {int(line.split(",")[0]) for line in lines} == set(range(1, 101))
    assert summary.players == 100


def test_summary_counts_what_the_files_hold(
    demo: tuple[Path, DemoSummary], rows: list[tuple[int, int, int, int]], catalogue: tuple[Game, ...]
) -> None:
    out, summary = demo
    games = [json.loads(line) for line in (out / "games.jsonl").read_text().splitlines()]
    assert [Game(**game) for game in games] == list(catalogue)
    assert summary == DemoSummary(
        players=len({row[0] for row in rows}),
        games=len(games),
        reviews=len(rows),
        positive_reviews=sum(row[3] for row in rows),
    )


def test_reviews_are_in_order_of_time_once_a_game_and_after_its_release(
    rows: list[tuple[int, int, int, int]], catalogue: tuple[Game, ...]
) -> None:
    times = [row[2] for row in rows]
    assert times == sorted(times)
    assert UNTIL.timestamp() - 1000 * DAY <= times[0]
    assert UNTIL.timestamp() - DAY < times[-1] < UNTIL.timestamp()
    assert len({(player, appid) for player, appid, _, _ in rows}) == len(rows)
    assert len({(player, time) for player, _, time, _ in rows}) == len(rows)
    released = dict(zip((game.appid for game in catalogue), release_times(catalogue).tolist(), strict=True))
    assert all(time >= released[appid] for _, appid, time, _ in rows)


def test_about_one_review_in_seven_is_negative(rows: list[tuple[int, int, int, int]]) -> None:
    assert 0.12 < sum(not row[3] for row in rows) / len(rows) < 0.17


def test_histories_and_popularity_are_skewed(rows: list[tuple[int, int, int, int]]) -> None:
    lengths = sorted(Counter(row[0] for row in rows).values())
    assert 40_000 <= len(rows) <= 60_000
    assert 0.25 < sum(length <= 3 for length in lengths) / len(lengths) < 0.5
    assert 40 < lengths[-1] <= 60
    played = sorted(Counter(row[1] for row in rows).values(), reverse=True)
    assert sum(played[:27]) > 0.25 * len(rows)  # a tenth of the games
    assert played[0] > 20 * played[-10]


def test_a_few_players_review_the_charts_only(rows: list[tuple[int, int, int, int]]) -> None:
    popular = {appid for appid, _ in Counter(row[1] for row in rows).most_common(30)}
    histories: dict[int, list[bool]] = defaultdict(list)
    for player, appid, _, _ in rows:
        histories[player].append(appid in popular)
    long = [history for history in histories.values() if len(history) >= 6]
    assert 0.02 < sum(all(history) for history in long) / len(long) < 0.08


@pytest.mark.parametrize("days_back", [14, 28], ids=["test", "validation"])
def test_both_windows_hold_hundreds_of_examples(
    rows: list[tuple[int, int, int, int]], days_back: int
) -> None:
    end = rows[-1][2]
    earlier: Counter[int] = Counter()
    examples = 0
    for player, _, time, positive in rows:
        if positive:
            in_window = end - days_back * DAY < time <= end - (days_back - 14) * DAY
            examples += in_window and earlier[player] > 0
            earlier[player] += 1
    assert examples > 400


def test_the_last_game_tells_three_times_more_than_popularity(liked: list[list[int]]) -> None:
    """Recall@10 of each player's last liked game; their clicked games are left out of the answer."""
    popularity = Counter(appid for history in liked for appid in history[:-1])
    together: dict[int, Counter[int]] = defaultdict(Counter)
    for history in liked:
        for position, appid in enumerate(history[:-1]):
            together[appid].update(history[:position] + history[position + 1 : -1])

    def recall(ranked: list[list[int]]) -> float:
        hits = 0
        for history, order in zip(liked, ranked, strict=True):
            hits += history[-1] in [appid for appid in order if appid not in history[:-1]][:10]
        return hits / len(liked)

    popular = [appid for appid, _ in popularity.most_common()]
    by_popularity = recall([popular] * len(liked))
    by_last_game = recall([[a for a, _ in together[history[-2]].most_common()] for history in liked])
    assert by_popularity < 0.25
    assert by_last_game > 3 * by_popularity
    assert by_last_game > 0.55


def test_order_tells_what_tags_do_not(liked: list[list[int]], catalogue: tuple[Game, ...]) -> None:
    """Recall@10 as above: the games reviewed next after the last one against those with the likest tags."""
    after: dict[int, Counter[int]] = defaultdict(Counter)
    for history in liked:
        for game, following in pairwise(history[:-1]):
            after[game][following] += 1
    appids = [game.appid for game in catalogue]
    alike = {
        appid: [appids[row] for row in rank]
        for appid, rank in zip(appids, (-tag_similarity(catalogue)).argsort(axis=1), strict=True)
    }
    hits = {"order": 0, "tags": 0}
    for *seen, target in liked:
        by_order = [appid for appid, _ in after[seen[-1]].most_common() if appid not in seen]
        by_tags = [appid for appid in alike[seen[-1]] if appid not in seen]
        hits["order"] += target in by_order[:10]
        hits["tags"] += target in by_tags[:10]
    assert hits["order"] > 1.25 * hits["tags"]
    assert after[400].most_common(1)[0][0] == 620
    assert after[400][620] > 2 * after[620][400]


def test_a_failed_write_leaves_the_previous_files(tmp_path: Path) -> None:
    write_demo(tmp_path, players=50)
    before = (tmp_path / "reviews.csv").read_bytes()
    (tmp_path / "games.jsonl").unlink()
    (tmp_path / "games.jsonl").mkdir()  # nothing can replace a folder
    with pytest.raises(InputError, match=r"cannot write the demo data to .*: give another folder"):
        write_demo(tmp_path, players=60)
    assert (tmp_path / "reviews.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["games.jsonl", "reviews.csv"]


def test_an_unwritable_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write the demo data to .*file/demo"):
        write_demo(tmp_path / "file" / "demo", players=10)


@pytest.mark.parametrize(
    ("players", "days", "seed", "message"),
    [
        (0, 10, 0, "players is 0: give an integer of at least 1"),
        (10, -1, 0, "days is -1: give an integer of at least 1"),
        (10, 10, -5, "seed is -5: give an integer of at least 0"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, players: int, days: int, seed: int, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        write_demo(tmp_path / "out", players=players, days=days, seed=seed)
    assert not (tmp_path / "out").exists()


def test_a_time_before_every_release_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="until is 1990-01-01: no game of the catalogue was out"):
        write_demo(tmp_path / "out", players=10, until=datetime.date(1990, 1, 1))
    assert not (tmp_path / "out").exists()


def test_a_single_day_holds_the_longest_history(tmp_path: Path) -> None:
    write_demo(tmp_path, players=500, days=1)
    lines = (tmp_path / "reviews.csv").read_text().splitlines()[1:]
    times = [int(line.split(",")[2]) for line in lines]
    assert UNTIL.timestamp() - DAY <= times[0] <= times[-1] < UNTIL.timestamp()
    assert len({(line.split(",")[0], line.split(",")[2]) for line in lines}) == len(lines)
