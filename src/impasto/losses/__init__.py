"""Loss terms as pure functions of features or pixels."""
