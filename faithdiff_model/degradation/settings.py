"""Parameters of the two-pass degradation, and its three levels."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faithdiff_model.degradation.ranges import require, require_range, require_weights

Range = tuple[float, float]
# The order of `PassSettings.kernel_weights`.
KERNELS = (
    "isotropic",
    "anisotropic",
    "generalised isotropic",
    "generalised anisotropic",
    "plateau isotropic",
    "plateau anisotropic",
)


@dataclass(frozen=True, kw_only=True)
class PassSettings:
    """One pass of blur, resize, noise and JPEG. Every range is (from, to), drawn uniformly.

    Attributes:
        blur_probability: of any blur at all.
        kernel_sides: smallest and largest side of a blur kernel in pixels; both odd, 7 to 21. Odd sides between are drawn.
        kernel_weights: probabilities of the shapes in `KERNELS`.
        sigma: width of a kernel in pixels, 0.1 to 10; drawn for each axis when anisotropic.
        beta_generalised: exponent of generalised Gaussians, 0.1 to 8: below 1 has a sharp peak, above a flat top.
        beta_plateau: exponent of plateau kernels, 0.5 to 8: how steeply they fall.
        sinc_probability: of a circular low-pass instead of the shapes above, which rings as over-sharpening does.
        resize_weights: probabilities of (enlarging, reducing, keeping the size).
        resize: factors: reducing draws from its low end to 1, enlarging from 1 to its high end; within 0.05 to 4.
        gaussian_probability: of Gaussian noise; otherwise it is Poisson noise.
        gaussian_sigma: of Gaussian noise, in 1/255 levels, 0 to 100.
        poisson_scale: strength of Poisson noise, 0 to 10; 1 is the noise of 255 photons at white.
        grey_probability: of noise that is equal in the three channels.
        jpeg_quality: 1 to 100.
    """

    blur_probability: float = 1.0
    kernel_sides: tuple[int, int] = (7, 21)
    kernel_weights: tuple[float, ...] = (0.45, 0.25, 0.12, 0.03, 0.12, 0.03)
    sigma: Range
    beta_generalised: Range = (0.5, 4.0)
    beta_plateau: Range = (1.0, 2.0)
    sinc_probability: float = 0.1
    resize_weights: tuple[float, ...]
    resize: Range
    gaussian_probability: float = 0.5
    gaussian_sigma: Range
    poisson_scale: Range
    grey_probability: float = 0.4
    jpeg_quality: Range

    def __post_init__(self) -> None:
        for name in ("blur_probability", "sinc_probability", "gaussian_probability", "grey_probability"):
            require(name, getattr(self, name), 0, 1)
        require_range("kernel_sides", self.kernel_sides, 7, 21)
        if any(side % 2 == 0 for side in self.kernel_sides):
            raise ValueError(f"kernel_sides is {self.kernel_sides}: choose odd sides")
        require_weights("kernel_weights", self.kernel_weights, len(KERNELS))
        require_weights("resize_weights", self.resize_weights, 3)
        require_range("sigma", self.sigma, 0.1, 10)
        require_range("beta_generalised", self.beta_generalised, 0.1, 8)
        require_range("beta_plateau", self.beta_plateau, 0.5, 8)
        require_range("resize", self.resize, 0.05, 4)
        if not self.resize[0] <= 1 <= self.resize[1]:
            raise ValueError(f"resize is {self.resize}: choose a range that holds 1")
        require_range("gaussian_sigma", self.gaussian_sigma, 0, 100)
        require_range("poisson_scale", self.poisson_scale, 0, 10)
        require_range("jpeg_quality", self.jpeg_quality, 1, 100)


@dataclass(frozen=True, kw_only=True)
class TwoPassSettings:
    """Two passes, the second at the size of the result.

    Attributes:
        first, second: the passes. The second one's resize factors are relative to the result's size.
        scale: by how much the result is smaller than the image, 1 to 8.
        final_sinc_probability: of a circular low-pass after the last resize.
    """

    first: PassSettings
    second: PassSettings
    scale: int = 4
    final_sinc_probability: float = 0.8

    def __post_init__(self) -> None:
        require("scale", self.scale, 1, 8)
        require("final_sinc_probability", self.final_sinc_probability, 0, 1)


# The settings of FaithDiff's training set (golden README, fact 11). What that leaves open is as Real-ESRGAN has it: exponents,
# the second pass's sinc probability and shares of Gaussian and of grey noise, and sinc cut-offs (`blur.sample_sinc`).
_II = TwoPassSettings(
    first=PassSettings(
        sigma=(0.2, 3.0),
        resize_weights=(0.2, 0.7, 0.1),
        resize=(0.3, 1.5),
        gaussian_sigma=(1, 15),
        poisson_scale=(0.05, 2.0),
        jpeg_quality=(60, 95),
    ),
    second=PassSettings(
        blur_probability=0.5,
        sigma=(0.2, 1.5),
        resize_weights=(0.3, 0.4, 0.3),
        resize=(0.6, 1.2),
        gaussian_sigma=(1, 12),
        poisson_scale=(0.05, 1.0),
        jpeg_quality=(60, 100),
    ),
)
# The paper names three levels without publishing their numbers: I and III are our choice. They differ from II in ranges alone,
# never in probabilities. I has about half of its blur and noise. III has the noise, JPEG and smallest sizes that Real-ESRGAN
# trains with, and a third more blur than either.
_I = replace(
    _II,
    first=replace(
        _II.first,
        sigma=(0.2, 1.5),
        resize=(0.6, 1.25),
        gaussian_sigma=(1, 7),
        poisson_scale=(0.05, 1.0),
        jpeg_quality=(80, 98),
    ),
    second=replace(
        _II.second,
        sigma=(0.2, 0.8),
        resize=(0.8, 1.1),
        gaussian_sigma=(1, 5),
        poisson_scale=(0.05, 0.5),
        jpeg_quality=(80, 100),
    ),
)
_III = replace(
    _II,
    first=replace(
        _II.first,
        sigma=(0.2, 4.0),
        resize=(0.15, 1.7),
        gaussian_sigma=(1, 30),
        poisson_scale=(0.05, 3.0),
        jpeg_quality=(30, 90),
    ),
    second=replace(
        _II.second,
        sigma=(0.2, 2.0),
        resize=(0.3, 1.3),
        gaussian_sigma=(1, 25),
        poisson_scale=(0.05, 2.5),
        jpeg_quality=(30, 95),
    ),
)
LEVELS: dict[str, TwoPassSettings] = {"I": _I, "II": _II, "III": _III}
