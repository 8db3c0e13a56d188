"""Networks in torch, one file a paper."""
