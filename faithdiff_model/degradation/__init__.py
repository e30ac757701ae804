"""Degradation: what turns a good photograph into the scan that a restoration starts from, for training and for benchmarks.

`two_pass.py` is the degradation of the general image restoration field (blur, resize, noise and JPEG, twice), at three levels;
`archive/` is what old prints, films, presses and scanners do; `recipes.py` names them all. Images are float32 [H, W, 3], RGB,
0 to 1; no function alters its input, and whatever is random comes from a generator that the caller passes in.
"""
