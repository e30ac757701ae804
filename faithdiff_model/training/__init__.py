"""Training: photographs are degraded on the fly, and one loop trains any stage of any network from its configuration."""
