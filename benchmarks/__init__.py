"""`make benchmark`: this library against what people write without it, in one interleaved run."""
