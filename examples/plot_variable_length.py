"""
Sequences of different lengths
==============================

Recordings rarely all have the same length. Here a classifier reads them as they are, and we check
that how they are packed makes no difference to what it says.
"""

# %%
# Each sequence is a noisy oscillation of 20 to 80 steps with two features, the second a quarter of
# a turn away from the first. In half of the sequences the oscillation speeds up, in the others it
# slows down. No single time step tells the two apart, and neither does the length.
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)


def oscillation(speeds_up):
    n_timesteps = rng.integers(20, 81)
    rate = np.linspace(0.4, 0.8, n_timesteps)
    if not speeds_up:
        rate = rate[::-1]
    phase = rng.uniform(0, 2 * np.pi) + np.cumsum(rate)
    clean = np.column_stack([np.sin(phase), np.cos(phase)])
    return clean + 0.7 * rng.normal(size=clean.shape)


y = np.array(["faster", "slower"] * 150)
X = [oscillation(label == "faster") for label in y]
X_train, y_train, X_test, y_test = X[:200], y[:200], X[200:], y[200:]

figure, axes = plt.subplots(nrows=2, sharex=True, layout="constrained")
for axis, label in zip(axes, ["faster", "slower"], strict=True):
    shown = X[int(np.flatnonzero(y == label)[0])]
    axis.plot(shown)
    axis.set(title=f"{label}: {len(shown)} steps", ylabel="value")
axes[-1].set_xlabel("time step")
plt.show()

# %%
# The list of arrays goes straight into ``fit``.
from skrnn import RNNClassifier

classifier = RNNClassifier(hidden_size=16, max_epochs=20, random_state=0)
classifier.fit(X_train, y_train)
print(f"test accuracy: {classifier.score(X_test, y_test):.2f}")

# %%
# The same sequences as one array, padded with NaN to the longest, give the same probabilities. So
# does each sequence alone, without the others beside it.
from skrnn.preprocessing import SequencePadder

padded = SequencePadder().fit_transform(X_test)
from_list = classifier.predict_proba(X_test)
from_padded = classifier.predict_proba(padded)
alone = np.vstack([classifier.predict_proba([x]) for x in X_test])
print("padded array:", padded.shape)
print(f"largest difference, list and padded array: {np.abs(from_list - from_padded).max():.1e}")
print(f"largest difference, together and alone:    {np.abs(from_list - alone).max():.1e}")

# %%
# Accuracy by length of the test sequence.
lengths = np.array([len(x) for x in X_test])
correct = classifier.predict(X_test) == y_test
edges = [20, 35, 50, 65, 81]
groups = [(lengths >= low) & (lengths < high) for low, high in pairwise(edges)]
shares = [correct[group].mean() for group in groups]

figure, axis = plt.subplots(layout="constrained")
axis.bar([f"{low} to {high - 1}" for low, high in pairwise(edges)], shares)
axis.set(xlabel="time steps", ylabel="test accuracy", ylim=(0, 1))
plt.show()
