"""From how likely each pixel is damaged to a mask: marks that are sure somewhere, whole, and how many there are.

Works on strips of rows, so that a scan of any size takes the memory of one strip of labels.
"""

from __future__ import annotations

import cv2
import numpy as np

_STRIP = 1024  # rows


def select_marks(
    probability: np.ndarray, sure: int, part: int, smallest: int = 1, *, strip: int = _STRIP
) -> tuple[np.ndarray, int]:
    """Marks: connected pixels (8 neighbours) of at least `part`, one of them at least `sure`.

    So a scratch is followed along its faint pieces, and faint pixels that belong to nothing sure are left alone.

    Args:
        probability: uint8 [H, W], 0 to 255.
        sure, part: thresholds, 1 to 255, `part` not above `sure`.
        smallest: pixels that a mark has at least.
        strip: rows that are looked at at a time; the result does not depend on it.

    Returns:
        The mask, bool [H, W], and the number of marks in it.

    Raises:
        ValueError: thresholds out of order.
    """
    if not 1 <= part <= sure <= 255:
        raise ValueError(f"thresholds are {part} and {sure}: choose 1 to 255, the lower one first")
    # Labels count up from strip to strip; label 0 is the ground. `links` are labels of one mark in two strips.
    strongest, pixels, links = [np.zeros(1, np.uint8)], [np.zeros(1, np.int64)], []
    offset, above = 0, np.zeros(probability.shape[1], np.int64)
    tops = range(0, probability.shape[0], strip)
    for top in tops:
        rows = probability[top : top + strip]
        number, labels = cv2.connectedComponents((rows >= part).astype(np.uint8), connectivity=8)
        peak = np.zeros(number, np.uint8)
        np.maximum.at(peak, labels.ravel(), rows.ravel())
        strongest.append(peak[1:])
        pixels.append(np.bincount(labels.ravel(), minlength=number)[1:])
        links += _touching(above, np.where(labels[0] > 0, labels[0] + offset, 0))
        above = np.where(labels[-1] > 0, labels[-1] + offset, 0)
        offset += number - 1
    group = _groups(offset + 1, links)
    peaks, sizes = np.zeros(offset + 1, np.uint8), np.zeros(offset + 1, np.int64)
    np.maximum.at(peaks, group, np.concatenate(strongest))
    np.add.at(sizes, group, np.concatenate(pixels))
    kept = (peaks >= sure) & (sizes >= smallest)
    kept[0] = False
    mask, offset = np.zeros(probability.shape, bool), 0
    for top in tops:
        number, labels = cv2.connectedComponents(
            (probability[top : top + strip] >= part).astype(np.uint8), connectivity=8
        )
        chosen = np.concatenate([[False], kept[group[offset + 1 : offset + number]]])
        mask[top : top + strip] = chosen[labels]
        offset += number - 1
    return mask, int(kept.sum())


def _touching(above: np.ndarray, below: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of labels that touch, straight or across a corner, from two neighbouring rows [W] of labels."""
    pairs = set()
    for shift in (-1, 0, 1):
        upper = above[max(0, -shift) : len(above) - max(0, shift)]
        lower = below[max(0, shift) : len(below) - max(0, -shift)]
        both = (upper > 0) & (lower > 0)
        pairs |= set(zip(upper[both].tolist(), lower[both].tolist(), strict=True))
    return sorted(pairs)


def _groups(count: int, links: list[tuple[int, int]]) -> np.ndarray:
    """For each of `count` labels the smallest label that it is linked to, by any way: int64 [count]."""
    parent = np.arange(count)

    def root(label: int) -> int:
        while parent[label] != label:
            parent[label] = parent[parent[label]]
            label = int(parent[label])
        return label

    for one, other in links:
        first, second = sorted((root(one), root(other)))
        parent[second] = first
    for label in np.flatnonzero(parent != np.arange(count)):
        parent[label] = root(int(label))
    return parent
