"""
Answer while a sensor is running
================================

A machine's vibration is measured all the time, and an alarm should go off soon after something
changes. A network that was trained on recordings reads the running sensor one step at a time: each
answer is that of ``predict`` for all steps so far, but costs one step only.
"""

# %%
# Recordings of a vibration that at some moment may become faster. The label of a step says whether
# it has.
import matplotlib.pyplot as plt
import numpy as np

from skrnn import RNNClassifier

rng = np.random.default_rng(0)
N_STEPS = 120


def recording():
    change = rng.integers(20, 2 * N_STEPS)  # often after the end
    time = np.arange(N_STEPS)
    phase = np.cumsum(np.where(time < change, 0.5, 0.9))
    values = np.sin(phase) + rng.normal(0, 0.4, N_STEPS)
    return values[:, None], np.where(time < change, "normal", "fast")


X, y = map(list, zip(*[recording() for _ in range(150)], strict=True))
model = RNNClassifier(return_sequences=True, hidden_size=24, max_epochs=40, random_state=0)
model.fit(X, y)

# %%
# Two sensors, read side by side. The second starts 30 steps later, and is switched off and on again
# on the way: its stream starts anew.
sensors = [recording() for _ in range(40)]
changing = [values for values, labels in sensors if labels[-1] == "fast"][:2]
stream = model.stream(n_streams=2)
fast = list(model.classes_).index("fast")
alarm = np.full((2, N_STEPS), np.nan)
for t in range(N_STEPS):
    running = [0] if t < 30 else [0, 1]
    if t == 60:
        stream.reset(rows=[1])
    step = [changing[i][t] for i in running]
    alarm[running, t] = stream.step_proba(step, rows=running)[:, fast]

# %%
# The state is a few arrays. Another process goes on from them.
state = stream.state_dict()
print({name: array.shape for name, array in state.items()})
again = model.stream(n_streams=2).load_state_dict(state)
print(again.n_steps)

# %%
# The answers of the first stream are those that ``predict_proba`` gives afterwards.
afterwards = model.predict_proba(changing[:1])[0][:, fast]
print("largest difference:", np.abs(alarm[0] - afterwards).max() < 1e-6)

# %%
fig, axes = plt.subplots(2, sharex=True, figsize=(7, 4))
for ax, values, probability in zip(axes, changing, alarm, strict=True):
    ax.plot(values, color="0.7", linewidth=1)
    ax.plot(probability, color="C3")
    ax.set_ylabel("sensor, alarm")
axes[1].set_xlabel("time step")
fig.tight_layout()
