"""Damage: what lies on a scan or broke it, found by a small network, so that a restoration fills in that and nothing else.

`detect.py` is the door: a photograph in, its mask and figures out. `fill.py` fills in the marks that are narrow. `network.py`
is the network, `infrared.py` what a scanner's fourth channel adds. `scans.py` and `scenery.py` make what it is trained on,
`train.py` trains it, `measure.py` says how well it finds and how often it errs.
"""
