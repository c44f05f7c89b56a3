"""What other lists call the muscles and the equipment of ours. Words are folded as names are."""

from collections.abc import Mapping
from typing import Final

from app.domain.catalogue.models import Category, DifficultyLevel, Force, Mechanic

__all__ = ("CATEGORIES", "EQUIPMENT", "FORCES", "LEVELS", "MECHANICS", "MUSCLES")

LEVELS: Final[Mapping[str, DifficultyLevel]] = {
    **{level.value: level for level in DifficultyLevel},
    "novice": DifficultyLevel.BEGINNER,
    "advanced": DifficultyLevel.EXPERT,
}

FORCES: Final[Mapping[str, Force]] = {**{force.value: force for force in Force}, "isometric": Force.STATIC}

MECHANICS: Final[Mapping[str, Mechanic]] = {mechanic.value: mechanic for mechanic in Mechanic}

CATEGORIES: Final[Mapping[str, Category]] = {
    **{category.value: category for category in Category},
    "flexibility": Category.STRETCHING,
    "mobility": Category.STRETCHING,
    "plyometric": Category.PLYOMETRICS,
    "weightlifting": Category.OLYMPIC_WEIGHTLIFTING,
}

MUSCLES: Final[Mapping[str, str]] = {
    "abs": "abdominals",
    "rectus abdominis": "abdominals",
    "transversus abdominis": "abdominals",
    "obliques": "abdominals",
    "obliquus externus abdominis": "abdominals",
    "obliquus internus abdominis": "abdominals",
    "biceps femoris": "hamstrings",
    "semitendinosus": "hamstrings",
    "semimembranosus": "hamstrings",
    "adductor magnus": "adductors",
    "adductor longus": "adductors",
    "adductor brevis": "adductors",
    "gracilis": "adductors",
    "quads": "quadriceps",
    "quadriceps femoris": "quadriceps",
    "rectus femoris": "quadriceps",
    "vastus lateralis": "quadriceps",
    "vastus medialis": "quadriceps",
    "biceps brachii": "biceps",
    "brachialis": "biceps",
    "delts": "shoulders",
    "deltoid": "shoulders",
    "deltoids": "shoulders",
    "anterior deltoid": "shoulders",
    "lateral deltoid": "shoulders",
    "posterior deltoid": "shoulders",
    "pecs": "chest",
    "pectoralis major": "chest",
    "pectoralis minor": "chest",
    "upper back": "middle back",
    "rhomboids": "middle back",
    "rhomboideus": "middle back",
    "gastrocnemius": "calves",
    "soleus": "calves",
    "gluteus maximus": "glutes",
    "erector spinae": "lower back",
    "spinal erectors": "lower back",
    "latissimus dorsi": "lats",
    "triceps brachii": "triceps",
    "trapezius": "traps",
    "brachioradialis": "forearms",
    "sternocleidomastoid": "neck",
    "gluteus medius": "abductors",
    "gluteus minimus": "abductors",
    "tensor fasciae latae": "abductors",
}

EQUIPMENT: Final[Mapping[str, str | None]] = {
    "bodyweight": "body only",
    "none (bodyweight exercise)": "body only",
    "machines": "machine",
    "pull up bar": "other",
    "foam roller": "foam roll",
    "kettlebell": "kettlebells",
    "dumbbells": "dumbbell",
    "cable machine": "cable",
    "barbells": "barbell",
    "band": "bands",
    "resistance band": "bands",
    "resistance bands": "bands",
    "medicine balls": "medicine ball",
    "swiss ball": "exercise ball",
    "stability ball": "exercise ball",
    "gym ball": "exercise ball",
    "sz bar": "e-z curl bar",
    "ez bar": "e-z curl bar",
    "ez curl bar": "e-z curl bar",
    "bench": None,
    "incline bench": None,
    "gym mat": None,
}
"""What one sits or lies on is no equipment in our list, and stands for nothing."""
