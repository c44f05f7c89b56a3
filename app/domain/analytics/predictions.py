"""Times that a runner may expect."""

import math
from typing import Final

__all__ = ("MARATHON_KM", "PREDICTED_KM", "riegel")

HALF_MARATHON_KM: Final = 21.0975
MARATHON_KM: Final = 42.195

PREDICTED_KM: Final = (5, 10, HALF_MARATHON_KM, MARATHON_KM)
"""The distances that times are predicted for."""

_FATIGUE: Final = 1.06


def riegel(seconds: float, distance_km: float, target_km: float) -> int:
    """The time over another distance, in whole seconds: T2 = T1 · (D2 / D1)^1.06.

    Source: Peter S. Riegel, "Athletic Records and Human Endurance", American Scientist 69 (1981), pages 285 to 290. It
    holds for efforts of some three and a half minutes to four hours.

    Of several runs the best is the one with the least T / D^1.06: it predicts the best time for every distance.
    """
    return round(seconds * math.pow(target_km / distance_km, _FATIGUE))
