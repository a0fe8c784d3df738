"""Decoders: sizes, and what their convolutions are."""

import pytest
import torch
import torch.nn.functional as F

from impasto.nets.decoder import Decoder


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_the_picture_is_as_large_as_the_encoders(level):
    decoder = Decoder(7, (2, 3, 4, 5, 6)[:level])
    assert decoder(torch.rand(2, 7, 3, 5)).shape == (2, 3, 3 << (level - 1), 5 << (level - 1))


def test_the_encoders_convolutions_are_mirrored():
    convs = [tuple(w.shape[:2]) for n, w in Decoder(9, (2, 3, 4, 5)).named_parameters()
             if n.endswith("weight")]  # fmt: skip
    # conv4_1 to conv2_1 of VGG-19, backwards: 1 at an eighth, 4 at a quarter, 2 at half of the
    # resolution; at the full one there are two and the last.
    first, quarter, half = [(4, 9)], [(4, 4)] * 3 + [(3, 4)], [(3, 3), (2, 3)]
    assert convs == [*first, *quarter, *half, (2, 2), (2, 2), (3, 2)]


def test_a_shallow_one_is_two_convolutions():
    decoder = Decoder(4, (5,))
    x = torch.rand(1, 4, 6, 6)
    (first,) = decoder.stages[0]
    wanted = decoder.last(F.relu(first(x))) + 0.5
    torch.testing.assert_close(decoder(x), wanted)
