"""FaithDiff (CVPR 2025): latent diffusion whose UNet is fine-tuned to restore photographs faithfully.

Needs neither Ray nor Prefect. The one door for callers is `faithdiff_model.restorer.Restorer`.
"""
