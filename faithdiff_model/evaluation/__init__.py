"""Evaluation: how near results are to their references, by several methods side by side, in tables.

`fidelity.py`, `perceptual.py` and `fsim.py` measure an image against its reference without any download, `learned.py` through
pyiqa, `ocr.py` reads the text in it; `data.py` pairs references with LQ images, `methods.py` makes results of them, `run.py`
goes through all of it, `summary.py` gives the means and `report.py` writes the tables. Images that are measured are uint8
[H, W, 3], RGB, as files hold them.
"""
