"""The networks in numpy: what a fitted one computes, without torch, whole or step by step."""
