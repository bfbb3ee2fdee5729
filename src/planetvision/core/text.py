"""Text of shares, intervals and accuracies, for all output."""

from __future__ import annotations

from collections.abc import Sequence


def format_share(value: float) -> str:
    """Returns a share in [0, 1] in percent; only exact values read as 0 or 100 %.

    Example:
        >>> format_share(0.99996), format_share(1.0), format_share(0.875)
        ('>99.9%', '100%', '87.5%')
    """
    if value in (0.0, 1.0):
        return f"{value:.0%}"
    if value >= 0.9995:
        return ">99.9%"
    return "<0.1%" if value < 0.0005 else f"{value:.1%}"


def format_interval(interval: Sequence[float]) -> str:
    """Returns an interval of shares, such as `96.5% to 100%`."""
    low, high = map(format_share, interval)
    return f"{low} to {high}"


def format_accuracy(accuracy: float, n: int, interval: Sequence[float]) -> str:
    """Returns an accuracy with its counts and its interval.

    Example:
        >>> format_accuracy(0.75, 4, (0.301, 0.954))
        '75.0% (3 of 4; 95 % interval 30.1% to 95.4%)'
    """
    counts = f"{round(accuracy * n)} of {n}"
    return f"{format_share(accuracy)} ({counts}; 95 % interval {format_interval(interval)})"
