import torch

from consilience.encoders.functionals import FunctionalsEncoder


def test_an_untrained_encoder_is_linear_in_statistics_of_any_number() -> None:
    encoder = FunctionalsEncoder(4, width=6, dropout=0.5)
    inputs = torch.randn(5, 36, generator=torch.Generator().manual_seed(0))
    encoded = encoder(inputs)
    assert encoded.shape == (5, 6)
    torch.testing.assert_close(encoded, encoder.linear(inputs))


def test_the_hidden_layer_contributes_once_its_weights_are_not_0() -> None:
    encoder = FunctionalsEncoder(4, width=6, dropout=0.0)
    inputs = torch.randn(5, 36, generator=torch.Generator().manual_seed(0))
    encoder(inputs)
    torch.nn.init.eye_(encoder.output.weight)
    hidden = torch.nn.functional.gelu(encoder.hidden(inputs))
    torch.testing.assert_close(encoder(inputs), encoder.linear(inputs) + hidden)
