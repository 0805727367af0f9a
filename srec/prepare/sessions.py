"""Session files -> DATA: the papers' splits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from srec.errors import InputError
from srec.graph.neighbours import build_graph
from srec.ids import Vocabulary
from srec.io import new_folder
from srec.manifest import DATA
from srec.prepare.engine import Engine
from srec.prepare.overview import overview
from srec.prepare.report import Reading, Report
from srec.prepare.sequences import Clicks, Examples, expand, vocabulary_of
from srec.prepare.session_files import read_sessions, validation_sessions
from srec.prepare.settings import SessionSettings
from srec.prepare.write import cut_inputs, write_examples, write_items, write_manifest, write_sequences


def prepare_sessions(
    train: Path,
    test: Path,
    out: Path,
    settings: SessionSettings,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Write the DATA of a training and a test file; ``out`` is replaced when the new one is complete.

    A random share of the training sessions is validation, cut before prefix expansion; ``train`` and its
    graph are the others, ``train_full`` and its graph all of them. ``InputError`` says what cannot be used.
    """
    DATA.check_target(out)
    with Engine() as engine:
        progress(f"reading {train} and {test}")
        (full, train_reading), (tested, test_reading) = (
            read_sessions(engine, train),
            read_sessions(engine, test),
        )
    vocabulary = vocabulary_of(full)
    held_out = validation_sessions(len(full), settings.validation_share, settings.seed)
    part, validated = full.of(~held_out), full.of(held_out)
    validation, dropped = _examples(validated, vocabulary_of(part), vocabulary, "validation")
    test_examples, more = _examples(tested, vocabulary, vocabulary, "test")
    part, full = part.as_items(vocabulary), full.as_items(vocabulary)
    report = _report(
        {"train": train_reading, "test": test_reading},
        (vocabulary, part, full, validation, test_examples),
        dropped | more,
        settings,
    )
    with new_folder(out) as folder:
        progress("building the global graphs")
        for name, clicks in (("", part), ("_full", full)):
            write_sequences(folder / f"train{name}.parquet", clicks)
            graph = build_graph(
                clicks.ids.astype(np.int32),
                clicks.offsets,
                len(vocabulary),
                settings.window,
                settings.neighbours,
            )
            graph.save(folder / f"graph{name}.safetensors")
        progress("writing examples")
        write_examples(folder / "validation.parquet", validation)
        write_examples(folder / "test.parquet", test_examples)
        write_items(folder / "items.parquet", item_columns(vocabulary, part))
        write_manifest(folder, report, settings.model_dump(mode="json"), None)
    return report


def item_columns(vocabulary: Vocabulary, train: Clicks) -> pa.Table:
    """The columns that every ``items.parquet`` has: ``item``, ``appid``, ``train_clicks``."""
    items = vocabulary.items(vocabulary.appids.tolist())
    clicks = np.bincount(train.ids, minlength=len(items) + 1)[items]
    return pa.table(
        {
            "item": pa.array(items, pa.int32()),
            "appid": pa.array(vocabulary.appids, pa.int64()),
            "train_clicks": pa.array(clicks, pa.int64()),
        }
    )


def _examples(
    sessions: Clicks, known: Vocabulary, vocabulary: Vocabulary, part: str
) -> tuple[Examples, dict[str, int]]:
    """Examples of the clicks on ``known`` appids, and what that left out."""
    kept = sessions.where(np.isin(sessions.ids, known.appids))
    examples = expand(kept.as_items(vocabulary))
    if not len(examples):
        raise InputError(
            f"{part} holds no example: no session of it has two clicks on items that training knows. "
            f"Give more sessions{' or another --seed' if part == 'validation' else ''}"
        )
    long_enough = int((np.diff(kept.offsets) > 1).sum())
    return examples, {
        f"{part}_clicks_on_items_not_in_training": len(sessions.ids) - len(kept.ids),
        f"{part}_sessions_without_an_example": len(sessions) - long_enough,
    }


def _report(
    readings: dict[str, Reading],
    parts: tuple[Vocabulary, Clicks, Clicks, Examples, Examples],
    dropped: dict[str, int],
    settings: SessionSettings,
) -> Report:
    vocabulary, train, full, validation, test = parts
    counts = {"items": len(vocabulary)}
    for name, clicks in (("train", train), ("train_full", full)):
        counts |= train_counts(name, clicks)
    counts |= {"validation_examples": len(validation), "test_examples": len(test)}
    return Report(
        kind="sessions",
        readings=readings,
        split={"validation_share": str(settings.validation_share), "seed": settings.seed},
        dropped=dropped,
        counts=counts,
        overview=overview(train),
        notes=cut_inputs(validation, test),
    )


def train_counts(name: str, clicks: Clicks) -> dict[str, int]:
    """Sequences, clicks and examples (after prefix expansion) of a training part."""
    return {
        f"{name}_sequences": len(clicks),
        f"{name}_clicks": len(clicks.ids),
        f"{name}_examples": len(clicks.ids) - len(clicks),
    }
