"""The shipped data set, as it stands in its files."""

from collections import Counter
from collections.abc import Iterator

import pytest

from app.domain.catalogue.files import Catalogue, CatalogueExercise, load_catalogue
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


def test_there_are_enough(entries: dict[str, CatalogueExercise]) -> None:
    assert len(entries) >= 70


def test_no_key_is_in_two_files(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    assert sum(len(exercises) for exercises in catalogue.exercises.values()) == len(entries)


def test_the_key_of_an_entry_is_its_slug(entries: dict[str, CatalogueExercise]) -> None:
    assert {key: slugify(entry.name) for key, entry in entries.items()} == {key: key for key in entries}


def test_names_and_aliases_are_each_there_once(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(fold(name) for entry in entries.values() for name in (entry.name, *entry.aliases))


def test_no_two_names_differ_only_in_the_order_of_words(entries: dict[str, CatalogueExercise]) -> None:
    assert not repeated(" ".join(sorted(fold(entry.name).split())) for entry in entries.values())


def test_texts_are_neat(entries: dict[str, CatalogueExercise]) -> None:
    for key, entry in entries.items():
        for text in (entry.name, *entry.aliases, *entry.instructions.splitlines()):
            assert text == " ".join(text.split()), key
        assert 3 <= len(entry.name) <= 100, key


def test_references_are_valid(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    lists = catalogue.lists
    for key, entry in entries.items():
        assert {*entry.primary_muscles, *entry.secondary_muscles} <= {*lists.muscle_groups}, key
        assert {*entry.equipment} <= {*lists.equipment}, key
        assert {*entry.tags} <= {*lists.exercise_tags}, key


def test_no_list_is_empty_or_repeats(entries: dict[str, CatalogueExercise]) -> None:
    for key, entry in entries.items():
        for values in (entry.primary_muscles, entry.equipment, entry.tags, entry.aliases):
            assert values, key
            assert len(values) == len(set(values)), key
        assert len(entry.secondary_muscles) == len(set(entry.secondary_muscles)), key


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


def test_everything_is_covered(catalogue: Catalogue, entries: dict[str, CatalogueExercise]) -> None:
    values = entries.values()
    assert {category for category, exercises in catalogue.exercises.items() if len(exercises) >= 5} == {*Category}
    assert {muscle for entry in values for muscle in entry.primary_muscles} == {*catalogue.lists.muscle_groups}
    assert {tool for entry in values for tool in entry.equipment} == {*catalogue.lists.equipment}
    assert {tag for entry in values for tag in entry.tags} == {*catalogue.lists.exercise_tags}
    assert {entry.default_mode for entry in values} == {*ExerciseMode}
    assert {entry.force for entry in values} == {*Force}
    assert {entry.mechanic for entry in values} == {*Mechanic}
    levels = Counter(entry.difficulty_level for entry in values)
    assert all(levels[level] >= 10 for level in DifficultyLevel)
