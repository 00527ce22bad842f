"""Rivals of gradient descent as explanations of in-context learning: other ways from demonstrations to a changed model.

Each is a method like any other, so that matching can say which does what in-context learning does with a demonstration
set. Some train parameters that the network does not have (LoRA, a prefix), some change its forward pass without any
training (task and function vectors), some its predictions alone (the readout, kernel regression, induction).
"""
