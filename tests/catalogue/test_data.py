"""The shipped data set, as it stands in its files."""

import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from app.domain.catalogue.export import write_catalogue
from app.domain.catalogue.files import SHIPPED, Catalogue, CatalogueExercise, load_catalogue
from app.domain.catalogue.models import Category, DifficultyLevel, ExerciseMode, Force, Mechanic
from app.domain.catalogue.names import fold, slugify


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


@pytest.fixture(scope="module")
def entries(catalogue: Catalogue) -> dict[str, CatalogueExercise]:
    return {key: entry for exercises in catalogue.exercises.values() for key, entry in exercises.items()}


def repeated(values: Iterator[str]) -> list[str]:
    return [value for value, count in Counter(values).items() if count > 1]


def test_the_reference_lists(catalogue: Catalogue) -> None:
    lists = catalogue.lists
    assert (len(lists.muscle_groups), len(lists.equipment), len(lists.exercise_tags)) == (17, 12, 25)
    for names in (lists.muscle_groups, lists.equipment, lists.exercise_tags):
        assert not repeated(iter(names))
        assert all(name == name.lower().strip() for name in names)


def test_there_are_enough(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    assert len(entries) >= 1000
    assert sum(len(entry.aliases) for entry in entries.values()) >= 300
    assert {category for category, exercises in catalogue.exercises.items() if len(exercises) >= 20} == {*Category}


def test_keys_look_like_slugs(entries: dict[str, CatalogueExercise]) -> None:
    assert [key for key in entries if slugify(key) != key] == []


def test_no_two_slugs_are_the_same(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(slugify(entry.name) for entry in entries.values())


def test_the_files_are_as_an_export_writes_them(catalogue: Catalogue, tmp_path: Path) -> None:
    write_catalogue(tmp_path, catalogue)
    written = {path.relative_to(tmp_path): path.read_text() for path in tmp_path.rglob("*.toml")}
    assert written == {path.relative_to(SHIPPED): path.read_text() for path in SHIPPED.rglob("*.toml")}


def test_names_and_aliases_are_each_there_once(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(fold(name) for entry in entries.values() for name in (entry.name, *entry.aliases))


def test_no_two_names_differ_only_in_the_order_of_words(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(" ".join(sorted(fold(entry.name).split())) for entry in entries.values())


def test_texts_are_neat(entries: dict[str, CatalogueExercise]) -> None:
    for key, entry in entries.items():
        for text in (entry.name, *entry.aliases, *entry.instructions.splitlines()):
            assert text == " ".join(text.split()), key
        assert 3 <= len(entry.name) <= 60, key


def test_references_are_valid(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    lists = catalogue.lists
    for key, entry in entries.items():
        assert {*entry.primary_muscles, *entry.secondary_muscles} <= {*lists.muscle_groups}, key
        assert {*entry.equipment} <= {*lists.equipment}, key
        assert {*entry.tags} <= {*lists.exercise_tags}, key


def test_no_field_is_empty(entries: dict[str, CatalogueExercise]) -> None:
    for key, entry in entries.items():
        assert entry.force, key
        assert entry.mechanic, key
        for values in (entry.primary_muscles, entry.equipment, entry.tags, entry.aliases):
            assert values, key
            assert len(values) == len(set(values)), key
        assert len(entry.secondary_muscles) == len(set(entry.secondary_muscles)), key
        # Only what moves one joint, or stretches one muscle, may need no other muscle.
        assert entry.secondary_muscles or entry.mechanic is Mechanic.ISOLATION or "mobility" in entry.tags, key


def test_no_muscle_is_primary_and_secondary(entries: dict[str, CatalogueExercise]) -> None:
    assert [key for key, entry in entries.items() if {*entry.primary_muscles} & {*entry.secondary_muscles}] == []


def test_instructions_are_two_to_six_sentences(entries: dict[str, CatalogueExercise]) -> None:
    for key, entry in entries.items():
        assert 2 <= len(entry.instructions.splitlines()) <= 6, key
        for sentence in entry.instructions.splitlines():
            assert sentence[0].isupper(), (key, sentence)
            assert sentence.endswith("."), (key, sentence)
            assert ". " not in sentence, (key, sentence)
            assert 5 <= len(sentence.split()) <= 40, (key, sentence)


def test_no_two_instructions_share_a_sentence(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(sentence for entry in entries.values() for sentence in entry.instructions.splitlines())


def test_no_two_instructions_say_nearly_the_same(entries: dict[str, CatalogueExercise]) -> None:
    sequences = {key: five_words(entry.instructions) for key, entry in entries.items()}
    users: dict[tuple[str, ...], list[str]] = {}
    for key, found in sequences.items():
        for sequence in found:
            users.setdefault(sequence, []).append(key)
    shared = Counter(pair for keys in users.values() for pair in combinations(sorted(keys), 2))
    assert {
        pair: count for pair, count in shared.items() if count > 0.6 * min(len(sequences[key]) for key in pair)
    } == {}


def five_words(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[start : start + 5]) for start in range(len(words) - 4)}


# What makes a variant of a movement: what one trains with, how one stands, at which angle, on how many sides.
EQUIPMENT_WORDS = (
    "assisted ball band banded bands bar barbell bb belt block body bodyweight bosu box bench cable chain chains "
    "db dumbbell ez foam gym handle hammer kb kettlebell kettlebells landmine machine medicine mini parallette "
    "parallettes plate pole resisted ring rings roll roller rope safety sandbag slider sliders smith stability "
    "strap suspended suspension swiss towel trap trx v weighted wheel exercise e z curl"
)
STANCE_WORDS = (
    "alternate alternating arm arms b both close cross crossed double elevated facing feet foot front grip half "
    "hand hands hanging heel heels hip knee kneeling kneel leg legs lying narrow neutral offset one open opposite "
    "overhand parallel prone reverse seated side single split staggered stance standing straight sumo supinated "
    "supine supported tall two underhand unilateral unsupported wide"
)
ANGLE_WORDS = "45 90 degree decline declined deficit flat floor high incline inclined low mid partial elevated upright"
MANNER_WORDS = "and dead explosive from in isometric of on pause paused slow tempo the to with hold"
VARIANT_WORDS = frozenset(f"{EQUIPMENT_WORDS} {STANCE_WORDS} {ANGLE_WORDS} {MANNER_WORDS}".split())


def base_movement(name: str) -> str:
    words = re.findall(r"[a-z0-9]+", fold(name))
    # "Front Squat" is one of the squats; "Side Plank" is a plank.
    return " ".join(sorted({word.rstrip("s") for word in words if word not in VARIANT_WORDS}))


def test_most_are_movements_of_their_own(entries: dict[str, CatalogueExercise]) -> None:
    assert len({base_movement(entry.name) for entry in entries.values()} - {""}) >= 350


def test_what_other_lists_lack_is_there(entries: dict[str, CatalogueExercise]) -> None:
    names = {fold(name) for entry in entries.values() for name in (entry.name, *entry.aliases)}
    for name in (
        "burpee",
        "bulgarian split squat",
        "outdoor running",
        "rowing machine",
        "farmers walk",
        "pull up",
        "chin up",
        "muscle up",
        "copenhagen plank",
        "nordic hamstring curl",
        "turkish get up",
        "face pull",
        "bench press (barbell)",
        "lat pulldown (cable)",
        "ohp",
        "rdl",
        "tire flip",
    ):
        assert name in names, name


def test_everything_is_covered(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    values = entries.values()
    muscles = Counter(muscle for entry in values for muscle in entry.primary_muscles)
    assert {muscle for muscle, count in muscles.items() if count >= 12} == {*catalogue.lists.muscle_groups}
    equipment = Counter(tool for entry in values for tool in entry.equipment)
    assert {tool for tool, count in equipment.items() if count >= 12} == {*catalogue.lists.equipment}
    tags = Counter(tag for entry in values for tag in entry.tags)
    assert {tag for tag, count in tags.items() if count >= 10} == {*catalogue.lists.exercise_tags}
    levels = Counter(entry.difficulty_level for entry in values)
    assert all(levels[level] >= 100 for level in DifficultyLevel)
    assert {entry.default_mode for entry in values} == {*ExerciseMode}
    assert {entry.force for entry in values} == {*Force}
    assert {entry.mechanic for entry in values} == {*Mechanic}


if __name__ == "__main__":
    write_catalogue(SHIPPED, load_catalogue())
