"""Parts of diffusion models; the library diffusers is imported when one is used."""
