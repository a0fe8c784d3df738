"""Train style LoRAs of SDXL and SD 1.5."""
