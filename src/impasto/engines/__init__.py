"""What families of methods share: optimization, feed-forward networks and diffusion."""
