"""Tables of generative transport: 2-D pairs beside torchcfm, few-step methods, conditional data."""
