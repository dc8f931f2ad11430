"""
Measurements that come when they come
=====================================

Two sensors report at irregular times, and rarely both at once. A classifier reads values, gaps and
times as they are, and is compared with one for which the gaps were filled.
"""

# %%
# A level falls, in one half of the recordings faster than in the other. At 10 to 30 random moments
# one of two sensors reports it, and the other one is missing. In some recordings the sensors are
# ten times as busy as in others. The third column is the time.
import matplotlib.pyplot as plt
import numpy as np

rng = np.random.default_rng(0)


def recording(speed):
    n_timesteps = rng.integers(10, 31)
    time = np.cumsum(rng.exponential(rng.uniform(0.3, 3), size=n_timesteps))
    level = rng.normal() - speed * time
    values = np.column_stack([level, level + 1]) + 0.05 * rng.normal(size=(n_timesteps, 2))
    values[np.arange(n_timesteps), rng.integers(2, size=n_timesteps)] = np.nan
    return np.column_stack([values, time])


y = np.array(["fast", "slow"] * 150)
X = [recording(0.15 if label == "fast" else 0.06) for label in y]
X_train, y_train, X_test, y_test = X[:200], y[:200], X[200:], y[200:]

figure, axes = plt.subplots(nrows=2, sharex=True, layout="constrained")
for axis, x, label in zip(axes, X, y, strict=False):
    axis.plot(x[:, 2], x[:, 0], "o", x[:, 2], x[:, 1], "s")
    axis.set(title=label, ylabel="reported level")
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
# ``missing="mask"``: the network sees which values were observed, and since when. Here sensors are
# silent at random, so that this alone says nothing. With the channel of times it also knows how
# much time has passed, and that tells the two kinds apart.
masked = RNNClassifier(missing="mask", **settings)
masked.fit(without_times(X_train), y_train)
scores["mask"] = masked.score(without_times(X_test), y_test)

timed = RNNClassifier(missing="mask", time_channel=2, **settings).fit(X_train, y_train)
scores["mask and time"] = timed.score(X_test, y_test)

for name, score in scores.items():
    print(f"{name:<15} test accuracy {score:.2f}")

figure, axis = plt.subplots(layout="constrained")
axis.bar(list(scores), list(scores.values()))
axis.axhline(0.5, color="black", linewidth=1)
axis.set(ylabel="test accuracy", ylim=(0, 1))
plt.show()
