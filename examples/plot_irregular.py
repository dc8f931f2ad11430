"""
Measurements that come when they come
=====================================

Two sensors report at irregular times, and rarely both at once. A classifier reads values, gaps and
times as they are, and is compared with one for which the gaps were filled.
"""

# %%
# A process swings up and down, in one half of the recordings a little faster than in the other. At
# 40 to 60 random moments one of two sensors, which stand a quarter of a turn apart, reports; the
# other one is missing. The third column is the time.
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)


def recording(period):
    n_timesteps = rng.integers(40, 61)
    time = np.cumsum(rng.exponential(size=n_timesteps))
    angle = 2 * np.pi * (time / period + rng.random())
    values = np.column_stack([np.sin(angle), np.cos(angle)])
    values += 0.2 * rng.normal(size=values.shape)
    values[np.arange(n_timesteps), rng.integers(2, size=n_timesteps)] = np.nan
    return np.column_stack([values, time])


y = np.array(["fast", "slow"] * 150)
X = [recording(8 if label == "fast" else 11) for label in y]
X_train, y_train, X_test, y_test = X[:200], y[:200], X[200:], y[200:]

figure, axes = plt.subplots(nrows=2, sharex=True, layout="constrained")
for axis, x, label in zip(axes, X, y, strict=False):
    axis.plot(x[:, 2], x[:, 0], "o", x[:, 2], x[:, 1], "s")
    axis.set(title=label, ylabel="value")
axes[-1].set_xlabel("time")
plt.show()

# %%
# The usual way: fill the gaps, and pretend that the steps are one unit of time apart.
from sklearn.pipeline import make_pipeline

from skrnn import RNNClassifier
from skrnn.preprocessing import SequenceImputer

settings = {"hidden_size": 16, "max_epochs": 30, "random_state": 0}


def without_times(X):
    return [x[:, :2] for x in X]


filled = make_pipeline(SequenceImputer(), RNNClassifier(**settings))
filled.fit(without_times(X_train), y_train)
scores = {"filled": filled.score(without_times(X_test), y_test)}

# %%
# The network sees which values were observed, and since when; then also in which time.
masked = RNNClassifier(missing="mask", **settings)
masked.fit(without_times(X_train), y_train)
scores["mask"] = masked.score(without_times(X_test), y_test)

timed = RNNClassifier(missing="mask", time_channel=2, **settings).fit(X_train, y_train)
scores["mask and time"] = timed.score(X_test, y_test)

decaying = RNNClassifier(cell="grud", missing="mask", time_channel=2, **settings)
scores["GRU-D"] = decaying.fit(X_train, y_train).score(X_test, y_test)

for name, score in scores.items():
    print(f"{name:<15} test accuracy {score:.2f}")

figure, axis = plt.subplots(layout="constrained")
axis.bar(list(scores), list(scores.values()))
axis.axhline(0.5, color="black", linewidth=1)
axis.set(ylabel="test accuracy", ylim=(0, 1))
plt.show()
