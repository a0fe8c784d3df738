"""Methods that stylize in one pass of a network: plan, tile, stylize."""
