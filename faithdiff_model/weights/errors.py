"""What is wrong with weights, for the person who gave them."""

from __future__ import annotations

__all__ = ["WeightsError"]


class WeightsError(ValueError):
    """Weights are missing, incomplete or unsafe; the message names them and says what to do."""
