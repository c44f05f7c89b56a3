"""Running plans, workouts and runs."""
