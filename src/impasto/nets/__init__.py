"""Networks: the VGG encoder, the compact encoder, decoders and transformation networks."""
